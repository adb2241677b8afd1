//! Makes the operator do all that it does: the scenarios, every sort of damage to every kind of child, a new leader.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use atelier_api::v1alpha1::RunState;
use atelier_api::{Run, Workspace, labels};
use atelier_testkit::cluster::SYSTEM;
use atelier_testkit::manifest::run;
use atelier_testkit::wait::check;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::golden::play;
use crate::random::Random;
use crate::scenario::Onlooker;
use crate::scenarios;
use crate::stomp::change::changes;
use crate::stomp::stomper::Stomper;
use crate::stomp::town::{self, Plot};
use crate::stomp::view::View;
use crate::user::{PATIENCE, User, until};
use crate::{Caller, Operator};

/// Two replicas would get three roles each: all of them are to be given.
const PLOT: Plot = Plot {
    roles: 3,
    idle_nodes: 1,
    runs: 1,
    services: 1,
};
/// The identity of the location of all but one scenario.
const REGION: &str = "aml-local";
/// The run that lives.
const LIVES: &str = "lives";
const TRIES: usize = 8;
/// Changes that other checks are about, or that look the same as one that is made.
const LEFT_OUT: [&str; 3] = [
    "make it immutable",
    "take managed-by",
    "give to another manager",
];

/// Plays all scenarios, each in a namespace of its own.
pub async fn scenarios(
    admin: &Client,
    caller: &Caller,
    operator: &Operator,
    onlooker: &dyn Onlooker,
) -> anyhow::Result<()> {
    for scenario in scenarios::named(None)? {
        let namespace = format!("played-{}-{}", scenario.name(), std::process::id());
        operator.suit(scenario).await?;
        play(scenario, (admin, caller, operator), &namespace, onlooker).await?;
        println!("  played {}", scenario.name());
    }
    Ok(())
}

/// Makes a namespace with one of everything, and does every change once to a child of each kind.
pub async fn damage(admin: &Client) -> anyhow::Result<User> {
    let namespace = format!("damaged-{}", std::process::id());
    let view = View::start(admin, &namespace);
    let user = town::build(admin, &namespace, PLOT).await?;
    town::settle(&user, PLOT).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    view.freeze();
    let mut stomper = Stomper::new(admin, &view, Random::new(0));
    let children = view.children();
    let kinds: BTreeSet<_> = children.iter().map(|key| key.kind.clone()).collect();
    for kind in kinds {
        let of_kind = children.iter().filter(|key| key.kind == kind);
        // The operator's own binding has no owner, so that there is less to do to it.
        let key = of_kind.min_by_key(|key| key.name == "atelier-workspace-manager");
        let Some(key) = key else { continue };
        for change in changes(&kind) {
            if LEFT_OUT.contains(&change.name) {
                continue;
            }
            // Controllers of the cluster write into a child, too, and come between.
            for _ in 0..TRIES {
                right(&view).await?;
                if stomper.stomp(key, change).await? {
                    break;
                }
            }
        }
        right(&view).await?;
    }
    println!("  made {} changes", stomper.stomps.len());
    Ok(user)
}

/// Deletes the workspace and nothing else: the operator clears away what was made for everything in it, and gives up
/// its own rights last.
pub async fn close(user: &User) -> anyhow::Result<()> {
    user.delete::<Workspace>("team").await?;
    user.gone::<RoleBinding>("atelier-workspace-manager")
        .await?;
    user.gone::<Deployment>("svc0").await
}

/// A run that lives.
pub async fn live_run(user: &User) -> anyhow::Result<()> {
    user.create::<Run>(run(LIVES, town::TARGET, "true")).await?;
    user.run_is(LIVES, RunState::Running).await.map(drop)
}

/// While nobody leads, somebody takes the labels off its pod, and writes into its status that it never began.
pub async fn forget_run(user: &User) -> anyhow::Result<()> {
    let unlabelled = json!({"metadata": {"labels": {labels::MANAGED_BY: null}}});
    user.patch::<Pod>(&pod(), unlabelled).await?;
    let anew = json!({"status": {"state": null, "attempts": null, "pod": null}});
    let runs = user.api::<Run>();
    let params = PatchParams::default();
    runs.patch_status(LIVES, &params, &Patch::Merge(anew))
        .await?;
    Ok(())
}

/// The pod is found by its name, and is the run's again.
pub async fn found_run(user: &User) -> anyhow::Result<()> {
    user.sees(&pod(), "has its labels", |pod: &Pod| {
        let found = pod.labels().contains_key(labels::MANAGED_BY);
        check(found, pod.labels())
    })
    .await?;
    user.run_is(LIVES, RunState::Running).await.map(drop)
}

fn pod() -> String {
    format!("{LIVES}-1-0")
}

/// Damages the regional identity, which is put right.
pub async fn mend_region(admin: &Client) -> anyhow::Result<()> {
    let api: Api<ServiceAccount> = Api::namespaced(admin.clone(), SYSTEM);
    let damage = Patch::Merge(json!({"automountServiceAccountToken": true}));
    api.patch(REGION, &PatchParams::default(), &damage).await?;
    until(&format!("{REGION} is mended"), async || {
        let account = api.get(REGION).await.map_err(|e| e.to_string())?;
        let mounted = account.automount_service_account_token;
        check(mounted == Some(false), mounted)
    })
    .await
}

/// Where no workspace is any more, the regional identity goes.
pub async fn no_region(admin: &Client) -> anyhow::Result<()> {
    let workspaces: Api<Workspace> = Api::all(admin.clone());
    let left = workspaces.list(&ListParams::default()).await?.items;
    let names: Vec<_> = left.iter().map(|w| w.name_any()).collect();
    anyhow::ensure!(names.is_empty(), "there are still workspaces: {names:?}");
    let api: Api<ServiceAccount> = Api::namespaced(admin.clone(), SYSTEM);
    until(&format!("{REGION} is gone"), async || {
        let found = api.get_opt(REGION).await.map_err(|e| e.to_string())?;
        check(found.is_none(), "it is there")
    })
    .await
}

async fn right(view: &View) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !view.differences().is_empty() {
        anyhow::ensure!(
            begun.elapsed() < PATIENCE,
            "not put right: {}",
            view.differences().join("; ")
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What the cluster's own controllers make of it comes a moment later.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}
