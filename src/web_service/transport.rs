//! How connections to a service are encrypted: what its spec asks for, and how far that is. Pure.

use atelier_api::conditions::reasons;
use atelier_api::v1alpha1::{Tls, TlsMode};
use atelier_pki::Inspected;
use jiff::Timestamp;

use crate::kit::brought::Brought;

/// What a service's gateways serve by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport<'a> {
    /// Plain HTTP.
    Plain,
    /// TLS, by a certificate of the installation's own authority.
    Generated,
    /// TLS, by the certificate in this Secret.
    Secret(&'a str),
}

/// What the spec comes to. `authority` says whether the installation signs certificates.
pub fn transport(tls: &Tls, authority: bool) -> Transport<'_> {
    match (tls.mode, &tls.secret_ref) {
        (Some(TlsMode::Secret), Some(secret)) => Transport::Secret(&secret.name),
        (Some(TlsMode::Disabled), _) => Transport::Plain,
        (None, _) if !authority => Transport::Plain,
        // A Secret without a name does not pass the API server.
        _ => Transport::Generated,
    }
}

impl Transport<'_> {
    /// The mode in force.
    pub fn mode(self) -> TlsMode {
        match self {
            Self::Plain => TlsMode::Disabled,
            Self::Generated => TlsMode::Generated,
            Self::Secret(_) => TlsMode::Secret,
        }
    }

    /// Whether it is TLS.
    pub fn is_tls(self) -> bool {
        self != Self::Plain
    }
}

/// What a Secret of somebody else holds, as far as a service is concerned: a certificate, or why there is none.
pub type Held = Result<Inspected, String>;

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The mode in force.
    pub mode: TlsMode,
    /// Until when the certificate is good.
    pub expires: Option<Timestamp>,
    /// Whom to trust, where the certificate is of our own authority.
    pub bundle: Option<String>,
    /// Why it is as it is, for the condition.
    pub reason: &'static str,
    /// The same as a sentence.
    pub message: String,
    /// Whether a replica that starts now could not serve.
    pub failed: bool,
}

impl Standing {
    fn new(mode: TlsMode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            mode,
            expires: None,
            bundle: None,
            reason,
            message: message.into(),
            failed: false,
        }
    }

    fn failed(self) -> Self {
        Self {
            failed: true,
            ..self
        }
    }
}

/// Without encryption.
pub fn plain(tls: &Tls) -> Standing {
    match tls.mode {
        Some(_) => Standing::new(
            TlsMode::Disabled,
            reasons::DISABLED,
            "spec.tls.mode is Disabled: requests, keys and tokens cross the network in the clear",
        ),
        None => Standing::new(
            TlsMode::Disabled,
            reasons::NO_AUTHORITY,
            "this installation signs no certificates: requests, keys and tokens cross the network in the clear; bring a certificate in spec.tls.secretRef",
        ),
    }
}

/// By a certificate of our own. `certificate` is until when the one is good that is there; `bundle` whom to trust.
pub fn generated(
    authority: bool,
    certificate: Option<Timestamp>,
    bundle: Option<String>,
) -> Standing {
    if !authority {
        return Standing::new(
            TlsMode::Generated,
            reasons::NO_AUTHORITY,
            "spec.tls.mode is Generated, and this installation signs no certificates: bring one in spec.tls.secretRef",
        )
        .failed();
    }
    Standing {
        expires: certificate,
        bundle,
        ..Standing::new(
            TlsMode::Generated,
            reasons::GENERATED,
            "requests come over TLS; whom to trust stands in status.tls.caBundle",
        )
    }
}

/// By the certificate in a Secret that somebody else keeps. `None` while it is not known.
pub fn brought(
    name: &str,
    hostname: Option<&str>,
    secret: &Brought<Held>,
    now: Timestamp,
) -> Option<Standing> {
    let standing = |reason, message: String| Standing::new(TlsMode::Secret, reason, message);
    let bad = |reason, why: &str| {
        let message = format!(
            "the certificate in Secret {name} cannot be served: {why}; replicas that have a better one serve on by that"
        );
        standing(reason, message).failed()
    };
    let refused = |why: &str| bad(reasons::CERTIFICATE_REFUSED, why);
    let expired = |why: &str| bad(reasons::CERTIFICATE_EXPIRED, why);
    let certificate = match secret {
        Brought::Unknown => return None,
        Brought::Missing => {
            let message = format!(
                "there is no Secret {name}: make one of type kubernetes.io/tls with tls.crt and tls.key"
            );
            return Some(standing(reasons::CERTIFICATE_MISSING, message).failed());
        }
        Brought::There(Err(why)) => return Some(refused(why)),
        Brought::There(Ok(certificate)) => certificate,
    };
    let judged = match hostname.map_or(Ok(()), |hostname| certificate.is_for(hostname)) {
        Err(error) => refused(&error.to_string()),
        Ok(()) if now > certificate.not_after => {
            expired(&format!("it was good until {}", certificate.not_after))
        }
        Ok(()) if now < certificate.not_before => {
            expired(&format!("it is good from {} on", certificate.not_before))
        }
        Ok(()) => standing(
            reasons::FROM_SECRET,
            format!("requests come over TLS, by the certificate in Secret {name}"),
        ),
    };
    Some(Standing {
        expires: Some(certificate.not_after),
        ..judged
    })
}

/// When time alone changes what [`brought`] says.
pub fn changes_at(secret: &Brought<Held>, now: Timestamp) -> Option<Timestamp> {
    let Brought::There(Ok(certificate)) = secret else {
        return None;
    };
    let moments = [certificate.not_before, certificate.not_after];
    moments.into_iter().filter(|moment| *moment >= now).min()
}

#[cfg(test)]
mod tests {
    use atelier_api::v1alpha1::SecretRef;

    use super::*;

    fn tls(mode: Option<TlsMode>, secret: Option<&str>) -> Tls {
        Tls {
            mode,
            secret_ref: secret.map(|name| SecretRef { name: name.into() }),
            hostname: None,
        }
    }

    #[test]
    fn without_a_word_of_it_a_service_is_encrypted_where_it_can_be() {
        assert_eq!(transport(&Tls::default(), true), Transport::Generated);
        assert_eq!(transport(&Tls::default(), false), Transport::Plain);
        for authority in [true, false] {
            let disabled = tls(Some(TlsMode::Disabled), None);
            assert_eq!(transport(&disabled, authority), Transport::Plain);
            let secret = tls(Some(TlsMode::Secret), Some("s"));
            assert_eq!(transport(&secret, authority), Transport::Secret("s"));
            let generated = tls(Some(TlsMode::Generated), None);
            assert_eq!(transport(&generated, authority), Transport::Generated);
        }
    }

    #[test]
    fn what_is_asked_for_and_cannot_be_is_a_failure_and_not_plain_http() {
        let standing = generated(false, None, None);
        assert!(standing.failed && standing.reason == reasons::NO_AUTHORITY);
        assert!(!plain(&Tls::default()).failed);
    }

    #[test]
    fn a_secret_that_is_not_there_or_holds_nonsense_is_told_of() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(brought("s", None, &Brought::Unknown, now), None);
        let missing = brought("s", None, &Brought::Missing, now).expect("known");
        assert!(missing.failed && missing.reason == reasons::CERTIFICATE_MISSING);
        let bad = Brought::There(Err("tls.key is missing".to_owned()));
        let bad = brought("s", None, &bad, now).expect("known");
        assert!(bad.failed && bad.message.contains("tls.key is missing"));
        assert_eq!(bad.reason, reasons::CERTIFICATE_REFUSED);
    }
}
