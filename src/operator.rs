//! Wiring of `atelier operator`: makes the views, starts every task, joins every task.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use atelier_api::{ComputeTarget, RoleAssignment, Run, WebService, Workspace};
use atelier_pki::Inspected;
use futures::StreamExt as _;
use futures::channel::mpsc::unbounded;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Client;
use kube::api::PartialObjectMeta;
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::admin::{self, Admin};
use crate::archive::{self, Archive};
use crate::args::{OperatorArgs, ServiceStorageArgs};
use crate::compute_target::{self, Board};
use crate::ctx::{Ctx, Settings, Stores};
use crate::intake::{self, Intake};
use crate::kit::access::Access;
use crate::kit::brought::{BroughtObjects, BroughtSecrets};
use crate::kit::child::ChildKind;
use crate::kit::children::{Children, VolumeView};
use crate::kit::contest::Contests;
use crate::kit::events::Events;
use crate::kit::metrics::Metrics;
use crate::kit::triggers::Triggers;
use crate::kit::watch::Watches;
use crate::kit::{driver, primary};
use crate::leader::Election;
use crate::region::Regions;
use crate::service_storage;
use crate::serving::{self, Serving};
use crate::web_service::scale::Scaler;
use crate::workspace::storage::Probes;

use crate::{region, relay, role_assignment, run, web_service, workspace};

const LEASE: &str = "atelier-operator";
/// How long what has begun may take to end.
const DRAIN: Duration = Duration::from_secs(20);

/// How long those who have asked for something may take: less than the pod is given, with all the above.
const FAREWELL: Duration = Duration::from_secs(16);
/// How long giving the lease back may take.
const RELEASE: Duration = Duration::from_secs(5);

/// Runs the operator until SIGTERM or SIGINT.
pub async fn run(args: OperatorArgs) -> anyhow::Result<()> {
    let config = kube::Config::infer()
        .await
        .context("no way to the API server: neither in a pod nor a kubeconfig")?;
    let client = Client::try_from(config.clone())?;
    let regions = Regions::new(&config, &args.namespace, &args.places.locations)?;
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    // The pod's name, so that a container that was killed and started again leads on at once: in one pod there is
    // never a second process.
    let me = args
        .replica
        .clone()
        .unwrap_or_else(|| format!("local-{}", uuid::Uuid::new_v4()));
    let (election, claim) = Election::new(client.clone(), &args.namespace, LEASE, me.clone());

    let mut triggers = Triggers::default();
    let on_workspace = triggers.register::<Workspace>();
    let on_assignment = triggers.register::<RoleAssignment>();
    let on_target = triggers.register::<ComputeTarget>();
    let on_run = triggers.register::<Run>();
    let on_service = triggers.register::<WebService>();
    let changed_namespaces = triggers.register_namespaces();

    let (tell, changes) = unbounded();
    let (namespaces, namespaces_filled, namespace_stream) =
        primary::watch::<PartialObjectMeta<Namespace>>(client.clone(), tell.clone(), |_| None);
    let (workspaces, workspaces_filled, workspace_stream) =
        primary::watch::<Workspace>(client.clone(), tell.clone(), workspace::storage::told);
    let (role_assignments, role_assignments_filled, assignment_stream) =
        primary::watch::<RoleAssignment>(client.clone(), tell.clone(), |_| None);
    let (compute_targets, compute_targets_filled, target_stream) =
        primary::watch::<ComputeTarget>(client.clone(), tell.clone(), |_| None);
    let of_target = |run: &Run| Some(run.spec.compute_target.clone());
    let (runs, runs_filled, run_stream) =
        primary::watch::<Run>(client.clone(), tell.clone(), of_target);
    let (web_services, web_services_filled, service_stream) =
        primary::watch::<WebService>(client.clone(), tell.clone(), |_| None);
    let (storage_classes, storage_classes_filled, class_stream) =
        primary::watch::<StorageClass>(client.clone(), tell, workspace::files::told);
    let filled = [
        namespaces_filled,
        workspaces_filled,
        role_assignments_filled,
        compute_targets_filled,
        runs_filled,
        web_services_filled,
        storage_classes_filled,
    ];
    let stores = Stores {
        namespaces,
        workspaces,
        role_assignments,
        compute_targets,
        runs,
        web_services,
        storage_classes,
    };

    let serving = match args.serving.serve_listen {
        Some(address) => Some((address, Serving::new(&args.serving)?)),
        None => None,
    };
    let issuer = serving.as_ref().and_then(|(_, serving)| serving.issuer());
    let settings = settings(&args, issuer.is_some());
    let children = Arc::new(Children::default());
    let window = args.scale_down_window.unsigned_abs();
    let scaler = Scaler::new(window, stores.web_services.clone());
    scaler.wakes(triggers.clone());
    let ctx = Arc::new(Ctx {
        watches: Watches::new(
            client.clone(),
            children.clone(),
            triggers.clone(),
            workspace::manager_binding_name(),
        ),
        events: Events::new(client.clone(), me, children.clone()),
        certificates: BroughtSecrets::new(
            client.clone(),
            triggers.clone(),
            "WebService",
            |secret| Inspected::of(secret).map_err(|error| error.to_string()),
        ),
        own_keys: BroughtSecrets::new(
            client.clone(),
            triggers.clone(),
            "WebService",
            web_service::own_keys::read,
        ),
        credentials: BroughtSecrets::new(
            client.clone(),
            triggers.clone(),
            "WebService",
            web_service::telemetry::credential,
        ),
        claims: BroughtObjects::new(
            client.clone(),
            triggers.clone(),
            "Workspace",
            VolumeView::of,
        ),
        regions,
        access: Access::default(),
        client,
        settings,
        issuer: issuer.cloned(),
        stores,
        children,
        triggers,
        claim,
        contests: Contests::default(),
        metrics: metrics.clone(),
        clock: Timestamp::now,
        scaler: Arc::new(scaler),
        probes: Probes::new(args.storage_probe.unsigned_abs()),
        workspace_gone: Notify::new(),
        board: Board::default(),
    });

    let stop = CancellationToken::new();
    let ready = CancellationToken::new();
    let all_filled = CancellationToken::new();
    let tally = workspace::tally::Tally(ctx.stores.workspaces.clone());
    registry
        .sub_registry_with_prefix("atelier")
        .register_collector(Box::new(tally));
    let admin = Arc::new(Admin {
        registry,
        ready: ready.clone(),
    });
    // A task that ends is noticed: what it did is not done any more, so the process ends too.
    let mut vital: JoinSet<&'static str> = JoinSet::new();
    let mut controllers: JoinSet<()> = JoinSet::new();

    let address = args.admin_listen;
    let until = stop.clone();
    vital.spawn(async move {
        if let Err(error) = admin::serve(address, admin, until).await {
            tracing::error!(%error, %address, "the admin port cannot be opened");
        }
        "admin port"
    });
    vital.spawn(async move {
        let mut namespace_stream = pin!(namespace_stream);
        while namespace_stream.next().await.is_some() {}
        "watch of namespaces"
    });
    vital.spawn(async move {
        let mut class_stream = pin!(class_stream);
        while class_stream.next().await.is_some() {}
        "watch of StorageClasses"
    });
    let watching = ctx.clone();
    vital.spawn(async move {
        watching.watches.run_role_bindings().await;
        "watch of role bindings"
    });
    let (asking, until) = (ctx.clone(), stop.clone());
    vital.spawn(async move {
        web_service::expose::gateway_api::follow(asking, until).await;
        "watch of the Gateway API"
    });
    vital.spawn({
        let ctx = ctx.clone();
        async move {
            relay::run(ctx, changes, changed_namespaces).await;
            "relay"
        }
    });

    let mut served = match &serving {
        Some((address, serving)) => Some(serve(&args, *address, serving, &ctx, &stop, &mut vital)?),
        None => None,
    };
    if let Some(wish) = own_storage(&args.service_storage) {
        let (ctx, until) = (ctx.clone(), stop.clone());
        let every = args.storage_probe.unsigned_abs();
        vital.spawn(async move {
            service_storage::run(ctx, wish, every, until).await;
            "the service's own storage"
        });
    }
    // Ready for the cluster's requests, which says nothing of who leads.
    vital.spawn({
        let (filled, ready, until) = (all_filled.clone(), ready.clone(), stop.clone());
        let serving = serving.map(|(_, serving)| serving);
        async move {
            filled.cancelled().await;
            if let Some(serving) = serving {
                serving.ready().await;
            }
            ready.cancel();
            until.cancelled().await;
            "readiness"
        }
    });

    macro_rules! control {
        ($name:literal, $store:ident, $stream:ident, $triggers:ident, $reconcile:path) => {
            controllers.spawn(driver::run(
                $name,
                (ctx.stores.$store.clone(), $stream),
                $triggers,
                ctx.clone(),
                stop.clone(),
                $reconcile,
            ));
        };
    }
    control!(
        "workspace",
        workspaces,
        workspace_stream,
        on_workspace,
        workspace::reconcile
    );
    control!(
        "role_assignment",
        role_assignments,
        assignment_stream,
        on_assignment,
        role_assignment::reconcile
    );
    control!(
        "compute_target",
        compute_targets,
        target_stream,
        on_target,
        compute_target::reconcile
    );
    control!("run", runs, run_stream, on_run, run::reconcile);
    control!(
        "web_service",
        web_services,
        service_stream,
        on_service,
        web_service::reconcile
    );
    controllers.spawn(workspace::sweep::run(ctx.clone(), stop.clone()));
    controllers.spawn(workspace::storage::sweep(ctx.clone(), stop.clone()));
    controllers.spawn(web_service::sweep(ctx.clone(), stop.clone()));
    controllers.spawn(region::run(ctx.clone(), stop.clone()));

    // Leadership waits until every view is filled, so that no decision rests on an empty one.
    let release = CancellationToken::new();
    let until = release.clone();
    let gauge = metrics.leader.clone();
    let children = ctx.children.clone();
    let election = tokio::spawn(async move {
        fill(&filled, &children).await;
        all_filled.cancel();
        info!("all views are filled");
        election
            .run(until, move |leads| {
                gauge.set(leads.into());
            })
            .await;
    });

    let mut election = pin!(election);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let ended = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = vital.join_next() => Some(ended),
        ended = ended(&mut served) => Some(Some(ended.map(|served| match served {
            Ok(()) => "the server of actions",
            Err(error) => {
                tracing::error!(%error, "actions cannot be served");
                "the server of actions"
            }
        }))),
        ended = &mut election => Some(Some(ended.map(|()| "leadership"))),
        ended = controllers.join_next() => Some(ended.map(|r| r.map(|()| "controller"))),
    };
    info!("ending: what has begun is finished");
    stop.cancel();
    let drained = tokio::time::timeout(DRAIN, async {
        while controllers.join_next().await.is_some() {}
    })
    .await;
    // Only now may another replica begin.
    release.cancel();
    if !election.is_finished() {
        let _ = tokio::time::timeout(RELEASE, election).await;
    }
    // The other leads by now; who asked us is answered.
    if let Some(served) = served.filter(|served| !served.is_finished()) {
        let _ = tokio::time::timeout(FAREWELL, served).await;
    }
    match ended.flatten() {
        None if drained.is_ok() => Ok(()),
        None => bail!("what had begun did not end within {DRAIN:?}"),
        Some(Ok(task)) => bail!("{task} ended"),
        Some(Err(error)) => Err(error).context("a task failed"),
    }
}

/// Completes when the task has ended; never, if there is none.
async fn ended<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// Starts what every replica serves, and the keeping of the certificates for it. Returns the task that serves.
fn serve(
    args: &OperatorArgs,
    address: SocketAddr,
    serving: &Serving,
    ctx: &Arc<Ctx>,
    stop: &CancellationToken,
    vital: &mut JoinSet<&'static str>,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    vital.spawn({
        let (serving, client) = (serving.clone(), ctx.client.clone());
        let (namespace, until) = (args.namespace.clone(), stop.clone());
        async move {
            serving.follow(client, &namespace, until).await;
            "watch of the certificate"
        }
    });
    let archive = Arc::new(Archive::new(ctx.clone()));
    vital.spawn({
        let (archive, until) = (archive.clone(), stop.clone());
        async move {
            archive::sweep(archive, until).await;
            "old parts of the archive"
        }
    });
    // Nobody else would know by what to trust it.
    let has_authority = serving.issuer().is_some();
    if let Some(address) = args.serving.intake_listen.filter(|_| has_authority) {
        let (client, children) = (ctx.client.clone(), ctx.children.clone());
        let (scaler, metrics) = (ctx.scaler.clone(), ctx.metrics.clone());
        let intake = Intake::new(client, children, scaler, archive.clone(), metrics);
        let (certificate, until) = (serving.certificate().clone(), stop.clone());
        vital.spawn(async move {
            let served = intake::serve(Arc::new(intake), certificate, address, until);
            if let Err(error) = served.await {
                tracing::error!(%error, "reports cannot be taken");
            }
            "intake"
        });
    }
    if let Some(issuer) = serving.issuer() {
        let place = args.service_storage.service_storage.as_ref();
        let storage = service_storage::certificate(place, &args.namespace);
        let (namespace, args) = (&args.namespace, &args.serving);
        let config = serving::certificates(namespace, args, storage, issuer, &ctx.children)?;
        let mut changes = issuer.changes();
        let services = ctx.clone();
        vital.spawn(async move {
            while changes.changed().await.is_ok() {
                let everybody = |_: &WebService| true;
                let stores = &services.stores;
                services.triggers.fire_all(&stores.web_services, everybody);
            }
            "changes of the authority"
        });
        let (ctx, until) = (ctx.clone(), stop.clone());
        vital.spawn(async move {
            let leads = || ctx.claim.check().is_ok();
            if let Err(error) = atelier_pki::run(ctx.client.clone(), config, leads, until).await {
                tracing::error!(%error, "certificates cannot be kept");
            }
            "certificates"
        });
    }
    let (server, client, until) = (serving.clone(), ctx.client.clone(), stop.clone());
    Ok(tokio::spawn(async move {
        server.serve(client, archive, address, until).await
    }))
}

/// Waits until every view has been filled once.
async fn fill(stores: &[CancellationToken], children: &Children) {
    for store in stores {
        store.cancelled().await;
    }
    while !children.is_listed_everywhere(ChildKind::RoleBinding) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What the installation says of the service's own storage, if it has one.
fn own_storage(args: &ServiceStorageArgs) -> Option<service_storage::Wish> {
    Some(service_storage::Wish {
        place: args.service_storage.clone()?,
        secret: args.service_storage_secret.clone()?,
        authorities: args.service_storage_ca.clone(),
    })
}

fn settings(args: &OperatorArgs, gateways_listen: bool) -> Settings {
    Settings {
        namespace: args.namespace.clone(),
        service_account: args.service_account.clone(),
        locations: args.places.locations.clone(),
        gateway_image: args.gateway_image.clone(),
        storage_image: args.storage_image.clone(),
        placeholder_image: args.operator_image.clone(),
        gateway_client: gateways_listen
            .then(|| serving::client_name(&args.namespace, &args.serving)),
        // By the same authority gateways know whom they report to.
        intake: serving::intake(&args.namespace, &args.serving).filter(|_| gateways_listen),
        pull_policy: args.pull_policy.as_str().into(),
    }
}
