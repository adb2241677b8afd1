//! The name in a certificate.

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;
use x509_cert::ext::pkix::name::DirectoryString;

/// The common name. Nothing if there is none, or several: which of them counts would be a matter of the parser.
pub(super) fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let mut names = certificate
        .tbs_certificate()
        .subject()
        .iter()
        .filter(|attribute| attribute.oid == COMMON_NAME);
    let (Some(name), None) = (names.next(), names.next()) else {
        return None;
    };
    let name: DirectoryString = name.value.decode_as().ok()?;
    Some(name.value().into_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    use super::*;

    fn named(names: &[DnValue]) -> Option<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Organization");
        for (i, name) in names.iter().enumerate() {
            // rcgen keeps one value of a type: the same OID by its number is another type to it.
            let kind = if i == 0 {
                DnType::CommonName
            } else {
                DnType::CustomDnType(vec![2, 5, 4, 3])
            };
            params.distinguished_name.push(kind, name.clone());
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        common_name(certificate.der())
    }

    #[test]
    fn one_name_is_read_whatever_its_encoding() {
        let printable = DnValue::PrintableString("front-proxy".try_into().unwrap());
        assert_eq!(named(&[printable]).as_deref(), Some("front-proxy"));
        let utf8 = DnValue::Utf8String("früher".into());
        assert_eq!(named(&[utf8]).as_deref(), Some("früher"));
    }

    #[test]
    fn no_name_and_two_names_are_none() {
        assert_eq!(named(&[]), None);
        let name = |text: &str| DnValue::Utf8String(text.into());
        assert_eq!(named(&[name("stranger"), name("front-proxy-client")]), None);
        assert_eq!(
            common_name(&CertificateDer::from_slice(b"no certificate")),
            None
        );
    }
}
