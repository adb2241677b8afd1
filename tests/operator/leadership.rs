//! One replica writes and the others stand by: handing over takes less than a second, and no drift is lost meanwhile.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use atelier_api::RoleAssignment;
use atelier_testkit::cluster::SYSTEM;
use atelier_testkit::namespace::QUICK;
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually, manifest, operator};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt as _};

use crate::any;
use crate::trail::{Request, Trail};

/// From giving the lease back to the successor's first write.
const HANDOVER: Duration = Duration::from_secs(1);
/// The lease of a leader that was killed lasts fifteen seconds; the standby counts them from when it saw the last one.
const SUCCESSION: Duration = Duration::from_secs(22);
/// How many children somebody deletes, one after the other, while one replica hands over to another.
const DELETIONS: usize = 60;
const PACE: Duration = Duration::from_millis(50);

fn millis(from: Timestamp, to: Timestamp) -> i128 {
    to.duration_since(from).as_millis()
}

fn binding(turn: usize) -> String {
    format!("r{turn}-role")
}

/// A namespace with many bindings, and the uid that each has.
async fn with_bindings(prefix: &str) -> (TestNamespace, HashMap<String, String>) {
    let ns = TestNamespace::with_workspace(prefix).await;
    for turn in 0..DELETIONS {
        let manifest = manifest::role(&format!("r{turn}"), "Reader", &format!("u{turn}"));
        ns.create::<RoleAssignment>(manifest).await;
    }
    let uids = eventually(QUICK, "all bindings are there", async || {
        let uids = uids(&ns).await;
        check(uids.len() == DELETIONS, uids.len())?;
        Ok(uids)
    })
    .await;
    (ns, uids)
}

async fn uids(ns: &TestNamespace) -> HashMap<String, String> {
    let bindings: Api<RoleBinding> = ns.api();
    let all = bindings.list(&ListParams::default()).await.unwrap();
    all.into_iter()
        .filter(|b| b.name_any().starts_with('r'))
        .map(|b| (b.name_any(), b.uid().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_leader_that_is_told_to_end_hands_over_within_a_second_and_no_drift_is_lost() {
    let _alone = operator::alone().await;
    let (ns, before) = with_bindings("lead-over").await;
    let cluster = &ns.cluster;
    operator::all_ready(cluster).await;
    let old = cluster.operator_name().await;
    let trail = Trail::from_now(cluster);

    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), SYSTEM);
    // Another child each time: of the same one it would be a contest.
    let bindings = any::api(&ns, "RoleBinding");
    for turn in 0..DELETIONS {
        if turn == DELETIONS / 4 {
            pods.delete(&old, &DeleteParams::default()).await.unwrap();
        }
        bindings
            .delete(&binding(turn), &DeleteParams::background())
            .await
            .unwrap();
        tokio::time::sleep(PACE).await;
    }
    let new = cluster.operator_name().await;
    assert_ne!(new, old);
    eventually(QUICK, "every binding was made anew", async || {
        let now = uids(&ns).await;
        let anew = now.iter().filter(|(name, uid)| before[*name] != **uid);
        let anew = anew.count();
        check(anew == DELETIONS, format!("{anew} of {DELETIONS}"))
    })
    .await;

    let writes = trail.writes();
    let released = writes.iter().find(|w| w.pod == old && w.gives(""));
    let released = released.expect("the lease was given back");
    let acquired = writes.iter().find(|w| w.pod == new && w.gives(&new));
    let acquired = acquired.expect("the lease was taken");
    let repairs = |pod: &str| -> Vec<Timestamp> {
        let ours = |w: &&Request| w.pod == pod && w.resource == "rolebindings";
        writes.iter().filter(ours).map(|w| w.received).collect()
    };
    let (last, first) = (repairs(&old), repairs(&new));
    let first = *first.first().expect("the new leader repaired something");
    println!(
        "handover: lease given back, taken after {} ms; first write after {} ms",
        millis(released.received, acquired.answered),
        millis(released.received, first)
    );
    if let Some(last) = last.last() {
        println!("handover: no repair for {} ms", millis(*last, first));
    }
    let limit = i128::try_from(HANDOVER.as_millis()).unwrap();
    assert!(millis(released.received, acquired.answered) <= limit);
    assert!(millis(released.received, first) <= limit);
    let late = writes
        .iter()
        .filter(|w| w.pod == old && w.received > released.received);
    assert_eq!(late.count(), 0, "the old leader was done: {writes:#?}");
    let early = writes
        .iter()
        .filter(|w| w.pod == new && w.namespace == ns.name && w.received < acquired.received);
    assert_eq!(early.count(), 0, "the new one had not begun: {writes:#?}");
    ns.finish().await;
}

#[tokio::test]
async fn who_leads_after_a_kill_has_lost_nothing() {
    let ns = TestNamespace::with_workspace("lead-kill").await;
    ns.create::<RoleAssignment>(manifest::role("reader", "Reader", "ann"))
        .await;
    ns.ready::<RoleAssignment>("reader", QUICK).await;
    operator::all_ready(&ns.cluster).await;

    let killed = operator::kill(&ns.cluster).await;
    let begun = Instant::now();
    any::api(&ns, "RoleBinding")
        .delete("reader-role", &DeleteParams::background())
        .await
        .unwrap();
    ns.create::<RoleAssignment>(manifest::role("later", "Reader", "ben"))
        .await;
    operator::leads_again(&ns.cluster, &killed).await;
    let took = begun.elapsed();
    println!("succession: another process led after {took:.1?}");
    assert!(took < SUCCESSION, "{took:?}");
    ns.ready::<RoleAssignment>("later", QUICK).await;
    eventually(QUICK, "the deleted binding is back", async || {
        let found = any::api(&ns, "RoleBinding").get("reader-role").await;
        found.map(drop).map_err(|e| e.to_string())
    })
    .await;
    drop(killed);
    ns.finish().await;
}

#[tokio::test]
async fn a_standby_writes_nothing() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::open("lead-standby").await;
    operator::all_ready(&ns.cluster).await;
    let leader = ns.cluster.operator_name().await;
    let trail = Trail::from_now(&ns.cluster);
    ns.create::<atelier_api::Workspace>(manifest::workspace("team"))
        .await;
    ns.ready::<atelier_api::Workspace>("team", QUICK).await;
    ns.create::<RoleAssignment>(manifest::role("reader", "Reader", "ann"))
        .await;
    ns.ready::<RoleAssignment>("reader", QUICK).await;
    let mut by_others = trail.writes();
    by_others.retain(|w| w.pod != leader);
    assert!(by_others.is_empty(), "{by_others:#?}");
    ns.finish().await;
}
