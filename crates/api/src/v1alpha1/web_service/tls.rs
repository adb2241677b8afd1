//! How connections to a service are encrypted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::v1alpha1::SecretRef;

/// How connections to a service are encrypted: TLS 1.2 and 1.3, HTTP/1.1 and HTTP/2.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.secretRef) == (has(self.mode) && self.mode == 'Secret')")
        .message("tls.secretRef and tls.mode Secret go together: the one names the certificate that the other asks for"),
    validation = Rule::new("!has(self.hostname) || has(self.secretRef)")
        .message("tls.hostname goes with a certificate for it, in tls.secretRef: the installation's own authority vouches for names of the cluster only")
)]
pub struct Tls {
    /// `Generated`: by a certificate of the installation's own authority, which is renewed by itself. `Secret`: by one
    /// that you bring, or cert-manager makes. `Disabled`: not at all; keys and tokens then cross the network in the
    /// clear. Absent: `Generated`, where the installation signs certificates, and else `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// The Secret, of type `kubernetes.io/tls`, with `tls.crt` and `tls.key`. A new certificate in it is taken over
    /// without a restart; one that cannot be served is refused, and the one before is served on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// The name by which clients outside call the service. The certificate has to be for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub hostname: Option<String>,
}

/// By what connections are encrypted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[allow(missing_docs)]
pub enum TlsMode {
    Generated,
    Secret,
    Disabled,
}

/// How connections are encrypted.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsStatus {
    /// The mode in force.
    pub mode: TlsMode,
    /// Until when the certificate is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Whom to trust, PEM: the installation's own authorities, where one of them has signed the certificate. More than
    /// one while one follows the other; take it anew now and then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub ca_bundle: Option<String>,
}
