//! The objects of the Gateway API: pure.

use atelier_api::WebService;
use atelier_api::v1alpha1::{Expose, ParentRef};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use crate::kit::Error;
use crate::kit::child::{ChildKey, ChildKind, Desired, GATEWAY_API};
use crate::kit::content::without_nulls;
use crate::kit::meta::Parent;
use crate::web_service::build::{gateway_secret_name, host, public_port};
use crate::web_service::transport::Transport;

/// How much longer a Gateway waits than the service itself, so that it is the service that says so: milliseconds.
const SLACK_MS: i64 = 1_000;

/// All that there can be.
pub fn keys(parent: &Parent) -> [ChildKey; 3] {
    let key = |kind, name: &str| ChildKey::new(kind, &parent.namespace, name);
    [
        key(ChildKind::HttpRoute, &parent.name),
        key(ChildKind::BackendTlsPolicy, &parent.name),
        key(ChildKind::ConfigMap, &bundle_name(&parent.name)),
    ]
}

/// Name of the ConfigMap that tells Gateways whom to trust.
fn bundle_name(service: &str) -> String {
    format!("{}-ca", gateway_secret_name(service))
}

/// All that is wanted. `bundle` are the installation's own authorities, PEM, which only a certificate of theirs takes. What a Gateway knows the service by comes
/// before the route that leads to it.
pub fn all(
    service: &WebService,
    expose: &Expose,
    parent: &Parent,
    transport: Transport,
    bundle: &str,
) -> Result<Vec<Desired>, Error> {
    let trust = match transport {
        Transport::Plain => vec![],
        Transport::Generated => {
            let named =
                json!([{"group": "", "kind": "ConfigMap", "name": bundle_name(&parent.name)}]);
            let known = json!({"hostname": host(parent), "caCertificateRefs": named});
            vec![authorities(parent, bundle)?, policy(parent, known)?]
        }
        // Of whose authority it is nobody says: it has to be one that everybody knows.
        Transport::Secret(_) => {
            let hostname = service
                .spec
                .tls
                .hostname
                .clone()
                .unwrap_or_else(|| host(parent));
            let known = json!({"hostname": hostname, "wellKnownCACertificates": "System"});
            vec![policy(parent, known)?]
        }
    };
    let route = route(service, expose, parent, transport)?;
    Ok(trust.into_iter().chain([route]).collect())
}

fn authorities(parent: &Parent, bundle: &str) -> Result<Desired, Error> {
    let map = ConfigMap {
        metadata: parent.child(bundle_name(&parent.name)),
        data: Some([("ca.crt".to_owned(), bundle.to_owned())].into()),
        ..ConfigMap::default()
    };
    Desired::new(ChildKind::ConfigMap, &map)
}

fn policy(parent: &Parent, validation: Value) -> Result<Desired, Error> {
    let target = json!([{"group": "", "kind": "Service", "name": parent.name}]);
    let spec = json!({"targetRefs": target, "validation": validation});
    object(
        ChildKind::BackendTlsPolicy,
        parent.child(&parent.name),
        spec,
    )
}

fn route(
    service: &WebService,
    expose: &Expose,
    parent: &Parent,
    transport: Transport,
) -> Result<Desired, Error> {
    let (spec, limits) = (&service.spec, &service.spec.limits);
    let to_gateway = |to: &ParentRef| {
        let namespace = to.namespace.as_deref().unwrap_or(&parent.namespace);
        let (group, _) = GATEWAY_API;
        json!({"group": group, "kind": "Gateway", "namespace": namespace, "name": to.name,
               "sectionName": to.section_name})
    };
    let parents: Vec<_> = expose.parent_refs.iter().map(to_gateway).collect();
    // Exactly what the service answers to, less its health, which is nobody's business outside.
    let paths = [spec.score_path.as_str(), "/swagger.json"];
    let matches = paths.map(|path| json!({"path": {"type": "Exact", "value": path}}));
    let longest = i64::from(limits.timeout_ms) + i64::from(limits.queue_wait_ms) + SLACK_MS;
    let rule = json!({
        "matches": matches,
        "backendRefs": [{"group": "", "kind": "Service", "name": parent.name, "port": public_port(transport),
                         "weight": 1}],
        // In whole seconds, upwards: a number in it has five digits at most.
        "timeouts": {"request": format!("{}s", (longest + 999) / 1000)},
    });
    let spec = json!({"parentRefs": parents, "hostnames": expose.hostnames, "rules": [rule]});
    object(ChildKind::HttpRoute, parent.child(&parent.name), spec)
}

fn object(kind: ChildKind, metadata: ObjectMeta, spec: Value) -> Result<Desired, Error> {
    let (group, version) = GATEWAY_API;
    let object = json!({"apiVersion": format!("{group}/{version}"), "kind": kind.as_str(), "metadata": metadata,
        "spec": without_nulls(spec)});
    Desired::new(kind, &object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(tls: Value, limits: Value, transport: Transport) -> Vec<Desired> {
        let service = json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "WebService",
            "metadata": {"name": "svc", "namespace": "n", "uid": "u"},
            "spec": {"image": "i", "scorePath": "/v1/score", "tls": tls, "limits": limits, "expose": {
                "parentRefs": [{"name": "edge", "namespace": "infra"}, {"name": "own", "sectionName": "https"}],
                "hostnames": ["model.example.com"]}}});
        let service: WebService = serde_json::from_value(service).expect("a service");
        let parent = Parent::of(&service, "team").expect("stored");
        let expose = service.spec.expose.as_ref().expect("exposed");
        all(&service, expose, &parent, transport, "PEM").expect("made")
    }

    fn kinds(made: &[Desired]) -> Vec<&str> {
        made.iter().map(|one| one.key.kind.as_str()).collect()
    }

    #[test]
    fn a_route_leads_to_what_the_service_answers_to_and_to_nothing_else_of_it() {
        let made = made(json!({}), json!({}), Transport::Plain);
        assert_eq!(kinds(&made), ["HTTPRoute"]);
        let spec = &made[0].object.data["spec"];
        let rules = spec["rules"].as_array().expect("rules");
        assert_eq!(rules.len(), 1);
        let paths = rules[0]["matches"].as_array().expect("matches");
        let paths: Vec<_> = paths.iter().map(|one| one["path"].clone()).collect();
        let exact = |path: &str| json!({"type": "Exact", "value": path});
        assert_eq!(paths, [exact("/v1/score"), exact("/swagger.json")]);
        assert_eq!(rules[0]["backendRefs"][0]["port"], 80);
        assert_eq!(rules[0]["timeouts"]["request"], "62s");
        let (first, second) = (&spec["parentRefs"][0], &spec["parentRefs"][1]);
        assert_eq!(
            (&first["namespace"], &second["namespace"]),
            (&json!("infra"), &json!("n"))
        );
        assert!(first.get("sectionName").is_none() && second["sectionName"] == "https");
    }

    #[test]
    fn the_longest_timeout_that_a_service_may_have_is_one_that_a_route_may_have() {
        let limits = json!({"timeoutMs": 3_600_000, "queueWaitMs": 600_000});
        let made = made(json!({}), limits, Transport::Plain);
        let told = made[0].object.data["spec"]["rules"][0]["timeouts"]["request"].clone();
        assert_eq!(told, "4201s");
    }

    #[test]
    fn gateways_are_told_whom_to_trust_before_they_are_sent_there() {
        let generated = made(json!({}), json!({}), Transport::Generated);
        assert_eq!(
            kinds(&generated),
            ["ConfigMap", "BackendTLSPolicy", "HTTPRoute"]
        );
        assert_eq!(generated[0].object.data["data"]["ca.crt"], "PEM");
        let validation = &generated[1].object.data["spec"]["validation"];
        assert_eq!(validation["hostname"], "svc.n.svc");
        assert_eq!(
            validation["caCertificateRefs"][0]["name"],
            generated[0].key.name
        );
        let tls =
            json!({"mode": "Secret", "secretRef": {"name": "own"}, "hostname": "m.example.com"});
        let brought = made(tls, json!({}), Transport::Secret("own"));
        assert_eq!(kinds(&brought), ["BackendTLSPolicy", "HTTPRoute"]);
        let validation = &brought[0].object.data["spec"]["validation"];
        assert_eq!(validation["hostname"], "m.example.com");
        assert_eq!(validation["wellKnownCACertificates"], "System");
    }
}
