//! The check `rights`: all that the operator asks it may, and all that it may it asks.

pub mod audit;
pub mod exercise;
mod rules;
mod serving;
mod storing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::ensure;
use atelier_testkit::cluster::{OPERATOR, SYSTEM};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt as _};

use crate::args::RunArgs;
use crate::golden::Recorder;
use crate::random::Random;
use crate::stomp::{Outcome, STARTS};
use crate::{Caller, Lab};
use audit::{Asked, Audit};
use rules::{Atom, atoms, dangers};

const ACCOUNT: &str = "atelier-operator";
/// What serving the actions takes, in the whole cluster and in its own namespace. That it may read whose word about
/// callers is believed is a Role of Kubernetes' own.
const ACTIONS: &str = "atelier-actions";
const CERTIFICATES: &str = "atelier-certificates";
/// The Role by which it keeps the workspaces' keys.
const KEYS: &str = "atelier-storage-keys";
const MANAGER: &str = "atelier-workspace-manager";
/// The Role, beside that for leadership, by which it keeps regional identities and acts as them.
const REGIONS: &str = "atelier-regions";
/// What regional identities have.
const REGIONAL: [&str; 2] = ["atelier-regional", "atelier-regional-computetargets"];
const LEASE: &str = "atelier-operator";
/// How long a second replica gets to fill its views and wait for the lease.
const STANDS_BY: Duration = Duration::from_secs(3);
const ENDS: Duration = Duration::from_secs(20);

/// Runs the check.
pub async fn run(args: &RunArgs) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(Random::seed);
    let mut outcome = Outcome::new("rights", seed, String::new());
    let lab = Lab::up(&args.lab).await?;
    let admin = lab.cluster.admin().await?;
    let leases: Api<Lease> = Api::namespaced(admin.clone(), SYSTEM);
    if leases.get_opt(LEASE).await?.is_some() {
        leases.delete(LEASE, &DeleteParams::default()).await?;
    }
    let audit = Audit::from_now(&lab.cluster.kubeconfig, OPERATOR);

    let direct = lab.direct()?;
    let first = lab.serving_operator("rights-0", &direct)?;
    first.start()?;
    first.leading(STARTS).await?;
    let caller = Caller::of(&lab, &first).await?;
    exercise::scenarios(&admin, &caller, &first, &Recorder::default()).await?;
    let user = exercise::damage(&admin).await?;
    let stores = storing::volume(&admin).await?;
    let second = lab.serving_operator("rights-1", &direct)?;
    second.start()?;
    tokio::time::sleep(STANDS_BY).await;
    first.stop(ENDS).await?;
    second.leading(STARTS).await?;
    exercise::live_run(&user).await?;
    second.stop(ENDS).await?;
    exercise::forget_run(&user).await?;
    storing::forget_volume(&stores).await?;
    let third = lab.serving_operator("rights-2", &direct)?;
    third.start()?;
    third.leading(STARTS).await?;
    exercise::found_run(&user).await?;
    storing::found_volume(&stores).await?;
    serving::damage(&admin).await?;
    serving::distrust(&admin).await?;
    serving::register(&admin).await?;
    let caller = Caller::of(&lab, &third).await?;
    serving::read_log(&caller, &user.namespace).await?;
    gateways(&admin, &user.namespace, &mut outcome).await?;
    exercise::mend_region(&admin).await?;
    exercise::close(&user).await?;
    user.leave().await?;
    exercise::no_region(&admin).await?;
    third.stop(ENDS).await?;

    let asked = audit.asked()?;
    ensure!(
        !asked.is_empty(),
        "the audit log has no request of {OPERATOR}"
    );
    let granted = granted(&admin, &mut outcome).await?;
    compare(&granted, &asked, &mut outcome);
    outcome.conclude(args)
}

/// All atoms that the operator is granted; and judges them.
async fn granted(admin: &Client, outcome: &mut Outcome) -> anyhow::Result<BTreeSet<Atom>> {
    let cluster_roles: Api<ClusterRole> = Api::all(admin.clone());
    let bindings: Api<ClusterRoleBinding> = Api::all(admin.clone());
    let bindings = bindings
        .list(&ListParams::default())
        .await?
        .items
        .into_iter();
    let everywhere: Vec<_> = bindings
        .filter(|binding| {
            let mut subjects = binding.subjects.iter().flatten();
            subjects.any(|subject| {
                subject.name == ACCOUNT && subject.namespace.as_deref() == Some(SYSTEM)
            })
        })
        .map(|binding| binding.role_ref.name)
        .collect();
    outcome.expect(
        everywhere == [ACTIONS, ACCOUNT],
        format!("the operator has these roles in the whole cluster: {everywhere:?}"),
    );
    let mut all = BTreeSet::new();
    for name in [ACCOUNT, ACTIONS, MANAGER] {
        let role = cluster_roles.get(name).await?;
        outcome.expect(
            role.aggregation_rule.is_none(),
            format!("{name} is filled by others"),
        );
        let rules = role.rules.unwrap_or_default();
        let wrong = dangers(name, &rules, everywhere.iter().any(|role| role == name));
        wrong.iter().for_each(|line| outcome.wrong(line));
        all.extend(atoms(name, &rules));
    }
    let roles: Api<Role> = Api::namespaced(admin.clone(), SYSTEM);
    for role in [ACCOUNT, REGIONS, CERTIFICATES, KEYS] {
        let rules = roles.get(role).await?.rules.unwrap_or_default();
        let name = format!("{role} in {SYSTEM}");
        dangers(&name, &rules, false)
            .iter()
            .for_each(|line| outcome.wrong(line));
        let here = |atom: Atom| Atom {
            place: Some(SYSTEM.into()),
            ..atom
        };
        all.extend(atoms(&name, &rules).into_iter().map(here));
    }
    for name in REGIONAL {
        let rules = cluster_roles.get(name).await?.rules.unwrap_or_default();
        let wrong = dangers(name, &rules, false);
        wrong.iter().for_each(|line| outcome.wrong(line));
        let theirs = |atom: Atom| Atom {
            holder: Some("aml-"),
            ..atom
        };
        all.extend(atoms(name, &rules).into_iter().map(theirs));
    }
    Ok(all)
}

/// What gateways are granted is made use of by gateways, and they need nodes: the tests of a cluster with nodes see to
/// that. Here it is the shape that counts.
async fn gateways(admin: &Client, namespace: &str, outcome: &mut Outcome) -> anyhow::Result<()> {
    let roles: Api<Role> = Api::namespaced(admin.clone(), namespace);
    let roles = roles.list(&ListParams::default()).await?.items;
    outcome.figure("Roles of gateways, not made use of here", roles.len());
    ensure!(!roles.is_empty(), "no gateway has a Role");
    for role in roles {
        let name = role.name_any();
        // Its own Secret, and the certificate by which the operator knows it.
        let certificate = format!("{name}-tls");
        let expected: PolicyRule = serde_json::from_value(serde_json::json!({
            "apiGroups": [""], "resources": ["secrets"], "resourceNames": [name, certificate],
            "verbs": ["get", "list", "watch"]
        }))?;
        outcome.expect(
            role.rules.as_deref() == Some(&[expected]),
            format!("the Role {name} gives a gateway {:?}", role.rules),
        );
    }
    Ok(())
}

fn compare(granted: &BTreeSet<Atom>, asked: &[Asked], outcome: &mut Outcome) {
    let refused: Vec<_> = asked.iter().filter(|asked| asked.code == 403).collect();
    let unused: Vec<_> = granted
        .iter()
        .filter(|atom| !asked.iter().any(|asked| atom.is_used_by(asked)))
        .collect();
    outcome.figure("requests", asked.len());
    outcome.figure("refused", refused.len());
    outcome.figure("granted (role, group, resource, verb)", granted.len());
    outcome.figure("unused", unused.len());
    for request in refused {
        outcome.wrong(format!("refused: {request}"));
    }
    for atom in unused {
        outcome.wrong(format!("granted and not used: {atom}"));
    }
    // What every authenticated user may: to ask who one is and what one may do.
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    for request in asked
        .iter()
        .filter(|asked| asked.code != 403 && !asked.resource.is_empty())
    {
        if !granted.iter().any(|atom| atom.is_used_by(request)) {
            let what = format!("{} {}.{}", request.verb, request.resource, request.group);
            *others.entry(what).or_default() += 1;
        }
    }
    for (what, count) in others {
        outcome.figure(format!("used, granted to everybody: {what}"), count);
    }
}
