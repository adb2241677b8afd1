//! A plan: one disturbance of one scenario, with a text that names it for ever.
//!
//! A write is named by what it is and which of its like it is, never by its place among all: independent writes change
//! places from one play to the next.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, bail};

use crate::args::Sort;

/// One disturbance of one scenario.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Plan {
    /// The scenario's name.
    pub scenario: String,
    /// What is done to the operator.
    pub disturbance: Disturbance,
}

/// What is done to the operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disturbance {
    /// It is killed at a write, and started again at once.
    Crash(Write, Phase),
    /// A write goes wrong on its way, or seems to.
    Fault(Write, Fault),
    /// It learns of an event, and of all that follow on the same watch, late or by another list.
    Sight(Event, Sight),
    /// It is killed, sees an old list of this resource when it starts again, and for a while nothing later.
    Past(String),
}

/// A write: the `nth` of its like in a play, from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Write {
    /// `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// Plural, with the subresource after a slash.
    pub resource: String,
    /// Name of the object.
    pub name: String,
    /// Which of its like.
    pub nth: usize,
}

/// When the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before the write has reached the API server.
    Before,
    /// When it is done, before the answer has come back.
    Committed,
    /// When the answer has come back.
    Answered,
}

/// How a write goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is done, and the connection is reset in place of an answer.
    Reset,
    /// It is done, and the answer breaks off.
    Truncated,
    /// It is not done; this status is the answer.
    Status(u16),
}

/// An event: the first of its type on any watch of a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// Plural.
    pub resource: String,
    /// `added`, `modified`, `deleted`.
    pub kind: String,
}

/// What becomes of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// They come late.
    Hold,
    /// They never come; the watch ends with 410 Gone.
    Gap,
}

/// All statuses that a write is answered with.
pub const STATUSES: [u16; 5] = [409, 429, 500, 503, 504];

impl Plan {
    /// Its sort.
    pub fn sort(&self) -> Sort {
        match self.disturbance {
            Disturbance::Crash(..) => Sort::Crash,
            Disturbance::Fault(..) => Sort::Write,
            Disturbance::Sight(..) | Disturbance::Past(_) => Sort::View,
        }
    }

    /// Whether the operator is killed in the course of it.
    pub fn kills(&self) -> bool {
        matches!(
            self.disturbance,
            Disturbance::Crash(..) | Disturbance::Past(_)
        )
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scenario = &self.scenario;
        match &self.disturbance {
            Disturbance::Crash(write, phase) => write!(f, "crash:{scenario}:{write}:{phase}"),
            Disturbance::Fault(write, fault) => write!(f, "write:{scenario}:{write}:{fault}"),
            Disturbance::Sight(event, sight) => {
                write!(
                    f,
                    "view:{scenario}:{}:{}:{sight}",
                    event.resource, event.kind
                )
            }
            Disturbance::Past(resource) => write!(f, "view:{scenario}:{resource}:past"),
        }
    }
}

impl FromStr for Plan {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let parse = || {
            let parts: Vec<_> = text.split(':').collect();
            let (scenario, disturbance) = match parts[..] {
                ["crash", scenario, verb, object, phase] => (
                    scenario,
                    Disturbance::Crash(write(verb, object)?, phase.parse()?),
                ),
                ["write", scenario, verb, object, fault] => (
                    scenario,
                    Disturbance::Fault(write(verb, object)?, fault.parse()?),
                ),
                ["view", scenario, resource, "past"] => {
                    (scenario, Disturbance::Past(resource.to_owned()))
                }
                ["view", scenario, resource, kind, sight] => {
                    let event = Event {
                        resource: resource.to_owned(),
                        kind: kind.to_owned(),
                    };
                    (scenario, Disturbance::Sight(event, sight.parse()?))
                }
                _ => bail!("it begins with crash:, write: or view: and names a scenario"),
            };
            Ok(Self {
                scenario: scenario.to_owned(),
                disturbance,
            })
        };
        parse().with_context(|| format!("no plan: {text}"))
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}/{}#{}",
            self.verb, self.resource, self.name, self.nth
        )
    }
}

fn write(verb: &str, object: &str) -> anyhow::Result<Write> {
    let (path, nth) = object.rsplit_once('#').context("a write has a number")?;
    let (resource, name) = path.rsplit_once('/').context("a write has a name")?;
    Ok(Write {
        verb: verb.to_owned(),
        resource: resource.to_owned(),
        name: name.to_owned(),
        nth: nth.parse()?,
    })
}

/// Names of the values, both ways.
macro_rules! words {
    ($type:ident { $($value:ident = $word:literal),+ }) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$value => $word),+ })
            }
        }

        impl FromStr for $type {
            type Err = anyhow::Error;

            fn from_str(text: &str) -> anyhow::Result<Self> {
                match text { $($word => Ok(Self::$value),)+ _ => bail!("not known: {text}") }
            }
        }
    };
}

words!(Phase { Before = "before", Committed = "committed", Answered = "answered" });
words!(Sight { Hold = "hold", Gap = "gap" });

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => f.write_str("reset"),
            Self::Truncated => f.write_str("truncated"),
            Self::Status(status) => write!(f, "{status}"),
        }
    }
}

impl FromStr for Fault {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        Ok(match text {
            "reset" => Self::Reset,
            "truncated" => Self::Truncated,
            status => Self::Status(status.parse()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_is_found_again_by_its_text() {
        for text in [
            "crash:service:create:deployments/svc#1:committed",
            "crash:service:patch:webservices/status/svc#12:before",
            "write:compute:delete:pods/cpu-0#2:429",
            "write:roles:update:rolebindings/lead-role#1:reset",
            "view:service:webservices:modified:hold",
            "view:service:secrets:past",
        ] {
            assert_eq!(text.parse::<Plan>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        for text in [
            "",
            "crash:service",
            "crash:service:create:deployments/svc:before",
            "view:a:b:c:later",
        ] {
            assert!(text.parse::<Plan>().is_err(), "{text}");
        }
    }
}
