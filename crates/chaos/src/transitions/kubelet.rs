//! Says of pods what a kubelet would say when no registry has their image. The laboratory's machines run everything.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::subject::NOWHERE;
use crate::user::User;

const POLL: Duration = Duration::from_millis(100);

/// Says it of every pod that has such an image, for ever.
pub async fn says_no_such_image(user: &User) -> anyhow::Result<()> {
    loop {
        let pods = user.api::<Pod>();
        for pod in pods.list(&ListParams::default()).await? {
            if pod.metadata.deletion_timestamp.is_none() && is_wrong(&pod) {
                let patch = Patch::Merge(refusal(&pod));
                let name = pod.name_any();
                match pods
                    .patch_status(&name, &PatchParams::default(), &patch)
                    .await
                {
                    Ok(_) => {}
                    // It went meanwhile.
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Whether it runs what cannot be had.
fn is_wrong(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let mut containers = spec.into_iter().flat_map(|spec| {
        let init = spec.init_containers.iter().flatten();
        init.chain(&spec.containers)
    });
    let bad = containers.any(|one| one.image.as_deref() == Some(NOWHERE));
    let runs = pod.status.as_ref().is_some_and(|status| {
        let conditions = status.conditions.iter().flatten();
        let mut ready = conditions.filter(|one| one.type_ == "Ready");
        ready.any(|one| one.status == "True")
    });
    bad && runs
}

/// The phase stays `Running`: the laboratory starts what is `Pending` once more.
fn refusal(pod: &Pod) -> Value {
    let spec = pod.spec.clone().unwrap_or_default();
    let status = |container: &Container| {
        let image = container.image.clone().unwrap_or_default();
        let state = match image == NOWHERE {
            true => json!({"waiting": {"reason": "ImagePullBackOff",
                "message": format!("Back-off pulling image {image:?}: not found")}}),
            false => json!({"waiting": {"reason": "PodInitializing"}}),
        };
        json!({"name": container.name, "image": image, "imageID": "", "ready": false, "started": false,
            "restartCount": 0, "state": state})
    };
    let statuses = |containers: &[Container]| -> Vec<_> { containers.iter().map(status).collect() };
    let not =
        |type_: &str| json!({"type": type_, "status": "False", "reason": "ContainersNotReady"});
    json!({"status": {
        "conditions": [{"type": "PodScheduled", "status": "True"}, not("Initialized"), not("ContainersReady"), not("Ready")],
        "initContainerStatuses": statuses(&spec.init_containers.unwrap_or_default()),
        "containerStatuses": statuses(&spec.containers),
    }})
}
