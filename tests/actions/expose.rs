//! The way to a service from outside the cluster: by the definitions of the Gateway API, and by a Gateway.

use std::process::{Child, Command, Stdio};

use atelier_api::WebService;
use atelier_api::conditions::{EXPOSED, reasons};
use atelier_testkit::cluster::root;
use atelier_testkit::load::Caller;
use atelier_testkit::manifest::service;
use atelier_testkit::namespace::{SLOW, condition};
use atelier_testkit::storage_server::free_port;
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually};
use http::Request;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use crate::team::{CONTRIBUTOR, plugin, team};

const HOSTNAME: &str = "model.example.com";

/// What `cluster/gateway-api` made.
fn made(what: &str) -> String {
    let script = root().join("cluster/gateway-api");
    let printed = Command::new(script)
        .arg(what)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(printed.status.success(), "cluster/gateway-api {what}");
    String::from_utf8(printed.stdout).unwrap().trim().to_owned()
}

fn kubectl(namespace: &TestNamespace, args: &[&str], input: &str) {
    let (ok, said) = namespace.cluster.kubectl(args, input);
    assert!(ok, "{args:?}: {said}");
}

/// Gives the cluster the Gateway API, or takes it away.
fn gateway_api(namespace: &TestNamespace, is_there: bool) {
    let file = made("crds");
    match is_there {
        true => kubectl(namespace, &["apply", "--server-side", "-f", &file], ""),
        false => kubectl(
            namespace,
            &["delete", "--ignore-not-found", "-f", &file],
            "",
        ),
    }
}

fn objects(namespace: &TestNamespace, kind: &str) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(
        "gateway.networking.k8s.io",
        "v1",
        kind,
    ));
    Api::namespaced_with(namespace.cluster.client.clone(), &namespace.name, &kind)
}

fn exposed(gateway: &Value, replicas: i32) -> Value {
    let mut model = service("model");
    model["spec"]["replicas"] = json!(replicas);
    model["spec"]["expose"] = json!({"parentRefs": [gateway], "hostnames": [HOSTNAME]});
    model
}

async fn told(namespace: &TestNamespace, status: &str, reason: &str) -> WebService {
    eventually(SLOW, &format!("Exposed={status} {reason}"), async || {
        let service = namespace.api::<WebService>().get("model").await;
        let service = service.map_err(|error| error.to_string())?;
        let told = condition(&service, EXPOSED).ok_or("no such condition")?;
        check(told.status == status && told.reason == reason, &told)?;
        Ok(service)
    })
    .await
}

/// Waits until the route leads to the service's own port, and is the only one.
async fn leads_there(routes: &Api<DynamicObject>, port: i32) -> DynamicObject {
    eventually(SLOW, "the route leads to the service", async || {
        let route = routes
            .get("model")
            .await
            .map_err(|error| error.to_string())?;
        let rules = route.data["spec"]["rules"].as_array().ok_or("no rules")?;
        let backend = &rules[0]["backendRefs"][0];
        check(
            rules.len() == 1 && backend["port"] == port && backend["name"] == "model",
            &route,
        )?;
        Ok(route)
    })
    .await
}

async fn nothing_is_left(namespace: &TestNamespace) {
    eventually(SLOW, "nothing of the way is left", async || {
        for kind in ["HTTPRoute", "BackendTLSPolicy"] {
            let found = objects(namespace, kind)
                .get_opt("model")
                .await
                .map_err(|e| e.to_string())?;
            check(found.is_none(), kind)?;
        }
        let bundle = namespace
            .api::<ConfigMap>()
            .get_opt("model-gateway-ca")
            .await;
        check(bundle.unwrap().is_none(), "the bundle")
    })
    .await;
}

#[tokio::test]
async fn a_route_is_there_where_the_cluster_has_the_gateway_api_and_is_put_right() {
    let namespace = team("expose").await;
    gateway_api(&namespace, false);
    let gateway = json!({"name": "edge", "namespace": "infra"});
    namespace.create::<WebService>(exposed(&gateway, 0)).await;
    told(&namespace, "False", reasons::GATEWAY_API_MISSING).await;
    namespace.ready::<WebService>("model", SLOW).await;

    // Nothing is started anew for it.
    gateway_api(&namespace, true);
    told(&namespace, "Unknown", reasons::ROUTE_PENDING).await;
    let routes = objects(&namespace, "HTTPRoute");
    let route = leads_there(&routes, 443).await;
    let bundle: ConfigMap = namespace.api().get("model-gateway-ca").await.unwrap();
    let service: WebService = namespace.api().get("model").await.unwrap();
    let trusted = service.status.unwrap().tls.unwrap().ca_bundle;
    assert_eq!(bundle.data.unwrap().get("ca.crt").cloned(), trusted);
    let policy = objects(&namespace, "BackendTLSPolicy")
        .get("model")
        .await
        .unwrap();
    let hostname = format!("model.{}.svc", namespace.name);
    assert_eq!(
        policy.data["spec"]["validation"]["hostname"],
        hostname.as_str()
    );

    // Another leads elsewhere, and somebody takes it away.
    let elsewhere =
        json!([{"op": "replace", "path": "/spec/rules/0/backendRefs/0/name", "value": "other"}]);
    let elsewhere = Patch::Json::<()>(serde_json::from_value(elsewhere).unwrap());
    routes
        .patch("model", &PatchParams::default(), &elsewhere)
        .await
        .unwrap();
    leads_there(&routes, 443).await;
    routes
        .delete("model", &DeleteParams::default())
        .await
        .unwrap();
    let again = leads_there(&routes, 443).await;
    assert_ne!(again.metadata.uid, route.metadata.uid);

    // Without encryption there is nothing to know the service by.
    let plain = json!({"spec": {"tls": {"mode": "Disabled"}}});
    namespace.patch::<WebService>("model", plain).await.unwrap();
    leads_there(&routes, 80).await;
    let policies = objects(&namespace, "BackendTLSPolicy");
    eventually(SLOW, "the policy is gone", async || {
        check(
            policies.get_opt("model").await.unwrap().is_none(),
            "it is there",
        )
    })
    .await;

    let nowhere = json!({"spec": {"expose": null}});
    namespace
        .patch::<WebService>("model", nowhere)
        .await
        .unwrap();
    nothing_is_left(&namespace).await;
    let service: WebService = namespace.ready("model", SLOW).await;
    assert!(condition(&service, EXPOSED).is_none());

    // It goes, and comes again.
    let once_more = json!({"spec": {"expose": exposed(&gateway, 0)["spec"]["expose"]}});
    namespace
        .patch::<WebService>("model", once_more)
        .await
        .unwrap();
    leads_there(&routes, 80).await;
    gateway_api(&namespace, false);
    told(&namespace, "False", reasons::GATEWAY_API_MISSING).await;
    gateway_api(&namespace, true);
    leads_there(&routes, 80).await;
    gateway_api(&namespace, false);
    namespace.finish().await;
}

/// A Traefik on this machine, ended with the test.
struct Traefik {
    child: Child,
    port: u16,
}

impl Traefik {
    fn start(namespace: &TestNamespace) -> Self {
        let port = free_port();
        let child = Command::new(made("traefik"))
            .arg("--providers.kubernetesgateway=true")
            .arg(format!("--entrypoints.web.address=127.0.0.1:{port}"))
            .args([
                "--global.checknewversion=false",
                "--global.sendanonymoususage=false",
            ])
            .env("KUBECONFIG", namespace.cluster.kubeconfig())
            .spawn();
        Self {
            child: child.unwrap(),
            port,
        }
    }

    async fn asked(&self, path: &str, key: &str) -> u16 {
        let request = Request::post(format!("http://127.0.0.1:{}{path}", self.port))
            .header("host", HOSTNAME)
            .header("authorization", format!("Bearer {key}"));
        let answer = Caller::default()
            .send(request.body("{}".into()).unwrap())
            .await;
        answer.status
    }
}

impl Drop for Traefik {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of a class that Traefik serves, at its port. Takes routes of all namespaces, or of its own alone.
fn gateway(namespace: &TestNamespace, name: &str, port: u16, from: &str) {
    let class = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
        "metadata": {"name": "traefik"}, "spec": {"controllerName": "traefik.io/gateway-controller"}});
    let gateway = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"gatewayClassName": "traefik", "listeners": [{"name": "http", "protocol": "HTTP", "port": port,
            "allowedRoutes": {"namespaces": {"from": from}}}]}});
    for object in [class, gateway] {
        kubectl(namespace, &["apply", "-f", "-"], &object.to_string());
    }
}

#[tokio::test]
#[ignore = "builds a Traefik from source, which takes minutes: part of `make test-all`"]
async fn a_gateway_leads_to_the_service_over_tls_that_it_verifies() {
    let namespace = team("traefik").await;
    gateway_api(&namespace, true);
    let traefik = Traefik::start(&namespace);
    gateway(&namespace, "edge", traefik.port, "All");
    let edge = json!({"name": "edge", "namespace": "default"});
    namespace.create::<WebService>(exposed(&edge, 1)).await;
    namespace.ready::<WebService>("model", SLOW).await;
    told(&namespace, "True", reasons::ROUTE_ACCEPTED).await;
    let key = plugin(
        &namespace,
        CONTRIBUTOR,
        &["keys", "show", "model", "primary"],
    )
    .unwrap();
    let key = key.trim_end();
    for mode in ["Generated", "Disabled", "Generated"] {
        let patch = json!({"spec": {"tls": {"mode": mode}}});
        namespace.patch::<WebService>("model", patch).await.unwrap();
        namespace.ready::<WebService>("model", SLOW).await;
        // Who leads by the mode before may go on for a moment, and find nobody: what Traefik knows of lags behind.
        for (path, key, answer) in [
            ("/score", key, 200),
            ("/score", "wrong", 401),
            // Health is nobody's business outside.
            ("/", key, 404),
        ] {
            let sentence = format!("{mode}: {path} is answered with {answer} outside");
            eventually(SLOW, &sentence, async || {
                let status = traefik.asked(path, key).await;
                check(status == answer, status)
            })
            .await;
        }
    }
    gateway(&namespace, "own", traefik.port, "Same");
    let own =
        json!({"spec": {"expose": {"parentRefs": [{"name": "own", "namespace": "default"}]}}});
    namespace.patch::<WebService>("model", own).await.unwrap();
    told(&namespace, "False", reasons::ROUTE_REFUSED).await;
    drop(traefik);
    gateway_api(&namespace, false);
    namespace.finish().await;
}
