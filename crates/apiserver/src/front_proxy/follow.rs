//! Following the cluster's configuration.

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tracing::{error, info, warn};

use super::FrontProxy;
use super::trust::Trust;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";

impl FrontProxy {
    /// Follows the cluster's configuration for as long as it is polled. A change that makes no sense, or a deletion,
    /// changes nothing: the API server writes the configuration again within a minute.
    pub async fn follow(&self, client: Client) {
        let api: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
        let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
        let mut events = std::pin::pin!(watcher(api, config).default_backoff());
        loop {
            match events.try_next().await {
                Ok(Some(Event::Apply(found) | Event::InitApply(found))) => self.take(&found),
                Ok(Some(Event::Delete(_) | Event::Init | Event::InitDone)) => {}
                Ok(None) => return,
                Err(error) => warn!(%error, "cannot watch {NAMESPACE}/{NAME}"),
            }
        }
    }

    fn take(&self, found: &ConfigMap) {
        let nothing = std::collections::BTreeMap::new();
        match Trust::read(found.data.as_ref().unwrap_or(&nothing)) {
            Ok(trust) => {
                self.set(trust);
                info!("read who the API server's proxy is");
            }
            Err(error) => error!(%error, "{NAMESPACE}/{NAME} is not as it should be"),
        }
    }
}
