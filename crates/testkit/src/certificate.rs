//! Certificates that a team brings: an authority of its own, and Secrets with what it has signed.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its certificate, PEM.
    pub fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    /// A Secret with a new certificate of a server with this DNS name.
    pub fn secret(&self, secret: &str, server: &str) -> Secret {
        self.secret_until(secret, server, 2099)
    }

    /// The same, and it is over when the year begins.
    pub fn secret_until(&self, secret: &str, server: &str, year: i32) -> Secret {
        let key = KeyPair::generate().unwrap();
        let mut params = params(server);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let parts = [
            ("tls.crt", certificate.pem()),
            ("tls.key", key.serialize_pem()),
        ];
        let data = parts.map(|(name, pem)| (name.to_owned(), ByteString(pem.into_bytes())));
        let mut made = Secret {
            type_: Some("kubernetes.io/tls".into()),
            data: Some(data.into()),
            ..Secret::default()
        };
        made.metadata.name = Some(secret.to_owned());
        made
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
