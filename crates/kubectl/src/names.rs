//! Names of objects, checked before they become part of a request's path.

use std::fmt;
use std::str::FromStr;

/// Name of an object or a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = text.len() <= 253
            && text.chars().all(inner)
            && text.starts_with(edge)
            && text.ends_with(edge);
        if fits {
            Ok(Self(text.into()))
        } else {
            Err("a name holds only a-z, 0-9, - and ., and begins and ends with a letter or digit")
        }
    }
}

/// What has a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// A web service.
    Service(Name),
    /// A run.
    Run(Name),
}

impl FromStr for LogTarget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((kind, name)) = text.split_once('/') else {
            return text.parse().map(Self::Service);
        };
        match kind.strip_suffix(".atelier.dev").unwrap_or(kind) {
            "service" | "services" | "webservice" | "webservices" | "atsvc" => {
                name.parse().map(Self::Service)
            }
            "run" | "runs" | "atrun" => name.parse().map(Self::Run),
            _ => Err("only run/NAME and service/NAME have logs"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_a_request_elsewhere() {
        for good in ["digits", "a", "run-1", "a.b"] {
            assert_eq!(good.parse::<Name>().unwrap().to_string(), good);
        }
        for bad in [
            "", "..", "a/b", "../x", "a?b", "a b", "A", "-a", "a-", "a%2f", "é",
        ] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
        assert!("a".repeat(254).parse::<Name>().is_err());
    }

    #[test]
    fn what_has_a_log_is_named_as_in_kubectl() {
        let name = || "digits".parse::<Name>().unwrap();
        for text in [
            "digits",
            "service/digits",
            "webservice/digits",
            "webservices.atelier.dev/digits",
            "atsvc/digits",
        ] {
            assert_eq!(text.parse(), Ok(LogTarget::Service(name())), "{text}");
        }
        for text in ["run/digits", "runs/digits", "run.atelier.dev/digits"] {
            assert_eq!(text.parse(), Ok(LogTarget::Run(name())), "{text}");
        }
        for text in ["pod/digits", "run/", "/digits", "run/a/b"] {
            assert!(text.parse::<LogTarget>().is_err(), "{text}");
        }
    }
}
