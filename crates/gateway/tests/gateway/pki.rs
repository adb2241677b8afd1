//! An authority, and the Secrets that it fills.

use std::sync::Arc;

use atelier_pki::Reloading;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

pub struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub fn new(name: &str) -> Self {
        let mut params = params(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    pub fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    /// A Secret with a certificate of this name, and these authorities beside it.
    pub fn secret(&self, name: &str, usage: ExtendedKeyUsagePurpose, bundle: &[&Self]) -> Secret {
        let key = KeyPair::generate().expect("a key");
        let certificate = params(name, Some(usage)).signed_by(&key, &self.0);
        let parts = [
            ("tls.crt", certificate.expect("a certificate").pem()),
            ("tls.key", key.serialize_pem()),
            ("ca.crt", bundle.iter().map(|ca| ca.pem()).collect()),
        ];
        let data = parts.map(|(key, pem)| (key.to_owned(), ByteString(pem.into_bytes())));
        Secret {
            data: Some(data.into()),
            ..Secret::default()
        }
    }

    pub fn server(&self, bundle: &[&Self]) -> Secret {
        self.secret(SERVER, ExtendedKeyUsagePurpose::ServerAuth, bundle)
    }

    pub fn client(&self, name: &str, bundle: &[&Self]) -> Secret {
        self.secret(name, ExtendedKeyUsagePurpose::ClientAuth, bundle)
    }
}

pub const SERVER: &str = "iris.ml.svc";
pub const OPERATOR: &str = "operator.atelier.svc";

/// A reader of a Secret that holds this.
pub fn reading(secret: &Secret) -> Arc<Reloading> {
    let reloading = Reloading::new("any");
    reloading.offer(secret);
    reloading
}

fn params(name: &str, usage: Option<ExtendedKeyUsagePurpose>) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = usage.into_iter().collect();
    params
}
