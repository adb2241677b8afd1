//! The file share of a workspace: a claim of its own or one that the team brings, what it says while there is no volume,
//! whether what is on it is encrypted, and what becomes of the files.

use atelier_api::Workspace;
use atelier_api::conditions::{FILE_SHARE_READY, VOLUME_ENCRYPTED};
use atelier_api::labels::VOLUMES_ENCRYPTED;
use atelier_testkit::manifest::IMAGE;
use atelier_testkit::namespace::{QUICK, SLOW, condition};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::ClusterResourceScope;
use kube::{Api, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const CLAIM: &str = "team-files";

fn workspace(share: Value, policy: &str) -> Value {
    json!({"apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace", "metadata": {"name": "team"},
        "spec": {"storage": {"type": "None"}, "fileShare": share, "deletionPolicy": policy}})
}

/// Waits until the file share says so, and returns the message.
async fn share(namespace: &TestNamespace, status: &str, reason: &str) -> String {
    let workspace: Workspace = namespace
        .condition("team", FILE_SHARE_READY, status, reason, SLOW)
        .await;
    condition(&workspace, FILE_SHARE_READY).unwrap().message
}

/// A pod like anybody's that mounts a claim and runs a script in it.
async fn mount(namespace: &TestNamespace, name: &str, claim: &str, script: &str) {
    let restricted = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "restartPolicy": "Never", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "files", "persistentVolumeClaim": {"claimName": claim}}],
        "containers": [{"name": "main", "image": IMAGE, "imagePullPolicy": "Never", "securityContext": restricted,
            "workingDir": "/files", "command": ["/bin/sh", "-ec", script],
            "volumeMounts": [{"name": "files", "mountPath": "/files"}]}]}});
    namespace.create::<Pod>(pod).await;
    eventually(SLOW, &format!("pod {name} has succeeded"), async || {
        let pods = namespace.api::<Pod>();
        let pod = pods.get(name).await.map_err(|e| e.to_string())?;
        let phase = pod.status.and_then(|status| status.phase);
        check(phase.as_deref() == Some("Succeeded"), phase)
    })
    .await;
    namespace.delete::<Pod>(name).await;
}

/// Makes something of the whole cluster, which the caller takes away.
async fn make<K>(namespace: &TestNamespace, manifest: Value) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let api: Api<K> = Api::all(namespace.cluster.client.clone());
    let object = serde_json::from_value(manifest).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
    api
}

fn class(name: &str, driver: &str) -> Value {
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, "provisioner": driver})
}

/// A volume that somebody has made by hand, for pods on all nodes.
fn volume(name: &str, class: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
        "capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": class,
        "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/tmp", "type": "Directory"}}})
}

#[tokio::test]
async fn a_workspace_has_a_folder_that_pods_share_and_that_stays_for_the_next_of_its_name() {
    let namespace = TestNamespace::open("files").await;
    namespace
        .create::<Workspace>(workspace(json!({}), "Retain"))
        .await;
    // The class of this cluster makes a volume when a pod has been placed.
    let said = share(&namespace, "Unknown", "WaitsForFirstUse").await;
    assert!(said.contains(CLAIM) && said.contains("one node"), "{said}");
    namespace.ready::<Workspace>("team", QUICK).await;
    mount(&namespace, "writes", CLAIM, "echo from another pod > note").await;
    let said = share(&namespace, "True", "Bound").await;
    assert!(
        said.contains("10Gi") && said.contains("ReadWriteOnce"),
        "{said}"
    );
    let team: Workspace = namespace.api().get("team").await.unwrap();
    let status = team.status.unwrap().file_share.unwrap();
    assert_eq!(
        (status.claim_name.as_str(), status.capacity.as_deref()),
        (CLAIM, Some("10Gi"))
    );
    let claims = namespace.api::<PersistentVolumeClaim>();
    let before = claims.get(CLAIM).await.unwrap();

    let closed = async || {
        namespace.delete::<Workspace>("team").await;
        let rights = "atelier-workspace-manager";
        namespace.gone::<RoleBinding>(rights, None, SLOW).await;
    };
    closed().await;
    namespace
        .create::<Workspace>(workspace(json!({}), "Delete"))
        .await;
    share(&namespace, "True", "Bound").await;
    let after = claims.get(CLAIM).await.unwrap();
    assert_eq!(before.uid(), after.uid());
    mount(
        &namespace,
        "reads",
        CLAIM,
        "grep -x 'from another pod' note",
    )
    .await;
    namespace.gone::<Pod>("reads", None, SLOW).await;

    // This one takes it with it.
    closed().await;
    namespace
        .gone::<PersistentVolumeClaim>(CLAIM, None, SLOW)
        .await;
    namespace.finish().await;
}

#[tokio::test]
async fn where_the_class_can_the_folder_is_for_pods_on_all_nodes() {
    let namespace = TestNamespace::open("files-many").await;
    let name = namespace.name.clone();
    // What the driver of that name can is known by its name. Here a volume that was made by hand stands in for it.
    let classes: Api<StorageClass> = make(&namespace, class(&name, "nfs.csi.k8s.io")).await;
    let volumes: Api<PersistentVolume> = make(&namespace, volume(&name, &name)).await;
    let wish = json!({"embedded": {"storageClassName": name}});
    namespace
        .create::<Workspace>(workspace(wish, "Retain"))
        .await;
    let said = share(&namespace, "True", "Bound").await;
    assert!(said.contains("all nodes"), "{said}");
    let claim: PersistentVolumeClaim = namespace.api().get(CLAIM).await.unwrap();
    assert_eq!(
        claim.spec.unwrap().access_modes,
        Some(vec!["ReadWriteMany".into()])
    );
    mount(&namespace, "writes", CLAIM, "touch .").await;
    volumes.delete(&name, &DeleteParams::default()).await.ok();
    classes.delete(&name, &DeleteParams::default()).await.ok();
    namespace.finish().await;
}

#[tokio::test]
async fn without_a_class_nothing_is_made_until_there_is_one_which_tells_whether_it_encrypts() {
    let namespace = TestNamespace::open("files-class").await;
    let name = namespace.name.clone();
    let wish = json!({"embedded": {"storageClassName": name}});
    namespace
        .create::<Workspace>(workspace(wish, "Retain"))
        .await;
    let said = share(&namespace, "False", "NoStorageClass").await;
    assert!(said.contains(&name), "{said}");
    namespace.ready::<Workspace>("team", QUICK).await;
    let claims = namespace.api::<PersistentVolumeClaim>();
    assert!(claims.get_opt(CLAIM).await.unwrap().is_none());
    let classes: Api<StorageClass> = make(&namespace, class(&name, "example.com/nobody")).await;
    let said = share(&namespace, "False", "Provisioning").await;
    assert!(said.contains(CLAIM), "{said}");
    let claim = claims.get(CLAIM).await.unwrap();
    assert_eq!(
        claim.spec.unwrap().access_modes,
        Some(vec!["ReadWriteOnce".into()])
    );

    let encrypted = async |status, reason| {
        let workspace: Workspace = namespace
            .condition("team", VOLUME_ENCRYPTED, status, reason, SLOW)
            .await;
        condition(&workspace, VOLUME_ENCRYPTED).unwrap().message
    };
    let said = encrypted("Unknown", "ClassDoesNotTell").await;
    assert!(said.contains(VOLUMES_ENCRYPTED), "{said}");
    for (says, status, reason) in [
        ("true", "True", "ClassEncrypts"),
        ("false", "False", "ClassDoesNotEncrypt"),
    ] {
        let note = Patch::Merge(json!({"metadata": {"annotations": {VOLUMES_ENCRYPTED: says}}}));
        let params = PatchParams::default();
        classes.patch(&name, &params, &note).await.unwrap();
        let said = encrypted(status, reason).await;
        assert!(said.contains(&name), "{said}");
    }
    classes.delete(&name, &DeleteParams::default()).await.ok();
    namespace.finish().await;
}

#[tokio::test]
async fn a_claim_that_the_team_brings_is_followed_and_neither_changed_nor_deleted() {
    let namespace = TestNamespace::open("files-brought").await;
    let wish =
        json!({"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "ours"}});
    namespace
        .create::<Workspace>(workspace(wish, "Delete"))
        .await;
    let said = share(&namespace, "False", "ClaimMissing").await;
    assert!(said.contains("ours"), "{said}");
    let claim = |mode: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "ours"}, "spec": {
            "volumeMode": mode, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
    };
    namespace
        .create::<PersistentVolumeClaim>(claim("Block"))
        .await;
    share(&namespace, "False", "ClaimUnsuitable").await;
    namespace.delete::<PersistentVolumeClaim>("ours").await;
    share(&namespace, "False", "ClaimMissing").await;
    let made: PersistentVolumeClaim = namespace.create(claim("Filesystem")).await;
    share(&namespace, "Unknown", "WaitsForFirstUse").await;
    mount(&namespace, "writes", "ours", "echo mine > note").await;
    share(&namespace, "True", "Bound").await;

    namespace.delete::<Workspace>("team").await;
    let rights = "atelier-workspace-manager";
    namespace.gone::<RoleBinding>(rights, None, SLOW).await;
    let left: PersistentVolumeClaim = namespace.api().get("ours").await.unwrap();
    assert_eq!(left.uid(), made.uid());
    assert!(left.metadata.deletion_timestamp.is_none());
    assert_eq!(left.labels(), made.labels());
    namespace.finish().await;
}
