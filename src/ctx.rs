//! What every reconcile gets: the client, the views of the cluster, and everything that must not come from nowhere
//! (time, identity, configuration).

use std::sync::Arc;

use atelier_api::{ComputeTarget, RoleAssignment, Run, WebService, Workspace};
use atelier_pki::Issuer;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Client;
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::Store;
use tokio::sync::Notify;

use crate::compute_target::Board;
use crate::kit::access::Access;
use crate::kit::apply::Applier;
use crate::kit::brought::{BroughtObjects, BroughtSecrets};
use crate::kit::children::{Children, VolumeView};
use crate::kit::contest::Contests;
use crate::kit::events::Events;
use crate::kit::metrics::Metrics;
use crate::kit::triggers::Triggers;
use crate::kit::watch::Watches;
use crate::leader::Claim;
use crate::region::Regions;
use crate::web_service::own_keys;
use crate::web_service::scale::Scaler;
use crate::web_service::telemetry::Credential;
use crate::web_service::transport::Held;
use crate::workspace::storage::Probes;

/// What the installation decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's own namespace.
    pub namespace: String,
    /// The operator's own ServiceAccount.
    pub service_account: String,
    /// The locations that exist.
    pub locations: Vec<String>,
    /// Image of the gateway.
    pub gateway_image: String,
    /// Image of the server of an embedded storage.
    pub storage_image: String,
    /// Image of placeholders: the operator's own.
    pub placeholder_image: String,
    /// The DNS name in the certificate by which gateways know the operator. `None` if they have no listener for it.
    pub gateway_client: Option<String>,
    /// Where gateways report, as `host:port`. `None` if nobody takes reports.
    pub intake: Option<String>,
    /// Whether images are pulled: `Always`, `IfNotPresent` or `Never`.
    pub pull_policy: String,
}

/// The views of our own kinds and of namespaces.
pub struct Stores {
    /// Namespaces, metadata only.
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    /// Workspaces.
    pub workspaces: Store<Workspace>,
    /// Role assignments.
    pub role_assignments: Store<RoleAssignment>,
    /// Compute targets.
    pub compute_targets: Store<ComputeTarget>,
    /// Runs.
    pub runs: Store<Run>,
    /// Web services.
    pub web_services: Store<WebService>,
    /// The cluster's StorageClasses.
    pub storage_classes: Store<StorageClass>,
}

/// What every reconcile gets.
pub struct Ctx {
    /// The API server.
    pub client: Client,
    /// What the installation decides.
    pub settings: Settings,
    /// The same, as the identity of a location.
    pub regions: Regions,
    /// What others may do.
    pub access: Access,
    /// The views of our own kinds.
    pub stores: Stores,
    /// The children that exist.
    pub children: Arc<Children>,
    /// Their watches.
    pub watches: Watches,
    /// Who is to be looked at again.
    pub triggers: Triggers,
    /// Proof of leadership.
    pub claim: Claim,
    /// Kubernetes Events.
    pub events: Events,
    /// Who insists on changing what.
    pub contests: Contests,
    /// Counters.
    pub metrics: Metrics,
    /// The time.
    pub clock: fn() -> Timestamp,
    /// Signs the certificates of gateways, where they have any.
    pub issuer: Option<Arc<Issuer>>,
    /// Certificates that services name and others keep.
    pub certificates: Arc<BroughtSecrets<Held>>,
    /// Keys that services name and others keep.
    pub own_keys: Arc<BroughtSecrets<own_keys::Held>>,
    /// What is known of the services' loads.
    pub scaler: Arc<Scaler>,
    /// Credentials for collectors that services name and others keep: their digests.
    pub credentials: Arc<BroughtSecrets<Credential>>,
    /// Claims that workspaces name as their file shares and others keep.
    pub claims: Arc<BroughtObjects<PersistentVolumeClaim, VolumeView>>,
    /// What is known of the workspaces' storages.
    pub probes: Probes,
    /// Tells that a workspace is gone.
    pub workspace_gone: Notify,
    /// Queue positions, published by compute targets for their runs.
    pub board: Board,
}

impl Ctx {
    /// Writes children as the field manager `manager`.
    pub fn applier(&self, manager: &'static str) -> Applier<'_> {
        self.applier_by(&self.client, manager)
    }

    /// The same, as whomever that client acts for.
    pub fn applier_by<'a>(&'a self, client: &'a Client, manager: &'static str) -> Applier<'a> {
        Applier {
            client,
            children: &self.children,
            claim: &self.claim,
            contests: &self.contests,
            now: (self.clock)(),
            confirmed: Default::default(),
            manager,
        }
    }
}
