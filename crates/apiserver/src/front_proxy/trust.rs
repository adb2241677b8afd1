//! What `kube-system/extension-apiserver-authentication` says.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::name::common_name;
use crate::caller::IdentityHeaders;
use crate::tls;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrustError {
    /// The aggregation layer is off.
    #[error("there is no {0}: the aggregation layer of this cluster is not configured")]
    Missing(&'static str),
    #[error("{key} is not a list of strings: {source}")]
    List {
        key: &'static str,
        source: serde_json::Error,
    },
    #[error("{key} names {name:?}, which cannot be a header")]
    Header { key: &'static str, name: String },
    #[error("requestheader-client-ca-file holds no usable certificates: {0}")]
    Authorities(String),
}

/// Whom to believe, and which headers.
#[derive(Debug)]
pub(super) struct Trust {
    authorities: Arc<dyn ClientCertVerifier>,
    /// Empty: any.
    names: Vec<String>,
    pub(super) headers: IdentityHeaders,
}

impl Trust {
    /// Reads the configuration. All of it has to make sense: half of it could trust too much.
    pub(super) fn read(data: &BTreeMap<String, String>) -> Result<Self, TrustError> {
        let mut extra_prefixes = list(data, "requestheader-extra-headers-prefix")?;
        for prefix in &mut extra_prefixes {
            prefix.make_ascii_lowercase();
        }
        Ok(Self {
            authorities: authorities(data)?,
            names: list(data, "requestheader-allowed-names")?,
            headers: IdentityHeaders {
                user: headers(data, "requestheader-username-headers")?,
                // API servers that do not name this header let it through from anybody.
                uid: headers(data, "requestheader-uid-headers")?,
                groups: headers(data, "requestheader-group-headers")?,
                extra_prefixes,
            },
        })
    }

    /// Whether this is the certificate of a front proxy, leaf first.
    pub(super) fn vouches(&self, chain: &[CertificateDer<'_>]) -> bool {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return false;
        };
        self.authorities
            .verify_client_cert(leaf, intermediates, UnixTime::now())
            .is_ok()
            && (self.names.is_empty()
                || common_name(leaf).is_some_and(|name| self.names.contains(&name)))
    }
}

fn authorities(data: &BTreeMap<String, String>) -> Result<Arc<dyn ClientCertVerifier>, TrustError> {
    const KEY: &str = "requestheader-client-ca-file";
    let bundle = data.get(KEY).ok_or(TrustError::Missing(KEY))?;
    let unusable = |error: &dyn std::fmt::Display| TrustError::Authorities(error.to_string());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        let certificate = certificate.map_err(|e| unusable(&e))?;
        roots.add(certificate).map_err(|e| unusable(&e))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider())
        .build()
        .map_err(|e| unusable(&e))
}

fn headers(
    data: &BTreeMap<String, String>,
    key: &'static str,
) -> Result<Vec<HeaderName>, TrustError> {
    list(data, key)?
        .into_iter()
        .map(|name| HeaderName::try_from(&name).map_err(|_| TrustError::Header { key, name }))
        .collect()
}

/// A list of strings, written as JSON. A key that is missing or empty is an empty list.
fn list(data: &BTreeMap<String, String>, key: &'static str) -> Result<Vec<String>, TrustError> {
    match data.get(key).map(|text| text.trim()) {
        None | Some("") => Ok(Vec::new()),
        Some(text) => serde_json::from_str(text).map_err(|source| TrustError::List { key, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::test_ca::Ca;

    fn data(ca: &str, names: &str) -> BTreeMap<String, String> {
        [
            ("requestheader-client-ca-file", ca),
            ("requestheader-allowed-names", names),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#),
            ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
            (
                "requestheader-extra-headers-prefix",
                r#"["X-Remote-Extra-"]"#,
            ),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn the_authority_and_the_name_both_count() {
        let (ca, other) = (Ca::new("front"), Ca::new("other"));
        let trust = Trust::read(&data(&ca.pem(), r#"["proxy", "second"]"#)).unwrap();
        assert!(trust.vouches(&[ca.client("proxy").0]));
        assert!(!trust.vouches(&[ca.client("somebody").0]));
        assert!(!trust.vouches(&[other.client("proxy").0]));
        assert!(
            !trust.vouches(&[ca.server("proxy").0]),
            "it is not for clients"
        );
        assert!(!trust.vouches(&[]));
        assert_eq!(trust.headers.extra_prefixes, ["x-remote-extra-"]);
    }

    #[test]
    fn an_empty_list_of_names_allows_any_of_the_authority() {
        let (ca, other) = (Ca::new("front"), Ca::new("other"));
        let both = ca.pem() + &other.pem();
        for names in ["", "[]"] {
            let trust = Trust::read(&data(&both, names)).unwrap();
            assert!(trust.vouches(&[ca.client("anybody").0]));
            assert!(trust.vouches(&[other.client("anybody").0]));
        }
    }

    #[test]
    fn half_a_configuration_is_none() {
        let ca = Ca::new("front").pem();
        let fails = |data: &BTreeMap<String, String>| Trust::read(data).unwrap_err().to_string();
        assert!(fails(&data("", "[]")).contains("no usable certificates"));
        assert!(fails(&data(&ca, "proxy")).contains("requestheader-allowed-names"));
        let mut odd = data(&ca, "[]");
        odd.insert(
            "requestheader-uid-headers".into(),
            r#"["no header"]"#.into(),
        );
        assert!(fails(&odd).contains("cannot be a header"));
        odd.remove("requestheader-client-ca-file");
        odd.remove("requestheader-uid-headers");
        assert!(fails(&odd).contains("aggregation layer"));
    }
}
