//! The proxy's own certificates.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;

/// Makes a CA and, for this machine, a certificate of it. Returns the CA's certificate as PEM, and what to serve with.
pub(super) fn identity() -> (String, ServerConfig) {
    let key = || KeyPair::generate().expect("a key can be made");
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "apiproxy CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = CertifiedIssuer::self_signed(ca, key()).expect("a CA can sign itself");

    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let mut params = CertificateParams::new(names).expect("these are names");
    params
        .distinguished_name
        .push(DnType::CommonName, "apiproxy");
    let key = key();
    let certificate = params.signed_by(&key, &ca).expect("the CA can sign");

    let private = PrivateKeyDer::try_from(key.serialize_der()).expect("rcgen's keys are PKCS #8");
    let mut server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("the key is that of the certificate");
    // One request at a time on a connection, so that one request's connection can be reset.
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    (ca.as_ref().pem(), server)
}
