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
#[path = "authority/tests.rs"]
mod tests;
