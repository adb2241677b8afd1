//! A certificate that somebody else keeps: whether a server could serve by it, and until when.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::time::Time;

use crate::error::Error;
use crate::leaf::{BUNDLE, CERTIFICATE, KEY, entry};
use crate::verify;

/// What may be known of a certificate. The key is not among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// From when it is good: the latest of all certificates that are sent.
    pub not_before: Timestamp,
    /// Until when it is good: the earliest of all certificates that are sent.
    pub not_after: Timestamp,
    end: CertificateDer<'static>,
}

impl Inspected {
    /// Reads a Secret of type `kubernetes.io/tls` by the same rules as [`crate::Reloading`]: what passes here is served
    /// there. The errors say nothing of what was found where the key should be.
    pub fn of(secret: &Secret) -> Result<Self, Error> {
        let part = |key| entry(secret, key).ok_or(Error::Missing(key));
        let pair = verify::pair(part(CERTIFICATE)?, part(KEY)?)?;
        if let Some(bundle) = entry(secret, BUNDLE).filter(|bundle| !bundle.is_empty()) {
            verify::roots(bundle)?;
        }
        let (mut not_before, mut not_after) = (Timestamp::MIN, Timestamp::MAX);
        for certificate in &pair.cert {
            let certificate = Certificate::from_der(certificate);
            let certificate = certificate.map_err(|error| Error::Other(error.to_string()))?;
            let validity = certificate.tbs_certificate().validity();
            not_before = not_before.max(moment(validity.not_before));
            not_after = not_after.min(moment(validity.not_after));
        }
        let end = pair.cert.first().ok_or(Error::Missing(CERTIFICATE))?;
        Ok(Self {
            not_before,
            not_after,
            end: end.clone(),
        })
    }

    /// Fails unless clients that ask for this name would accept it for that.
    pub fn is_for(&self, name: &str) -> Result<(), Error> {
        let wrong = || Error::Other(format!("{name} is no name of a server"));
        let asked = ServerName::try_from(name).map_err(|_| wrong())?;
        let certificate = ParsedCertificate::try_from(&self.end)?;
        let not_for = |_| Error::Other(format!("the certificate is not for {name}"));
        verify_server_name(&certificate, &asked).map_err(not_for)
    }
}

/// Never fails: a time that cannot be told is none that anybody waits for.
fn moment(time: Time) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::authority::Authority;
    use crate::config::{Leaf, Periods, Purpose};
    use crate::leaf::with_certificate;

    fn secret(periods: &Periods) -> Secret {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let authority = Authority::make(now, periods).unwrap();
        let leaf = Leaf {
            secret_name: "a".into(),
            common_name: "a".into(),
            dns_names: vec!["*.example.com".into()],
            ips: Vec::new(),
            purpose: Purpose::Server,
        };
        let issued = authority.issue(&leaf, now, periods).unwrap();
        with_certificate(None, &leaf, issued, authority.certificate).unwrap()
    }

    #[test]
    fn a_certificate_tells_for_whom_and_until_when_it_is() {
        let periods = Periods {
            leaf_life: Duration::from_secs(3600),
            ..Periods::default()
        };
        let inspected = Inspected::of(&secret(&periods)).unwrap();
        assert_eq!(inspected.not_after.as_second(), 1_700_003_600);
        assert!(inspected.not_before.as_second() <= 1_700_000_000);
        inspected.is_for("iris.example.com").unwrap();
        for other in [
            "example.com",
            "iris.example.org",
            "a.b.example.com",
            "no name",
        ] {
            inspected.is_for(other).unwrap_err();
        }
    }

    #[test]
    fn what_cannot_be_served_says_why_and_never_shows_a_key() {
        let (good, other) = (secret(&Periods::default()), secret(&Periods::default()));
        let with = |key: &str, value: Option<&[u8]>| {
            let mut bad = good.clone();
            let data = bad.data.get_or_insert_default();
            match value {
                Some(value) => data.insert(key.into(), k8s_openapi::ByteString(value.to_vec())),
                None => data.remove(key),
            };
            Inspected::of(&bad).unwrap_err().to_string()
        };
        for (key, value, why) in [
            (CERTIFICATE, None, "tls.crt"),
            (KEY, None, "tls.key"),
            (CERTIFICATE, Some(&b"x"[..]), "certificate"),
            (KEY, Some(b"hunter2"), "key"),
            (KEY, entry(&other, KEY), "key"),
            (BUNDLE, Some(b"x"), "ca.crt"),
        ] {
            let said = with(key, value).to_lowercase();
            assert!(
                said.contains(why) && !said.contains("hunter2"),
                "{key}: {said}"
            );
        }
    }
}
