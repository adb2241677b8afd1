//! Whether what is on volumes of a StorageClass is encrypted at rest: pure.

use atelier_api::WorkspaceStatus;
use atelier_api::conditions::{VOLUME_ENCRYPTED, reasons};
use atelier_api::labels::VOLUMES_ENCRYPTED;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt as _;

use crate::kit::conditions::kept;

/// Drivers whose volumes are always encrypted, by the documentation of each cloud.
const ALWAYS: [&str; 7] = [
    "disk.csi.azure.com",
    "dobs.csi.digitalocean.com",
    "file.csi.azure.com",
    "filestore.csi.storage.gke.io",
    "kubernetes.io/azure-disk",
    "kubernetes.io/gce-pd",
    "pd.csi.storage.gke.io",
];

/// Drivers that are told by a parameter of the class, and what it has to be, by the documentation of each. What the driver
/// does without it, an account or a disk below may decide. The end of a name, which an installation may prefix.
const BY_PARAMETER: [(&str, &str, &str); 9] = [
    ("cephfs.csi.ceph.com", "encrypted", "true"),
    ("diskplugin.csi.alibabacloud.com", "encrypted", "true"),
    ("driver.longhorn.io", "encrypted", "true"),
    ("ebs.csi.aws.com", "encrypted", "true"),
    ("ebs.csi.eks.amazonaws.com", "encrypted", "true"),
    ("kubernetes.io/aws-ebs", "encrypted", "true"),
    (
        "linodebs.csi.linode.com",
        "linodebs.csi.linode.com/encrypted",
        "true",
    ),
    ("rbd.csi.ceph.com", "encrypted", "true"),
    ("storage.csi.upcloud.com", "encryption", "data-at-rest"),
];

/// What is so of a volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Encryption {
    /// Whether it is encrypted; `None` where that does not show.
    pub is: Option<bool>,
    /// A stable reason.
    pub reason: String,
    /// What is so, and what to do about it.
    pub message: String,
}

impl Encryption {
    /// What the status says of it.
    pub fn recorded(status: &WorkspaceStatus) -> Option<Self> {
        let (is, reason, message) = kept(&status.conditions, VOLUME_ENCRYPTED)?;
        Some(Self {
            is,
            reason: reason.into(),
            message: message.into(),
        })
    }

    /// That of the claim's volume.
    pub fn of(claim: &str, class: Option<&StorageClass>) -> Self {
        let Some(class) = class else {
            return Self::new(
                None,
                format!(
                    "PersistentVolumeClaim {claim} has no StorageClass that would tell whether its volume is encrypted"
                ),
            );
        };
        let (is, why) = encrypts(class);
        let name = class.name_any();
        let message = match is {
            Some(true) => {
                format!(
                    "the volume of PersistentVolumeClaim {claim} is encrypted: StorageClass {name}, {why}"
                )
            }
            Some(false) => format!(
                "the volume of PersistentVolumeClaim {claim} is not encrypted: StorageClass {name}, {why}; name another \
                 in a new workspace"
            ),
            None => format!(
                "StorageClass {name}, {why}, does not tell whether its volumes are encrypted; an administrator who \
                 knows writes it into its annotation {VOLUMES_ENCRYPTED}"
            ),
        };
        Self::new(is, message)
    }

    fn new(is: Option<bool>, message: String) -> Self {
        let reason = match is {
            Some(true) => reasons::CLASS_ENCRYPTS,
            Some(false) => reasons::CLASS_DOES_NOT_ENCRYPT,
            None => reasons::CLASS_DOES_NOT_TELL,
        };
        Self {
            is,
            reason: reason.into(),
            message,
        }
    }
}

/// Whether volumes of a class are encrypted, and who says so. An administrator knows more than we.
pub fn encrypts(class: &StorageClass) -> (Option<bool>, String) {
    let said = class.annotations().get(VOLUMES_ENCRYPTED);
    if let Some(said) = said.and_then(|said| said.parse().ok()) {
        return (
            Some(said),
            format!("annotation {VOLUMES_ENCRYPTED}: {said}"),
        );
    }
    let driver = class.provisioner.as_str();
    let by_driver = format!("driver {driver}");
    if ALWAYS.contains(&driver) {
        return (Some(true), by_driver);
    }
    let parameters = class.parameters.iter().flatten();
    let by_parameter = BY_PARAMETER
        .iter()
        .find(|(end, ..)| driver.ends_with(end))
        .and_then(|(_, name, encrypted)| {
            let (_, value) = parameters.into_iter().find(|(key, _)| key == name)?;
            let is = value.eq_ignore_ascii_case(encrypted);
            Some((Some(is), format!("parameter {name}: {value}")))
        });
    by_parameter.unwrap_or((None, by_driver))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn class(driver: &str, parameters: Value, said: Option<&str>) -> StorageClass {
        let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": driver,
            "parameters": parameters, "metadata": {"name": "c",
                "annotations": said.map(|said| json!({VOLUMES_ENCRYPTED: said}))}});
        serde_json::from_value(class).expect("a class")
    }

    #[test]
    fn what_shows_in_a_class_is_said_and_what_does_not_is_not() {
        for (driver, parameters, said, is) in [
            ("pd.csi.storage.gke.io", json!({}), None, Some(true)),
            (
                "ebs.csi.aws.com",
                json!({"encrypted": "true"}),
                None,
                Some(true),
            ),
            (
                "ebs.csi.aws.com",
                json!({"encrypted": "false"}),
                None,
                Some(false),
            ),
            // The account may have it encrypted all the same.
            ("ebs.csi.aws.com", json!({"type": "gp3"}), None, None),
            (
                "rook-ceph.rbd.csi.ceph.com",
                json!({"encrypted": "True"}),
                None,
                Some(true),
            ),
            (
                "storage.csi.upcloud.com",
                json!({"encryption": "data-at-rest"}),
                None,
                Some(true),
            ),
            (
                "rancher.io/local-path",
                json!({"encrypted": "true"}),
                None,
                None,
            ),
            ("rancher.io/local-path", json!({}), Some("true"), Some(true)),
            (
                "pd.csi.storage.gke.io",
                json!({}),
                Some("false"),
                Some(false),
            ),
            ("rancher.io/local-path", json!({}), Some("perhaps"), None),
        ] {
            let class = class(driver, parameters.clone(), said);
            assert_eq!(encrypts(&class).0, is, "{driver} {parameters} {said:?}");
        }
    }

    #[test]
    fn who_does_not_know_is_told_who_does() {
        let unknown = Encryption::of(
            "team-files",
            Some(&class("rancher.io/local-path", json!({}), None)),
        );
        assert!(
            unknown.is.is_none() && unknown.message.contains(VOLUMES_ENCRYPTED),
            "{unknown:?}"
        );
        let no_class = Encryption::of("team-files", None);
        assert!(
            no_class.is.is_none() && no_class.message.contains("team-files"),
            "{no_class:?}"
        );
    }
}
