//! What a StorageClass can do: pure.

use std::sync::Arc;

use atelier_api::v1alpha1::AccessMode;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt as _;

/// The annotation of the class that a claim gets which names none.
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

/// Drivers whose volumes may be mounted on many nodes at the same time, by the documentation of each. What ends with a
/// dot and more is the end of a name that the installation may prefix.
const FOR_MANY: [&str; 13] = [
    "csi.juicefs.com",
    "driver.longhorn.io",
    "efs.csi.aws.com",
    "file.csi.azure.com",
    "filestore.csi.storage.gke.io",
    "fsx.csi.aws.com",
    "lustre.csi.storage.gke.io",
    "nfs.csi.k8s.io",
    "org.gluster.glusterfs",
    "quobyte-csi",
    "smb.csi.k8s.io",
    "spectrumscale.csi.ibm.com",
    "weka.csi.weka.io",
];
/// How the names of drivers end that the installation may prefix.
const ENDS_FOR_MANY: [&str; 2] = ["cephfs.csi.ceph.com", "nfs-subdir-external-provisioner"];

/// The class of this name; without one, the cluster's default, and of several the newest, as the API server has it.
pub fn chosen<'a>(
    name: Option<&str>,
    classes: &'a [Arc<StorageClass>],
) -> Option<&'a StorageClass> {
    let mut all = classes.iter().map(AsRef::as_ref);
    let Some(name) = name else {
        let defaults = all.filter(|class| is_default(class));
        return defaults.max_by_key(|class| {
            let made = class.creation_timestamp().map(|made| made.0);
            // Of two of one second the first by name.
            (made, std::cmp::Reverse(class.name_any()))
        });
    };
    all.find(|class| class.name_any() == name)
}

fn is_default(class: &StorageClass) -> bool {
    class
        .annotations()
        .get(DEFAULT)
        .is_some_and(|is| is == "true")
}

/// The widest way in which volumes of a class are known to be mountable.
pub fn widest(class: &StorageClass) -> AccessMode {
    let driver = class.provisioner.as_str();
    let ends = ENDS_FOR_MANY.iter().any(|end| driver.ends_with(end));
    match ends || FOR_MANY.contains(&driver) {
        true => AccessMode::ReadWriteMany,
        false => AccessMode::ReadWriteOnce,
    }
}

/// Whether its volumes are made when a pod first mounts them.
pub fn waits_for_first_use(class: &StorageClass) -> bool {
    class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer")
}

/// What others go by: whatever decides about a claim.
pub fn told(class: &StorageClass) -> Option<String> {
    let waits = waits_for_first_use(class);
    let (_, encrypts) = super::encryption::encrypts(class);
    Some(format!(
        "{} {waits} {} {encrypts}",
        class.provisioner,
        is_default(class)
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn class(name: &str, driver: &str, made: &str, annotations: Value) -> Arc<StorageClass> {
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": driver,
            "metadata": {"name": name, "creationTimestamp": made, "annotations": annotations}});
        Arc::new(serde_json::from_value(class).expect("a class"))
    }

    const EARLY: &str = "2026-01-01T00:00:00Z";
    const LATE: &str = "2026-02-01T00:00:00Z";

    #[test]
    fn without_a_name_it_is_the_newest_of_the_defaults() {
        let default = json!({DEFAULT: "true"});
        let classes = [
            class("plain", "d", LATE, json!({})),
            class("old", "d", EARLY, default.clone()),
            class("new", "d", LATE, default.clone()),
            class("newer-by-name", "d", LATE, default),
            class("not", "d", LATE, json!({DEFAULT: "false"})),
        ];
        let name = |wish| chosen(wish, &classes).map(|class| class.name_any());
        assert_eq!(name(None).as_deref(), Some("new"));
        assert_eq!(name(Some("plain")).as_deref(), Some("plain"));
        assert_eq!(name(Some("other")), None);
        assert!(chosen(None, &classes[..1]).is_none());
    }

    #[test]
    fn only_what_is_known_to_be_for_many_nodes_is() {
        for (driver, mode) in [
            ("nfs.csi.k8s.io", AccessMode::ReadWriteMany),
            ("rook-ceph.cephfs.csi.ceph.com", AccessMode::ReadWriteMany),
            ("rook-ceph.rbd.csi.ceph.com", AccessMode::ReadWriteOnce),
            ("rancher.io/local-path", AccessMode::ReadWriteOnce),
            ("ebs.csi.aws.com", AccessMode::ReadWriteOnce),
        ] {
            assert_eq!(
                widest(&class("c", driver, EARLY, json!({}))),
                mode,
                "{driver}"
            );
        }
    }
}
