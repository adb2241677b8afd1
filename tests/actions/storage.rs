//! Where a workspace keeps its objects: a server of its own, a store that the team brings, the keys, and what becomes of
//! all that. A server of its own needs a certificate, so the chart has `actions.enabled`; it has `storage.probe=5s`.

use std::path::{Path, PathBuf};
use std::process::Command;

use atelier_api::conditions::STORAGE_READY;
use atelier_api::v1alpha1::{GrantResource, GrantState};
use atelier_api::{RoleAssignment, Workspace};
use atelier_testkit::cluster::SYSTEM;
use atelier_testkit::manifest::role;
use atelier_testkit::namespace::{QUICK, SLOW, condition};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::team::{CONTRIBUTOR, client, plugin};

const SERVERS: &str = "app.kubernetes.io/component=storage";
const NAME: &str = "team-storage";

fn workspace(spec: Value) -> Value {
    json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace", "metadata": {"name": "team"}, "spec": spec})
}

/// A namespace with a workspace of this spec, and a Contributor.
pub async fn with(prefix: &str, spec: Value) -> TestNamespace {
    let namespace = TestNamespace::open(prefix).await;
    namespace.create::<Workspace>(workspace(spec)).await;
    namespace.ready::<Workspace>("team", QUICK).await;
    namespace
        .create::<RoleAssignment>(role(CONTRIBUTOR, "Contributor", CONTRIBUTOR))
        .await;
    namespace.ready::<RoleAssignment>(CONTRIBUTOR, QUICK).await;
    namespace
}

/// Waits until the storage says so, and returns the message.
pub async fn storage(namespace: &TestNamespace, status: &str, reason: &str) -> String {
    namespace
        .condition::<Workspace>("team", STORAGE_READY, status, reason, SLOW)
        .await;
    let workspace: Workspace = namespace.api().get("team").await.unwrap();
    condition(&workspace, STORAGE_READY).unwrap().message
}

async fn wrapped_by(namespace: &TestNamespace) -> Option<String> {
    let workspace: Workspace = namespace.api().get("team").await.unwrap();
    workspace.status.unwrap().storage.unwrap().wrapped_by
}

/// What it takes to use a namespace's embedded storage as a store that somebody else brings.
struct Brought {
    endpoint: String,
    ca: String,
    id: String,
    secret: String,
}

impl Brought {
    async fn of(namespace: &TestNamespace) -> Self {
        let secrets = namespace.api::<Secret>();
        let key = secrets.get(NAME).await.unwrap().data.unwrap();
        let (id, secret) = key.into_iter().next().unwrap();
        let tls = secrets.get("team-storage-tls").await.unwrap().data.unwrap();
        Self {
            endpoint: format!("https://team-storage.{}.svc:9000", namespace.name),
            ca: String::from_utf8(tls["ca.crt"].0.clone()).unwrap(),
            id,
            secret: String::from_utf8(secret.0).unwrap(),
        }
    }

    /// Stores its access key, with this secret, in another namespace: `atelier-credential-s3`.
    fn store(&self, namespace: &TestNamespace, secret: &str) {
        let id = format!("--from-literal=accessKeyId={}", self.id);
        let secret = format!("--from-literal=secretAccessKey={secret}");
        let args = ["credential", "store", "s3", &id, &secret];
        plugin(namespace, CONTRIBUTOR, &args).unwrap();
    }

    fn spec(&self, secret: &str) -> Value {
        json!({"storage": {"type": "S3", "s3": {"endpoint": self.endpoint, "bucket": "workspace", "prefix": "theirs",
            "caBundle": self.ca, "secretRef": {"name": secret}}}})
    }
}

/// The files below a folder that hold a text.
fn files_with(text: &str, folder: &Path) -> Vec<PathBuf> {
    let mut grep = Command::new("grep");
    let output = grep
        .args(["-rlaF", "--", text])
        .arg(folder)
        .output()
        .unwrap();
    assert!(
        output.status.code().is_some_and(|code| code < 2),
        "{output:?}"
    );
    let files = String::from_utf8(output.stdout).unwrap();
    files.lines().map(PathBuf::from).collect()
}

#[tokio::test]
async fn a_workspace_has_a_storage_of_its_own_under_the_strictest_standard() {
    let namespace = with("own", json!({})).await;
    storage(&namespace, "True", "Probed").await;
    let workspace: Workspace = namespace.api().get("team").await.unwrap();
    let status = workspace.status.clone().unwrap().storage.unwrap();
    assert_eq!(
        status.endpoint,
        format!("https://team-storage.{}.svc:9000", namespace.name)
    );
    let key = status.wrapped_by.unwrap();
    assert_eq!((status.generation, key.len()), (Some(1), 16));
    let granted = workspace.grant(GrantResource::Storage);
    assert_eq!(granted, Some(GrantState::Granted));

    let pods = namespace.pods(SERVERS).await;
    let spec = pods[0].spec.as_ref().unwrap();
    assert_eq!(spec.automount_service_account_token, Some(false));
    let namespaces: Api<Namespace> = Api::all(namespace.cluster.client.clone());
    let strict =
        json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let (params, strict) = (PatchParams::default(), Patch::Merge(strict));
    let patched = namespaces.patch(&namespace.name, &params, &strict).await;
    patched.unwrap();
    namespace.delete::<Pod>(&pods[0].name_any()).await;
    eventually(SLOW, "another server is there", async || {
        let deployment: Deployment = namespace.api().get(NAME).await.unwrap();
        let available = deployment.status.unwrap_or_default().available_replicas;
        let now = namespace.pods(SERVERS).await;
        let uids: Vec<_> = now.iter().map(|pod| pod.metadata.uid.clone()).collect();
        let other = uids.len() == 1 && uids[0] != pods[0].metadata.uid;
        check(available == Some(1) && other, (available, uids))
    })
    .await;
    namespace.finish().await;
}

#[tokio::test]
async fn no_credential_stands_in_the_files_of_etcd() {
    let namespace = with("etcd", json!({})).await;
    storage(&namespace, "True", "Probed").await;
    let password = format!("password-{}", namespace.name);
    let literal = format!("--from-literal=password={password}");
    let store = ["credential", "store", "s3", &literal];
    plugin(&namespace, CONTRIBUTOR, &store).unwrap();
    let brought = Brought::of(&namespace).await;
    let etcd = namespace.cluster.kubeconfig().with_file_name("etcd");
    // What is no credential is found: the search works.
    assert_ne!(files_with(&brought.endpoint, &etcd), Vec::<PathBuf>::new());
    for secret in [
        &brought.secret,
        &STANDARD.encode(&brought.secret),
        &password,
    ] {
        assert_eq!(files_with(secret, &etcd), Vec::<PathBuf>::new());
    }
    namespace.finish().await;
}

#[tokio::test]
async fn a_contributor_stores_a_credential_and_names_it_and_may_name_no_other_secret() {
    let theirs = with("theirs", json!({})).await;
    storage(&theirs, "True", "Probed").await;
    let brought = Brought::of(&theirs).await;

    let namespace = with("brings", json!({"storage": {"type": "None"}})).await;
    let secret = json!({"metadata": {"name": "private"}, "stringData": {"a": "b"}});
    let secret: Secret = serde_json::from_value(secret).unwrap();
    let params = PostParams::default();
    let created = namespace.api::<Secret>().create(&params, &secret).await;
    created.unwrap();
    let user = client(&namespace, CONTRIBUTOR);
    let as_contributor: Api<Workspace> = Api::namespaced(user.clone(), &namespace.name);
    let name = async |secret: &str| {
        let patch = Patch::Merge(json!({"spec": brought.spec(secret)}));
        let params = PatchParams::default();
        as_contributor.patch("team", &params, &patch).await
    };
    let refused = name("private").await.unwrap_err().to_string();
    assert!(
        refused.contains("may not read the Secret private"),
        "{refused}"
    );
    // Nobody has stored this one yet.
    name("atelier-credential-s3").await.unwrap();
    let why = storage(&namespace, "False", "CredentialMissing").await;
    assert!(why.contains("atelier-credential-s3"), "{why}");

    brought.store(&namespace, "not-the-right-one");
    let why = storage(&namespace, "False", "CredentialRefused").await;
    assert!(!why.contains("not-the-right-one"), "{why}");
    brought.store(&namespace, &brought.secret);
    storage(&namespace, "True", "Probed").await;
    let secrets: Api<Secret> = Api::namespaced(user, &namespace.name);
    assert!(secrets.get("atelier-credential-s3").await.is_err());
    // Who may not name it may still change everything else, and keep what is named.
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let params = PatchParams::default();
    let labelled = as_contributor.patch("team", &params, &label).await;
    labelled.unwrap();

    // The place is for life; which Secret has the credential is not.
    for moved in [
        json!({"spec": {"storage": {"s3": {"bucket": "another"}}}}),
        json!({"spec": {"storage": {"s3": {"prefix": null}}}}),
        json!({"spec": {"storage": null}}),
        json!({"spec": {"storage": {"type": "None", "s3": null}}}),
    ] {
        let refused = namespace.patch::<Workspace>("team", moved).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("fixed"), "{refused}");
    }
    let other = json!({"spec": {"storage": {"s3": {"secretRef": {"name": "private"}}}}});
    namespace.patch::<Workspace>("team", other).await.unwrap();
    let why = storage(&namespace, "False", "CredentialMissing").await;
    assert!(why.contains("Secret private lacks accessKeyId"), "{why}");
    namespace.finish().await;
    theirs.finish().await;
}

#[tokio::test]
async fn a_store_that_is_not_there_or_not_trusted_is_told_from_one_that_is() {
    let theirs = with("trusts", json!({})).await;
    storage(&theirs, "True", "Probed").await;
    let brought = Brought::of(&theirs).await;
    let namespace = with("mistakes", json!({"storage": {"type": "None"}})).await;
    brought.store(&namespace, &brought.secret);
    let mut spec = brought.spec("atelier-credential-s3");
    spec["storage"]["s3"]["caBundle"] = json!(null);
    let patched = namespace.patch::<Workspace>("team", json!({"spec": spec}));
    patched.await.unwrap();
    let why = storage(&namespace, "False", "StorageUnreachable").await;
    assert!(
        why.contains("not trusted") && why.contains("CA bundle"),
        "{why}"
    );
    let trusted = json!({"spec": {"storage": {"s3": {"caBundle": brought.ca}}}});
    namespace.patch::<Workspace>("team", trusted).await.unwrap();
    storage(&namespace, "True", "Probed").await;
    // The server is stopped: no pod of it may come back.
    let stopped = json!({"spec": {"hard": {"pods": "0"}}, "metadata": {"name": "none"}});
    let (made, said) = theirs.cluster.kubectl(
        &["-n", &theirs.name, "create", "-f", "-"],
        &json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": stopped["metadata"], "spec": stopped["spec"]})
            .to_string(),
    );
    assert!(made, "{said}");
    let pods = theirs.pods(SERVERS).await;
    theirs.delete::<Pod>(&pods[0].name_any()).await;
    storage(&namespace, "False", "StorageUnreachable").await;
    let why = storage(&theirs, "False", "StorageStarting").await;
    assert!(why.contains("exceeded quota"), "{why}");
    namespace.finish().await;
    theirs.finish().await;
}

#[tokio::test]
async fn the_grant_on_the_storage_is_taken_away_and_given_back() {
    let namespace = with("storage-grant", json!({})).await;
    storage(&namespace, "True", "Probed").await;
    let server = namespace.pods(SERVERS).await;
    let grant = "team-identity-storage";
    namespace.delete::<RoleBinding>(grant).await;
    let why = storage(&namespace, "False", "GrantMissing").await;
    assert!(
        why.contains("GrantMissing/Storage") && why.contains("resync"),
        "{why}"
    );
    // The other grant is another object.
    let workspace: Workspace = namespace.api().get("team").await.unwrap();
    let other = workspace.grant(GrantResource::Workspace);
    assert_eq!(other, Some(GrantState::Granted));
    plugin(&namespace, CONTRIBUTOR, &["resync", "team"]).unwrap();
    storage(&namespace, "True", "Probed").await;
    let same = namespace.pods(SERVERS).await;
    assert_eq!(same[0].metadata.uid, server[0].metadata.uid);
    namespace.finish().await;
}

#[tokio::test]
async fn a_key_of_the_teams_own_is_rotated_and_closes_everything_when_it_is_gone() {
    let namespace = with("own-key", json!({})).await;
    storage(&namespace, "True", "Probed").await;
    let services = wrapped_by(&namespace).await;
    let key = |byte: u8| STANDARD.encode([byte; 32]);
    let store = |pairs: &[(&str, String)]| {
        let literal = |(name, value): &(&str, String)| format!("--from-literal={name}={value}");
        let literals: Vec<_> = pairs.iter().map(literal).collect();
        let mut args = vec!["credential", "store", "kek"];
        args.extend(literals.iter().map(String::as_str));
        plugin(&namespace, CONTRIBUTOR, &args).unwrap()
    };
    let other_than = async |former: &Option<String>| {
        eventually(SLOW, "the keys are wrapped by another", async || {
            let now = wrapped_by(&namespace).await;
            check(now != *former, now)
        })
        .await;
        storage(&namespace, "True", "Probed").await;
        wrapped_by(&namespace).await
    };
    store(&[("key", key(1))]);
    let named = json!({"spec": {"encryption": {"keyRef": {"name": "atelier-credential-kek"}}}});
    namespace.patch::<Workspace>("team", named).await.unwrap();
    let first = other_than(&services).await;
    store(&[("key", key(2)), ("previous", key(1))]);
    let second = other_than(&first).await;

    // Another key, and none that wraps the keys: nothing is opened, nothing is lost.
    store(&[("key", key(3))]);
    let why = storage(&namespace, "False", "KeyUnavailable").await;
    assert!(why.contains("wrapped by key"), "{why}");
    namespace.delete::<Secret>("atelier-credential-kek").await;
    eventually(SLOW, "the Secret that is gone is named", async || {
        let why = storage(&namespace, "False", "KeyUnavailable").await;
        check(why.contains("no Secret atelier-credential-kek"), why)
    })
    .await;
    store(&[("key", key(2))]);
    storage(&namespace, "True", "Probed").await;
    assert_eq!(wrapped_by(&namespace).await, second);
    // And back to the installation's own.
    let unnamed = json!({"spec": {"encryption": {"keyRef": null}}});
    namespace.patch::<Workspace>("team", unnamed).await.unwrap();
    assert_eq!(other_than(&second).await, services);
    namespace.finish().await;
}

/// Whether the operator keeps keys for the workspace of a namespace.
async fn has_keys(namespace: &TestNamespace) -> bool {
    let secrets: Api<Secret> = Api::namespaced(namespace.cluster.client.clone(), SYSTEM);
    let all = secrets.list(&ListParams::default()).await.unwrap();
    let place = format!("{}.team", namespace.name);
    let has = |secret: Secret| secret.data.unwrap_or_default().contains_key(&place);
    let rings = |secret: &Secret| secret.name_any().starts_with("atelier-storage-rings-");
    all.into_iter().filter(rings).any(has)
}

#[tokio::test]
async fn what_a_workspace_kept_stays_for_the_next_of_its_name_unless_it_was_to_go_with_it() {
    let namespace = with("kept", json!({})).await;
    storage(&namespace, "True", "Probed").await;
    let claim: PersistentVolumeClaim = namespace.api().get(NAME).await.unwrap();
    let key = wrapped_by(&namespace).await;
    let closed = async || {
        namespace.delete::<Workspace>("team").await;
        let rights = "atelier-workspace-manager";
        namespace.gone::<RoleBinding>(rights, None, SLOW).await;
        namespace.gone::<Deployment>(NAME, None, SLOW).await;
    };
    closed().await;
    assert!(has_keys(&namespace).await);
    let going = workspace(json!({"deletionPolicy": "Delete"}));
    namespace.create::<Workspace>(going).await;
    storage(&namespace, "True", "Probed").await;
    let again: PersistentVolumeClaim = namespace.api().get(NAME).await.unwrap();
    assert_eq!(again.metadata.uid, claim.metadata.uid);
    assert_eq!(wrapped_by(&namespace).await, key);

    // This one takes all with it.
    closed().await;
    let none = namespace.api::<PersistentVolumeClaim>().get_opt(NAME).await;
    assert!(
        none.unwrap()
            .is_none_or(|c| c.metadata.deletion_timestamp.is_some())
    );
    eventually(SLOW, "the keys are gone, too", async || {
        let has = has_keys(&namespace).await;
        check(!has, has)
    })
    .await;
    namespace.finish().await;
}

#[tokio::test]
async fn what_is_changed_of_a_storage_is_put_back_and_its_volume_is_never_made_anew() {
    let namespace = with("storage-drift", json!({})).await;
    storage(&namespace, "True", "Probed").await;
    let claim: PersistentVolumeClaim = namespace.api().get(NAME).await.unwrap();
    let key = async || namespace.api::<Secret>().get(NAME).await.unwrap().data;
    let before = key().await;
    let label = json!({"metadata": {"labels": {"app.kubernetes.io/name": "mine"}}});
    for (kind, patch) in [
        ("persistentvolumeclaims", label.clone()),
        ("secrets", label),
        ("services", json!({"spec": {"type": "NodePort"}})),
        ("deployments", json!({"spec": {"replicas": 3}})),
    ] {
        let (patch, of) = (patch.to_string(), ["-n", &namespace.name]);
        let args = ["patch", kind, NAME, "--type=merge", "-p", &patch];
        let (patched, said) = namespace.cluster.kubectl(&[&of[..], &args].concat(), "");
        assert!(patched, "{said}");
        let get = [&of[..], &["get", kind, NAME, "-o", "json"]].concat();
        eventually(QUICK, &format!("{kind} is as it was"), async || {
            let (_, now) = namespace.cluster.kubectl(&get, "");
            let now: Value = serde_json::from_str(&now).unwrap();
            let label = now["metadata"]["labels"]["app.kubernetes.io/name"].clone();
            let spec = (now["spec"]["type"].clone(), now["spec"]["replicas"].clone());
            let right = label == "atelier" && spec.0 != "NodePort" && spec.1 != 3;
            check(right, (label, spec))
        })
        .await;
    }
    assert_eq!(key().await, before);
    let same: PersistentVolumeClaim = namespace.api().get(NAME).await.unwrap();
    assert_eq!(same.metadata.uid, claim.metadata.uid);
    namespace.finish().await;
}
