//! All that others may read: every object that is no Secret, Events included.

use std::cell::RefCell;
use std::collections::BTreeSet;

use atelier_api::{ComputeTarget, RoleAssignment, Run, WebService, Workspace};
use futures::FutureExt as _;
use futures::future::{LocalBoxFuture, try_join_all};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client};

use crate::scenario::Onlooker;
use crate::user::User;

/// Takes down what stands in the cluster each time that a scenario is at rest.
pub struct Gatherer {
    client: Client,
    /// Objects as JSON, a line each.
    pub lines: RefCell<BTreeSet<String>>,
}

impl Gatherer {
    /// Has nothing yet.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            lines: RefCell::default(),
        }
    }

    /// Takes down everything.
    pub async fn gather(&self) -> anyhow::Result<()> {
        let lines = everything(&self.client).await?;
        self.lines.borrow_mut().extend(lines);
        Ok(())
    }
}

impl Onlooker for Gatherer {
    fn settled<'a>(&'a self, _: &'a User, _: &'a str) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.gather().boxed_local()
    }
}

fn kinds() -> [ApiResource; 16] {
    [
        ApiResource::erase::<Workspace>(&()),
        ApiResource::erase::<RoleAssignment>(&()),
        ApiResource::erase::<ComputeTarget>(&()),
        ApiResource::erase::<Run>(&()),
        ApiResource::erase::<WebService>(&()),
        ApiResource::erase::<Event>(&()),
        ApiResource::erase::<Namespace>(&()),
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Role>(&()),
        ApiResource::erase::<RoleBinding>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<ReplicaSet>(&()),
        ApiResource::erase::<Pod>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Lease>(&()),
    ]
}

/// All objects as JSON, a line each.
pub async fn everything(client: &Client) -> anyhow::Result<Vec<String>> {
    let kinds = kinds();
    let lists = kinds.iter().map(|kind| async move {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), kind);
        let list = api.list(&ListParams::default()).await?;
        let lines = list.items.iter().map(serde_json::to_string);
        anyhow::Ok(lines.collect::<Result<Vec<_>, _>>()?)
    });
    Ok(try_join_all(lists).await?.into_iter().flatten().collect())
}
