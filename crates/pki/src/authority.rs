//! One authority: a key that signs, and the certificate that others trust.

use std::fmt::{self, Debug, Formatter, Write as _};
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::config::{Leaf, Periods, Purpose};
use crate::error::Error;
use crate::life::Life;
use crate::verify;

/// The last second that a certificate can name.
const END_OF_TIME: u64 = 253_402_300_799;

/// PEM of a private key. Does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKey(pub String);

impl Debug for PrivateKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// An authority that can sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// PEM of its certificate.
    pub certificate: String,
    /// Its key.
    pub key: PrivateKey,
    /// From when until when it is good.
    pub life: Life,
}

/// A certificate that was signed just now.
#[derive(Clone, Debug)]
pub struct Issued {
    /// PEM of the certificate.
    pub certificate: String,
    /// Its key.
    pub key: PrivateKey,
    /// From when until when it is good.
    pub life: Life,
}

impl Authority {
    /// Makes one, with a new key.
    pub fn make(now: Timestamp, periods: &Periods) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let life = Life::starting(now, periods.backdate, periods.authority_life);
        let mut params = params_of(&key);
        date(&mut params, &life);
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self {
            certificate,
            key: PrivateKey(key.serialize_pem()),
            life,
        })
    }

    /// Fails unless certificate and key are those of one authority.
    pub fn read(certificate: String, key: String, life: Life) -> Result<Self, Error> {
        verify::pair(certificate.as_bytes(), key.as_bytes())?;
        let name = name_of(&KeyPair::from_pem(&key)?);
        let roots = verify::roots(certificate.as_bytes())?;
        let named = |subject: &[u8]| subject.windows(name.len()).any(|w| w == name.as_bytes());
        // What is signed carries the name that follows from the key: the certificate must have it too.
        if roots.roots.len() != 1 || !roots.roots.iter().all(|r| named(r.subject.as_ref())) {
            return Err(Error::Other("the certificate is that of another".into()));
        }
        Ok(Self {
            certificate,
            key: PrivateKey(key),
            life,
        })
    }

    /// Signs a certificate, with a new key.
    pub fn issue(&self, leaf: &Leaf, now: Timestamp, periods: &Periods) -> Result<Issued, Error> {
        let own = KeyPair::from_pem(&self.key.0)?;
        let issuer = Issuer::new(params_of(&own), own);
        let life = Life::starting(now, periods.backdate, periods.leaf_life).within(&self.life);

        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, leaf.common_name.as_str());
        for dns in &leaf.dns_names {
            let dns = dns.as_str().try_into()?;
            params.subject_alt_names.push(SanType::DnsName(dns));
        }
        let ips = leaf.ips.iter().copied().map(SanType::IpAddress);
        params.subject_alt_names.extend(ips);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match leaf.purpose {
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.use_authority_key_identifier_extension = true;
        date(&mut params, &life);

        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?.pem();
        Ok(Issued {
            certificate,
            key: PrivateKey(key.serialize_pem()),
            life,
        })
    }

    /// What its certificate calls it, for logs.
    pub fn name(&self) -> String {
        KeyPair::from_pem(&self.key.0)
            .map(|key| name_of(&key))
            .unwrap_or_default()
    }
}

/// All that an issuer needs follows from the key, so no certificate has to be read.
fn params_of(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, name_of(key));
    // Signs certificates of servers and clients, never another authority.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A name of its own for each key: verifiers look an authority up by its name.
fn name_of(key: &KeyPair) -> String {
    let mut name = String::from("atelier-ca ");
    for byte in CertificateParams::default()
        .key_identifier(key)
        .iter()
        .take(8)
    {
        // A String takes all that is written to it.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// Writes a life into what is to be signed.
fn date(params: &mut CertificateParams, life: &Life) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since = |moment: Timestamp| {
        let seconds = u64::try_from(moment.as_second()).unwrap_or_default();
        Duration::from_secs(seconds.min(END_OF_TIME))
    };
    params.not_before = epoch + since(life.not_before);
    params.not_after = epoch + since(life.not_after);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf() -> Leaf {
        Leaf {
            secret_name: "serving".into(),
            common_name: "serving".into(),
            dns_names: vec!["a.b.svc".into(), "*.c.svc".into()],
            ips: vec!["10.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
            purpose: Purpose::Server,
        }
    }

    #[test]
    fn what_is_issued_is_accepted_by_those_who_trust_the_authority_and_by_no_others() {
        let (now, periods) = (Timestamp::now(), Periods::default());
        let authority = Authority::make(now, &periods).unwrap();
        let other = Authority::make(now, &periods).unwrap();
        assert_ne!(authority.name(), other.name());
        let roots = verify::roots(authority.certificate.as_bytes()).unwrap();
        let others = verify::roots(other.certificate.as_bytes()).unwrap();
        for purpose in [Purpose::Server, Purpose::Client] {
            let leaf = Leaf { purpose, ..leaf() };
            let issued = authority.issue(&leaf, now, &periods).unwrap();
            let pair = verify::pair(issued.certificate.as_bytes(), issued.key.0.as_bytes());
            let pair = pair.unwrap();
            for at in [now, issued.life.not_before, issued.life.not_after] {
                verify::accepted(&pair, &leaf, &roots, at).unwrap();
            }
            let late = issued.life.not_after + jiff::SignedDuration::from_secs(1);
            verify::accepted(&pair, &leaf, &roots, late).unwrap_err();
            verify::accepted(&pair, &leaf, &others, now).unwrap_err();
            let swapped = match purpose {
                Purpose::Server => Purpose::Client,
                Purpose::Client => Purpose::Server,
            };
            let swapped = Leaf {
                purpose: swapped,
                ..leaf
            };
            verify::accepted(&pair, &swapped, &roots, now).unwrap_err();
        }
        let mut more = leaf();
        more.dns_names.push("another.svc".into());
        let issued = authority.issue(&leaf(), now, &periods).unwrap();
        let pair = verify::pair(issued.certificate.as_bytes(), issued.key.0.as_bytes()).unwrap();
        verify::accepted(&pair, &more, &roots, now).unwrap_err();
    }

    #[test]
    fn what_is_read_back_signs_as_before_and_a_mix_of_two_is_refused() {
        let (now, periods) = (Timestamp::now(), Periods::default());
        let one = Authority::make(now, &periods).unwrap();
        let two = Authority::make(now, &periods).unwrap();
        let key = |a: &Authority| a.key.0.clone();
        let back = Authority::read(one.certificate.clone(), key(&one), one.life).unwrap();
        let issued = back.issue(&leaf(), now, &periods).unwrap();
        let pair = verify::pair(issued.certificate.as_bytes(), issued.key.0.as_bytes()).unwrap();
        let roots = verify::roots(one.certificate.as_bytes()).unwrap();
        verify::accepted(&pair, &leaf(), &roots, now).unwrap();

        Authority::read(one.certificate.clone(), key(&two), one.life).unwrap_err();
        Authority::read(String::new(), key(&one), one.life).unwrap_err();
        Authority::read(one.certificate.clone(), "x".into(), one.life).unwrap_err();
        let both = format!("{}{}", one.certificate, two.certificate);
        Authority::read(both, key(&one), one.life).unwrap_err();
    }

    #[test]
    fn a_certificate_does_not_outlive_its_authority() {
        let (now, periods) = (Timestamp::now(), Periods::default());
        let authority = Authority::make(now, &periods).unwrap();
        let late = authority.life.not_after - jiff::SignedDuration::from_secs(60);
        let issued = authority.issue(&leaf(), late, &periods).unwrap();
        assert_eq!(issued.life.not_after, authority.life.not_after);
    }

    #[test]
    fn no_key_is_shown() {
        let (now, periods) = (Timestamp::now(), Periods::default());
        let authority = Authority::make(now, &periods).unwrap();
        let issued = authority.issue(&leaf(), now, &periods).unwrap();
        let shown = format!("{authority:?} {issued:?}");
        assert!(!shown.contains("PRIVATE KEY"), "{shown}");
    }
}
