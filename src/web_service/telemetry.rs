//! Where a service's gateways export their records: what its spec comes to, what gateways are told of it, and how far
//! it is (docs/design/telemetry.md).
//!
//! The headers of a collector are somebody's credential. The operator follows the Secret by its name, as a certificate's,
//! and keeps of it the digest of what gateways would be told; the values are read when a gateway's Secret has to be
//! written, and are in no memory after that.

use std::collections::BTreeMap;

use atelier_api::WebService;
use atelier_api::conditions::reasons;
use atelier_api::gateway_telemetry::{
    Endpoint, GatewayTelemetry, HEADERS_KEY, OtlpTarget, TELEMETRY_KEY, TelemetryHeaders,
};
use atelier_api::report::{WANTED_KEY, Wanted};
use atelier_api::v1alpha1::{Otlp, OtlpCompression, Telemetry};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use sha2::{Digest as _, Sha256};

use super::keystore::plain;
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::brought::Brought;
use crate::kit::meta::Parent;

/// What a Secret with headers comes to: the digest of what gateways would be told, or why it cannot be that.
pub type Credential = Result<[u8; 32], String>;

/// How far the export is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether gateways are told where to.
    pub exporting: bool,
    /// Why it is as it is, for the condition.
    pub reason: &'static str,
    /// The same as a sentence.
    pub message: String,
}

impl Standing {
    fn not(reason: &'static str, message: String) -> Self {
        Self {
            exporting: false,
            reason,
            message,
        }
    }
}

/// What gateways are to be told.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    /// How far it is. Nothing where nothing is asked for.
    pub standing: Option<Standing>,
    document: Option<Vec<u8>>,
    headers: Option<(String, [u8; 32])>,
    reports: Option<Vec<u8>>,
}

impl Telling {
    /// The same, and what they are to report to the operator.
    pub fn reporting(self, wanted: Wanted) -> Result<Self, Error> {
        let reports = wanted.any().then(|| serde_json::to_vec(&wanted));
        let reports = reports.transpose()?;
        Ok(Self { reports, ..self })
    }

    /// The entries for the gateways' Secret, by digest.
    pub fn digests(&self) -> impl Iterator<Item = (&'static str, [u8; 32])> {
        let document = self.document.as_ref().map(Sha256::digest);
        let document = document.map(|digest| (TELEMETRY_KEY, digest.into()));
        let headers = self.headers.as_ref();
        let headers = headers.map(|(_, digest)| (HEADERS_KEY, *digest));
        let reports = self.reports.as_ref().map(Sha256::digest);
        let reports = reports.map(|digest| (WANTED_KEY, digest.into()));
        document.into_iter().chain(headers).chain(reports)
    }

    /// Whether there is something among them that only its Secret has.
    pub fn is_confidential(&self) -> bool {
        self.headers.is_some()
    }

    /// The same, with their values.
    pub async fn entries(
        &self,
        namespace: &str,
        ctx: &Ctx,
    ) -> Result<BTreeMap<String, Vec<u8>>, Error> {
        let document = self.document.iter();
        let mut entries: BTreeMap<_, _> = document
            .map(|document| (TELEMETRY_KEY.to_owned(), document.clone()))
            .collect();
        let reports = self.reports.iter().cloned();
        entries.extend(reports.map(|reports| (WANTED_KEY.to_owned(), reports)));
        if let Some((name, _)) = &self.headers {
            // Changed or gone since it was looked at: whoever follows it is about to hear of it.
            let stale = || Error::Stale(format!("Secret {name}"));
            let secret = live(namespace, name, ctx).await?.ok_or_else(stale)?;
            let headers = written(&secret).map_err(|_| stale())?;
            entries.insert(HEADERS_KEY.to_owned(), headers.into_bytes());
        }
        Ok(entries)
    }
}

/// What a service's gateways are to be told, beside that its records are `archived`, if they are. Follows the Secret that
/// its spec names, and lets go of others.
pub async fn look(
    service: &WebService,
    parent: &Parent,
    archived: bool,
    ctx: &Ctx,
) -> Result<Telling, Error> {
    let telemetry = &service.spec.telemetry;
    let otlp = telemetry.otlp.as_ref().filter(|_| telemetry.enabled);
    let Some(name) = otlp.and_then(|otlp| Some(&otlp.headers_secret_ref.as_ref()?.name)) else {
        ctx.credentials.let_go(&parent.namespace, &parent.name);
        return plan(telemetry, archived, None);
    };
    // Gateways go on by what they were told, and a change of who may call does not wait for the watch.
    let brought = ctx.credentials.know(&parent.namespace, &parent.name, name);
    plan(telemetry, archived, Some((name, brought.await?)))
}

async fn live(namespace: &str, name: &str, ctx: &Ctx) -> Result<Option<Secret>, Error> {
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), namespace);
    let secret = api.get_opt(name).await;
    secret.map_err(Error::api(format!("get Secret {name}")))
}

/// What is kept of a Secret with headers.
pub fn credential(secret: &Secret) -> Credential {
    written(secret).map(|headers| Sha256::digest(headers).into())
}

fn written(secret: &Secret) -> Result<String, String> {
    let entries = plain(secret);
    let entries = entries
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()));
    let headers = TelemetryHeaders::of(entries)?;
    headers.to_json().map_err(|error| error.to_string())
}

/// Decides. `headers` is the Secret that is named, and what is known of it. Pure.
fn plan(
    telemetry: &Telemetry,
    archived: bool,
    headers: Option<(&String, Brought<Credential>)>,
) -> Result<Telling, Error> {
    if !telemetry.enabled {
        return Ok(Telling::default());
    }
    let not = |reason, message| Telling {
        standing: Some(Standing::not(reason, message)),
        ..Telling::default()
    };
    let Some(otlp) = &telemetry.otlp else {
        if archived {
            return Ok(Telling::default());
        }
        let message = "spec.telemetry.enabled sends records on, and nothing says where to: name a collector in spec.telemetry.otlp, or give the Workspace a storage for the archive";
        return Ok(not(reasons::NOTHING_TO_EXPORT_TO, message.into()));
    };
    let target = match target(otlp) {
        Ok(target) => target,
        Err(why) => {
            let message = format!("nothing is exported to {}: {why}", otlp.endpoint);
            return Ok(not(reasons::ENDPOINT_REFUSED, message));
        }
    };
    let headers = match headers {
        None => None,
        Some((name, Brought::There(Ok(digest)))) => Some((name.clone(), digest)),
        Some((name, Brought::There(Err(why)))) => {
            let message = format!(
                "nothing is exported: Secret {name} does not hold headers: {why}; each of its entries is one, as authorization"
            );
            return Ok(not(reasons::CREDENTIAL_REFUSED, message));
        }
        Some((name, Brought::Missing | Brought::Unknown)) => {
            let message = format!(
                "nothing is exported: there is no Secret {name}: make one with a header in each entry, as authorization, or take spec.telemetry.otlp.headersSecretRef away"
            );
            return Ok(not(reasons::CREDENTIAL_MISSING, message));
        }
    };
    let message = format!(
        "gateways export to {}; how many records it took, and how many were lost, stands in their metrics atelier_gateway_telemetry_*",
        otlp.endpoint
    );
    Ok(Telling {
        standing: Some(Standing {
            exporting: true,
            reason: reasons::EXPORTING,
            message,
        }),
        document: Some(GatewayTelemetry::to(Some(target)).to_json()?.into_bytes()),
        headers,
        reports: None,
    })
}

/// By the same rules as gateways: what passes here is taken over there.
fn target(otlp: &Otlp) -> Result<OtlpTarget, String> {
    let endpoint = Endpoint::try_from(otlp.endpoint.clone())?;
    if let Some(bundle) = &otlp.ca_bundle {
        let read = atelier_pki::roots(bundle.as_bytes());
        read.map_err(|error| format!("caBundle cannot be read: {error}"))?;
    }
    Ok(OtlpTarget {
        endpoint,
        gzip: otlp.compression == OtlpCompression::Gzip,
        ca_bundle: otlp.ca_bundle.clone(),
    })
}

#[cfg(test)]
mod tests {
    use atelier_api::v1alpha1::SecretRef;
    use k8s_openapi::ByteString;

    use super::*;

    fn telemetry(endpoint: &str) -> Telemetry {
        Telemetry {
            enabled: true,
            otlp: Some(Otlp {
                endpoint: endpoint.into(),
                compression: OtlpCompression::Gzip,
                ca_bundle: None,
                headers_secret_ref: Some(SecretRef { name: "s".into() }),
            }),
            archive: None,
        }
    }

    fn told(
        telemetry: &Telemetry,
        headers: Option<Brought<Credential>>,
    ) -> (Telling, &'static str) {
        let name = "s".to_owned();
        let headers = headers.map(|headers| (&name, headers));
        let telling = plan(telemetry, false, headers).expect("writable");
        let reason = telling
            .standing
            .as_ref()
            .map_or("", |standing| standing.reason);
        let exporting = telling
            .standing
            .as_ref()
            .is_some_and(|standing| standing.exporting);
        assert_eq!(telling.document.is_some(), exporting);
        (telling, reason)
    }

    #[test]
    fn what_a_spec_comes_to() {
        let good = telemetry("https://otel.example");
        let there = Brought::There(Ok([7; 32]));
        let (telling, reason) = told(&good, Some(there.clone()));
        assert_eq!(reason, reasons::EXPORTING);
        let document = telling.document.clone().expect("there");
        assert_eq!(
            String::from_utf8(document).expect("text"),
            r#"{"version":1,"otlp":{"endpoint":"https://otel.example","gzip":true}}"#
        );
        let names: Vec<_> = telling.digests().map(|(name, _)| name).collect();
        assert_eq!(names, [TELEMETRY_KEY, HEADERS_KEY]);

        for (headers, reason) in [
            (Brought::Missing, reasons::CREDENTIAL_MISSING),
            (
                Brought::There(Err("no".into())),
                reasons::CREDENTIAL_REFUSED,
            ),
        ] {
            assert_eq!(told(&good, Some(headers)).1, reason);
        }
        let bad = telemetry("http://127.1:4318");
        assert_eq!(told(&bad, Some(there.clone())).1, reasons::ENDPOINT_REFUSED);
        let mut bundle = good.clone();
        if let Some(otlp) = &mut bundle.otlp {
            otlp.ca_bundle = Some("no PEM".into());
        }
        assert_eq!(told(&bundle, Some(there)).1, reasons::ENDPOINT_REFUSED);
        let nowhere = Telemetry {
            enabled: true,
            ..Telemetry::default()
        };
        assert_eq!(told(&nowhere, None).1, reasons::NOTHING_TO_EXPORT_TO);
        // To be archived is enough.
        let archived = plan(&nowhere, true, None).expect("writable");
        assert!(archived.standing.is_none());
        let off = Telemetry {
            enabled: false,
            ..good
        };
        let (telling, reason) = told(&off, None);
        assert!(reason.is_empty() && telling.digests().count() == 0);
    }

    #[test]
    fn of_a_secret_a_digest_is_kept_and_it_changes_with_the_value() {
        let secret = |value: &str| Secret {
            data: Some([("Authorization".to_owned(), ByteString(value.into()))].into()),
            ..Secret::default()
        };
        let one = credential(&secret("Bearer a\n")).expect("good");
        assert_eq!(credential(&secret("Bearer a")), Ok(one));
        assert_ne!(credential(&secret("Bearer b")), Ok(one));
        assert!(credential(&Secret::default()).is_err());
    }
}
