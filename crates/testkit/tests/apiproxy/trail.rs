//! What the trail says, and who the API server thinks it is that asks.

use std::os::unix::fs::PermissionsExt as _;

use atelier_testkit::apiproxy::{EventType, Verb};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::bench::{Watched, bench, client, code, map, powerless};

#[tokio::test]
async fn the_client_is_who_it_is() {
    let bench = powerless().await;
    let Err(kube::Error::Api(refusal)) = bench.maps().get("a").await else {
        panic!("a ServiceAccount without rights reads");
    };
    let account = format!("system:serviceaccount:{}:client", bench.ns.name);
    assert_eq!(refusal.code, 403);
    assert!(refusal.message.contains(&account), "{}", refusal.message);
    assert_eq!(bench.trail().entries(|_| true)[0].user, account);
    // Nor is anybody the administrator who has no token at all.
    let nobody = client(bench.proxy.kubeconfig("none")).await;
    let maps: Api<ConfigMap> = Api::namespaced(nobody, &bench.ns.name);
    assert_eq!(code(maps.get("a").await), 401);
}

#[tokio::test]
async fn who_wrote_what_and_what_came_of_it() {
    let bench = bench().await;
    let maps = bench.maps();
    let as_me = PatchParams::apply("me");
    let made = maps
        .create(&PostParams::default(), &map("a", "1"))
        .await
        .unwrap();
    let (uid, version) = (made.uid().unwrap(), made.resource_version().unwrap());

    // Once with a version in it, once without one; each time to change something, and then to change nothing.
    let mut sent = map("a", "2");
    sent.metadata.resource_version = Some(version.clone());
    let changed = maps
        .replace("a", &PostParams::default(), &sent)
        .await
        .unwrap();
    sent.metadata.resource_version = changed.resource_version();
    maps.replace("a", &PostParams::default(), &sent)
        .await
        .unwrap();
    for value in ["3", "3"] {
        let merge = Patch::Merge(json!({"data": {"key": value}}));
        maps.patch("a", &PatchParams::default(), &merge)
            .await
            .unwrap();
    }
    let apply = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"other": "1"}});
    for _ in 0..2 {
        maps.patch("a", &as_me, &Patch::Apply(&apply))
            .await
            .unwrap();
    }
    // What a client insists on, in vain and not.
    let stale = Preconditions {
        uid: Some(uid.clone()),
        resource_version: Some(version.clone()),
    };
    let delete = DeleteParams::default().preconditions(stale);
    assert_eq!(code(maps.delete("a", &delete).await), 409);
    let delete = DeleteParams::default().preconditions(Preconditions {
        uid: Some(uid.clone()),
        resource_version: None,
    });
    maps.delete("a", &delete).await.unwrap();

    let writes = bench.trail().entries(|e| e.is_write());
    let told: Vec<_> = writes
        .iter()
        .map(|e| (e.verb, e.status, e.effective))
        .collect();
    assert_eq!(
        told,
        [
            (Verb::Create, Some(201), true),
            (Verb::Update, Some(200), true),
            (Verb::Update, Some(200), false),
            (Verb::Patch, Some(200), true),
            (Verb::Patch, Some(200), false),
            (Verb::Patch, Some(200), true),
            (Verb::Patch, Some(200), false),
            (Verb::Delete, Some(409), false),
            (Verb::Delete, Some(200), true),
        ]
    );
    let account = format!("system:serviceaccount:{}:client", bench.ns.name);
    for entry in &writes {
        assert_eq!((&entry.user, &entry.namespace), (&account, &bench.ns.name));
        assert_eq!(
            (entry.resource.as_str(), entry.name.as_str()),
            ("configmaps", "a")
        );
    }
    assert_eq!(
        writes[1].preconditions.resource_version,
        Some(version.clone())
    );
    assert_eq!(writes[3].preconditions.resource_version, None);
    assert_eq!(writes[5].field_manager, "me");
    assert_eq!(writes[5].body.as_ref().unwrap()["data"]["other"], "1");
    assert_eq!(writes[5].response.as_ref().unwrap()["data"]["other"], "1");
    assert_eq!(writes[7].preconditions.uid, Some(uid.clone()));
    assert_eq!(writes[7].preconditions.resource_version, Some(version));
    assert_eq!(writes[8].preconditions.uid, Some(uid));
    assert_eq!(bench.trail().effective_writes().len(), 5);
}

#[tokio::test]
async fn a_patch_that_changes_nothing_is_told_by_what_a_watch_said() {
    let bench = bench().await;
    let mut watched = Watched::start(bench.maps());
    watched.expect(&["init", "done"]).await;
    let next = tokio::spawn(async move { watched.expect(&["apply a"]).await });
    let made = bench.make("a").await;
    next.await.unwrap();
    let merge = Patch::Merge(json!({"data": {"key": "1"}}));
    bench
        .maps()
        .patch("a", &PatchParams::default(), &merge)
        .await
        .unwrap();
    assert!(bench.trail().effective_writes().is_empty());
    let frame = &bench.trail().frames(|f| f.name == "a")[0];
    assert_eq!(
        (frame.event, frame.kind.as_str()),
        (EventType::Added, "ConfigMap")
    );
    assert_eq!(
        (Some(&frame.uid), &frame.namespace),
        (made.metadata.uid.as_ref(), &bench.ns.name)
    );
    assert_eq!(
        Some(&frame.resource_version),
        made.metadata.resource_version.as_ref()
    );
}

#[tokio::test]
async fn what_is_not_stored_has_no_effect_and_secrets_are_not_shown() {
    let bench = bench().await;
    let client = bench.client.clone();
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    let review = serde_json::from_value(review).unwrap();
    let reviews: Api<k8s_openapi::api::authorization::v1::SelfSubjectAccessReview> =
        Api::all(client.clone());
    reviews
        .create(&PostParams::default(), &review)
        .await
        .unwrap();
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    bench.maps().create(&dry, &map("a", "1")).await.unwrap();
    assert!(bench.trail().effective_writes().is_empty());
    let secret = json!({"metadata": {"generateName": "s-"}, "stringData": {"key": "hush"}});
    let secrets: Api<Secret> = Api::namespaced(client, &bench.ns.name);
    let secret = serde_json::from_value(secret).unwrap();
    let made = secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    let written = bench.trail().effective_writes();
    assert_eq!(written[0].name, made.name_any());
    assert_eq!(
        written[0].body.as_ref().unwrap()["stringData"]["key"],
        "hush"
    );
    assert!(!format!("{:?}", bench.trail().entries(|_| true)).contains("hush"));
}

#[tokio::test]
async fn a_kubeconfig_can_be_written_for_others() {
    let bench = bench().await;
    let path = std::env::temp_dir().join(format!("apiproxy-{}", bench.ns.name));
    bench.proxy.write_kubeconfig(&bench.token, &path);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    bench.make("a").await;
    let file = path.to_str().unwrap();
    let get = [
        "--kubeconfig",
        file,
        "-n",
        &bench.ns.name,
        "get",
        "configmap",
        "a",
        "-o",
        "name",
    ];
    let (well, output) = bench.ns.cluster.kubectl(&get, "");
    assert!(well && output.trim() == "configmap/a", "{output}");
    std::fs::remove_file(&path).unwrap();
}
