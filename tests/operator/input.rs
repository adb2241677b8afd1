//! What the API refuses, and that it says why.

use atelier_testkit::{TestNamespace, manifest, operator};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::any::{self, refusal};

/// A manifest with one thing changed.
fn with(mut manifest: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match manifest.pointer_mut(parent).unwrap() {
        Value::Array(items) => items.push(value),
        parent => parent[key] = value,
    }
    manifest
}

fn named(mut manifest: Value, name: &str) -> Value {
    manifest["metadata"]["name"] = json!(name);
    manifest
}

fn role() -> Value {
    manifest::role("a", "Reader", "ann")
}

fn target() -> Value {
    manifest::target("cpu", 0, 2, 120)
}

fn run() -> Value {
    manifest::run("a", "cpu", "true")
}

fn service() -> Value {
    manifest::service("model")
}

#[tokio::test]
async fn bad_objects_are_refused_with_the_reason() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::open("input-bad").await;
    let long = |n: usize| "a".repeat(n);
    let table = [
        (
            with(role(), "/spec/role", json!("Admin")),
            "Unsupported value: \"Admin\"",
        ),
        (
            with(role(), "/spec/principal/kind", json!("Robot")),
            "Unsupported value: \"Robot\"",
        ),
        (
            with(role(), "/spec/principal/name", json!("")),
            "spec.principal.name",
        ),
        (
            with(role(), "/spec/principal", json!({"kind": "User"})),
            "spec.principal.name: Required",
        ),
        (
            named(manifest::workspace(""), &long(41)),
            "at most 40 characters",
        ),
        (
            named(manifest::workspace(""), "a.b"),
            "begins with a letter, holds only",
        ),
        (
            named(manifest::workspace(""), "1team"),
            "begins with a letter",
        ),
        (
            named(manifest::workspace(""), "default"),
            "is not \"default\"",
        ),
        (named(role(), &long(53)), "at most 52 characters"),
        (named(target(), &long(41)), "at most 40 characters"),
        (
            named(target(), "a.b"),
            "begins with a letter and holds only",
        ),
        (named(run(), &long(51)), "at most 50 characters"),
        (named(run(), "a.b"), "holds only a-z, 0-9 and -"),
        (named(service(), "ab"), "3 to 32 characters"),
        (named(service(), &long(33)), "3 to 32 characters"),
        (named(service(), "1model"), "begins with a letter"),
        (
            with(target(), "/spec/managed/nodes", json!({"min": 3, "max": 2})),
            "nodes.min must not be greater",
        ),
        (
            with(
                target(),
                "/spec/managed/nodes",
                json!({"min": -1, "max": 2}),
            ),
            "nodes.min",
        ),
        (
            with(target(), "/spec/managed/nodes", json!({"min": 0})),
            "nodes.max: Required",
        ),
        (
            with(
                target(),
                "/spec/managed/idleSecondsBeforeScaleDown",
                json!(-1),
            ),
            "idleSecondsBeforeScaleDown",
        ),
        (
            with(target(), "/spec/managed/resources/cpu", json!("much")),
            "spec.managed.resources.cpu",
        ),
        (
            with(target(), "/spec/managed/priority", json!("High")),
            "Unsupported value: \"High\"",
        ),
        (with(run(), "/spec/command", json!([])), "spec.command"),
        (with(run(), "/spec/command", Value::Null), "spec.command"),
        (
            with(run(), "/spec/experiment", json!("no spaces")),
            "spec.experiment",
        ),
        (
            with(run(), "/spec/maxDurationSeconds", json!(0)),
            "spec.maxDurationSeconds",
        ),
        (
            with(
                run(),
                "/spec/env",
                json!([{"name": "ATELIER_RUN", "value": "x"}]),
            ),
            "ATELIER_ are reserved",
        ),
        (
            with(run(), "/spec/env", json!([{"name": "1A", "value": "x"}])),
            "spec.env[0].name",
        ),
        (
            with(run(), "/spec/args", json!(vec![long(4096); 128 * 2])),
            "spec.args",
        ),
        (
            with(run(), "/spec/args", json!([long(1 << 20)])),
            "spec.args[0]",
        ),
        (
            with(
                run(),
                "/spec/env",
                json!([{"name": "A", "value": long(3 << 20)}]),
            ),
            "",
        ),
        (
            with(
                with(service(), "/spec/class", json!("Instance")),
                "/spec/replicas",
                json!(2),
            ),
            "has one replica",
        ),
        (
            with(
                with(service(), "/spec/class", json!("Instance")),
                "/spec/autoscale",
                json!({}),
            ),
            "use class Cluster for autoscale",
        ),
        (
            with(
                with(service(), "/spec/autoscale", json!({})),
                "/spec/replicas",
                json!(2),
            ),
            "replicas follows the load",
        ),
        (
            with(service(), "/spec/autoscale", json!({"min": 3, "max": 2})),
            "autoscale.min is at most autoscale.max",
        ),
        (
            with(service(), "/spec/autoscale", json!({"min": 0})),
            "spec.autoscale.min",
        ),
        (
            with(service(), "/spec/replicas", json!(-1)),
            "spec.replicas",
        ),
        (with(service(), "/spec/port", json!(80)), "spec.port"),
        (
            with(service(), "/spec/port", json!(8080)),
            "belong to the gateway",
        ),
        (
            with(service(), "/spec/scorePath", json!("score")),
            "spec.scorePath",
        ),
        (
            with(service(), "/spec/scorePath", json!("/swagger.json")),
            "/swagger.json is taken",
        ),
        (
            with(service(), "/spec/auth", json!({"mode": "Both"})),
            "Unsupported value: \"Both\"",
        ),
        (
            with(
                service(),
                "/spec/auth",
                json!({"keyGeneration": {"primary": 0}}),
            ),
            "keyGeneration.primary",
        ),
        (
            with(service(), "/spec/limits", json!({"timeoutMs": 0})),
            "spec.limits.timeoutMs",
        ),
        (with(service(), "/spec/image", json!("")), "spec.image"),
    ];
    let mut wrong = vec![];
    for (manifest, told) in table {
        let kind = manifest["kind"].as_str().unwrap().to_owned();
        let name = manifest["metadata"]["name"].as_str().unwrap().to_owned();
        let (code, message) = refusal(
            any::api(&ns, &kind)
                .create(&PostParams::default(), &any::object(&kind, manifest))
                .await,
        );
        let short: String = message.chars().take(300).collect();
        if !(400..500).contains(&code) || !message.contains(told) {
            wrong.push(format!(
                "{kind} {name}: wanted {told:?}, got {code} {short}"
            ));
        }
        if any::api(&ns, &kind).get_opt(&name).await.unwrap().is_some() {
            wrong.push(format!("{kind} {name} was stored"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    ns.finish().await;
}

#[tokio::test]
async fn a_field_that_does_not_exist_is_refused_by_name() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::open("input-unknown").await;
    let mut wrong = vec![];
    for (manifest, field) in [
        (
            with(service(), "/spec/autoscaling", json!({"max": 3})),
            "spec.autoscaling",
        ),
        (
            with(service(), "/spec/scorepath", json!("/x")),
            "spec.scorepath",
        ),
        (
            with(target(), "/spec/managed/nodes/maximum", json!(3)),
            "spec.managed.nodes.maximum",
        ),
        (with(run(), "/spec/comand", json!(["x"])), "spec.comand"),
        (
            with(manifest::workspace("team"), "/spec/region", json!("local")),
            "spec.region",
        ),
        (with(role(), "/spec/roles", json!([])), "spec.roles"),
    ] {
        let (ok, output) = ns.cluster.kubectl(
            &["-n", &ns.name, "create", "--validate=strict", "-f", "-"],
            &manifest.to_string(),
        );
        if ok || !output.contains(&format!("unknown field \"{field}\"")) {
            wrong.push(format!("{field}: {output}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    ns.finish().await;
}

#[tokio::test]
async fn what_is_fixed_cannot_be_changed_and_the_message_says_what_to_do() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::open("input-fixed").await;
    // No workspace is there: the objects stay as they are.
    for manifest in [
        manifest::workspace("team"),
        with(
            manifest::workspace("filed"),
            "/spec/fileShare",
            json!({"embedded": {"size": "1Gi"}}),
        ),
        role(),
        with(
            with(
                target(),
                "/spec/managed/nodeSelector",
                json!({"disk": "fast"}),
            ),
            "/spec/managed/tolerations",
            json!([]),
        ),
        with(run(), "/spec/env", json!([{"name": "A", "value": "b"}])),
        with(named(run(), "gone"), "/spec/cancel", json!(true)),
        service(),
    ] {
        let kind = manifest["kind"].as_str().unwrap().to_owned();
        any::create(&ns, &kind, manifest).await;
    }
    let another_run = "a run cannot be changed, only canceled";
    let mut wrong = vec![];
    for (kind, name, spec, told) in [
        (
            "Workspace",
            "team",
            json!({"location": "moon"}),
            "location is fixed",
        ),
        (
            "Workspace",
            "filed",
            json!({"fileShare": {"type": "None"}}),
            "fileShare.type is fixed",
        ),
        (
            "Workspace",
            "filed",
            json!({"fileShare": {"embedded": {"size": "20Gi"}}}),
            "enlarge its PersistentVolumeClaim",
        ),
        (
            "Workspace",
            "filed",
            json!({"fileShare": {"embedded": null}}),
            "enlarge its PersistentVolumeClaim",
        ),
        (
            "Workspace",
            "team",
            json!({"fileShare": {"type": "PersistentVolumeClaim"}}),
            "has the fields of its type",
        ),
        (
            "RoleAssignment",
            "a",
            json!({"role": "Owner"}),
            "delete it and make another",
        ),
        (
            "RoleAssignment",
            "a",
            json!({"principal": {"name": "eve"}}),
            "delete it and make another",
        ),
        (
            "RoleAssignment",
            "a",
            json!({"principal": {"namespace": "x"}}),
            "delete it and make another",
        ),
        (
            "ComputeTarget",
            "cpu",
            json!({"managed": {"resources": {"cpu": "2"}}}),
            "resources are fixed",
        ),
        (
            "ComputeTarget",
            "cpu",
            json!({"managed": {"priority": "LowPriority"}}),
            "priority and resources are fixed",
        ),
        (
            "ComputeTarget",
            "cpu",
            json!({"managed": {"nodeSelector": null}}),
            "nodeSelector is fixed",
        ),
        (
            "ComputeTarget",
            "cpu",
            json!({"managed": {"tolerations": null}}),
            "tolerations are fixed",
        ),
        (
            "ComputeTarget",
            "cpu",
            json!({"managed": {"nodes": {"min": 5}}}),
            "nodes.min must not be greater",
        ),
        ("Run", "a", json!({"command": ["false"]}), another_run),
        (
            "Run",
            "a",
            json!({"image": "localhost/other:1"}),
            another_run,
        ),
        ("Run", "a", json!({"computeTarget": "gpu"}), another_run),
        ("Run", "a", json!({"experiment": "other"}), another_run),
        ("Run", "a", json!({"env": null}), another_run),
        ("Run", "a", json!({"args": ["x"]}), another_run),
        ("Run", "a", json!({"maxDurationSeconds": 5}), another_run),
        (
            "Run",
            "gone",
            json!({"cancel": false}),
            "a cancellation cannot be taken back",
        ),
        (
            "Run",
            "gone",
            json!({"cancel": null}),
            "a cancellation cannot be taken back",
        ),
        (
            "WebService",
            "model",
            json!({"class": "Instance"}),
            "class is fixed",
        ),
        (
            "WebService",
            "model",
            json!({"class": null, "replicas": -1}),
            "spec.replicas",
        ),
    ] {
        let api = any::api(&ns, kind);
        let before = api.get(name).await.unwrap();
        let patch = Patch::Merge(json!({"spec": spec}));
        let (code, message) = refusal(api.patch(name, &PatchParams::default(), &patch).await);
        if code != 422 || !message.contains(told) {
            wrong.push(format!(
                "{kind} {name} {spec}: wanted {told:?}, got {code} {message}"
            ));
        }
        let after = api.get(name).await.unwrap();
        if after.data["spec"] != before.data["spec"]
            || after.metadata.generation != before.metadata.generation
        {
            wrong.push(format!("{kind} {name} {spec}: changed"));
        }
        assert_eq!(after.uid(), before.uid());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    // What may change does.
    for (kind, name, spec) in [
        (
            "ComputeTarget",
            "cpu",
            json!({"managed": {"nodes": {"min": 1, "max": 5}, "idleSecondsBeforeScaleDown": 9}}),
        ),
        ("Run", "a", json!({"cancel": true})),
        (
            "WebService",
            "model",
            json!({"replicas": 3, "image": "localhost/other:1"}),
        ),
    ] {
        let patch = Patch::Merge(json!({"spec": spec}));
        let patched = any::api(&ns, kind)
            .patch(name, &PatchParams::default(), &patch)
            .await;
        assert_eq!(refusal(patched), (0, String::new()), "{kind} {name}");
    }
    ns.finish().await;
}
