//! Wiring: builds the parts, starts every task, waits for the first reason to end, and ends.

use std::{
    fs, future::pending, io, net::SocketAddr, num::NonZeroUsize, path::Path, process::ExitCode,
    sync::Arc, time::Duration,
};

use atelier_pki::Reloading;
use thiserror::Error;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

use crate::{
    admin::Admin,
    archive::{Archive, Recorded},
    args::Args,
    cors::Cors,
    data::{Calls, Whose},
    internal::{Internal, InternalError},
    lifecycle::Lifecycle,
    limits::Limits,
    loopback::{Exposure, gate::Gate},
    metrics::Metrics,
    model::Model,
    policy::{
        Store, file,
        watch::{WatchTarget, watch},
    },
    proxy::Gateway,
    record::{Identity, Records},
    report::{self, way::Way},
    server::{ServerLimits, serve},
    telemetry::{Telemetry, otlp::Source},
    ticket::Reporter,
    tls,
};

/// Exit code when the model can be reached around the gateway.
pub const EXIT_EXPOSED: u8 = 86;

/// How long a stalled stdout, or a collector, may hold up the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the end may be held up by the last parts of the archive.
const ARCHIVE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long dropped connections may take to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// What the admin listener allows: it has a handful of clients, all of them the cluster's.
const ADMIN_LIMITS: ServerLimits = ServerLimits {
    connections: NonZeroUsize::new(64).expect("64 is not 0"),
    header_timeout: Duration::from_secs(30),
    header_bytes: 16 * 1024,
};

/// How the gateway ends when nothing failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Asked to, and done with what it had.
    Drained,
    /// The model can be reached around the gateway.
    Exposed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Drained => Self::SUCCESS,
            Exit::Exposed => Self::from(EXIT_EXPOSED),
        }
    }
}

/// Why the gateway fails.
#[derive(Debug, Error)]
pub enum RunError {
    /// The system refuses threads.
    #[error("cannot start threads")]
    Threads(#[source] io::Error),
    /// The system refuses signal handlers.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
    /// An address is taken or not ours.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The model's address cannot be written in a header.
    #[error("the address of the model cannot be used")]
    Model(#[from] http::header::InvalidHeaderValue),
    /// The operator's listener cannot be set up.
    #[error("cannot serve the operator")]
    Internal(#[from] InternalError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// A task that must outlive all others has ended.
    #[error("the task {0} ended, which it must not")]
    TaskEnded(String),
}

/// Runs the gateway until it is asked to end or cannot go on.
///
/// # Errors
/// Any [`RunError`]; the process should end with a failure.
pub fn run(args: Args) -> Result<Exit, RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.workers.get())
        // Looks at /proc block, and so do what telemetry writes and the names it looks up. A look must never wait for
        // those. They are started when they are needed, and end.
        .max_blocking_threads(8)
        .enable_all()
        .build()
        .map_err(RunError::Threads)?;
    let exit = runtime.block_on(serve_until_end(args));
    // Everything that mattered was joined.
    runtime.shutdown_background();
    exit
}

async fn serve_until_end(args: Args) -> Result<Exit, RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let gate = Arc::new(Gate::new(Instant::now()));
    // Before listening, so that what holds one of the gateway's ports is not taken for the gateway.
    gate.look().await;
    let parts = Parts::new(&args, Arc::clone(&gate))?;
    let lifecycle = parts.reporter.lifecycle.clone();
    let records = parts.reporter.records.clone();
    let telemetry = Arc::clone(&parts.reporter.telemetry);
    let archive = Arc::clone(&parts.reporter.archive);
    let data = Arc::clone(&parts.reporter.data);

    let end = async {
        let exposed = gate.exposed();
        let running = async {
            let (mut serving, mut tasks) = parts.start(&args).await?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                ended = &mut serving => return Err(RunError::TaskEnded(format!("server: {ended:?}"))),
                Some(ended) = tasks.join_next() => return Err(RunError::TaskEnded(format!("{ended:?}"))),
            }
            drain(&args, &lifecycle, serving).await;
            Ok(Exit::Drained)
        };
        tokio::select! {
            // First: after a look that found something, nothing may start.
            biased;
            exposure = exposed => {
                report(&exposure, &args.termination_log);
                Ok(Exit::Exposed)
            }
            end = running => end,
        }
    };
    let end = end.await;
    lifecycle.kill();
    let (written, (), (), ()) = tokio::join!(
        timeout(FLUSH_TIMEOUT, records.flush()),
        telemetry.finish(FLUSH_TIMEOUT),
        archive.finish(ARCHIVE_TIMEOUT),
        data.finish(ARCHIVE_TIMEOUT),
    );
    if written.is_err() {
        tracing::warn!("stdout is stalled: the last records are lost");
    }
    end
}

/// What the tasks share.
struct Parts {
    metrics: Arc<Metrics>,
    policy: Arc<Store>,
    gate: Arc<Gate>,
    model: Model,
    reporter: Arc<Reporter>,
    certificates: Certificates,
}

/// The certificates of the two listeners that have one. The same where they are of one Secret.
struct Certificates {
    public: Option<Arc<Reloading>>,
    internal: Option<Arc<Reloading>>,
}

impl Certificates {
    fn new(args: &Args) -> Self {
        let internal = args.internal_secret.as_ref().map(Reloading::new);
        let shared = internal.as_ref();
        let shared = shared.filter(|_| args.tls_secret == args.internal_secret);
        let public = args.tls_dir.as_ref().map(|dir| match &args.tls_secret {
            Some(secret) => shared.map_or_else(|| Reloading::new(secret), Arc::clone),
            // What is only mounted is somebody else's.
            None => Reloading::of_others(dir.display().to_string(), args.tls_hostname.clone()),
        });
        Self { public, internal }
    }

    /// The Secrets that may be watched.
    fn watched(&self, args: &Args) -> Vec<Arc<Reloading>> {
        let public = args.tls_secret.as_ref().and(self.public.as_ref());
        let internal = self.internal.as_ref();
        let other = public.filter(|public| !internal.is_some_and(|one| Arc::ptr_eq(one, public)));
        internal.into_iter().chain(other).cloned().collect()
    }
}

impl Parts {
    fn new(args: &Args, gate: Arc<Gate>) -> Result<Self, RunError> {
        let metrics = Metrics::new();
        let records = Records::start(Identity::from(args), io::stdout(), Arc::clone(&metrics))
            .map_err(RunError::Threads)?;
        let source = Source::new(&Identity::from(args), args.tls_dir.is_some());
        let reporter = Reporter {
            telemetry: Arc::new(Telemetry::new(source, Arc::clone(&metrics))),
            archive: Arc::new(Archive::new(Recorded::default(), Arc::clone(&metrics))),
            data: Arc::new(Archive::new(
                Calls::new(Whose::from(args)),
                Arc::clone(&metrics),
            )),
            metrics: Arc::clone(&metrics),
            records,
            lifecycle: Lifecycle::default(),
        };
        Ok(Self {
            policy: Arc::new(Store::new(Arc::clone(&metrics))),
            metrics,
            gate,
            model: Model::new(args.model)?,
            reporter: Arc::new(reporter),
            certificates: Certificates::new(args),
        })
    }

    /// Starts the servers and, apart from them because they end first, all other tasks.
    async fn start(&self, args: &Args) -> Result<(JoinHandle<()>, JoinSet<()>), RunError> {
        let listener = bind(args.listen).await?;
        let admin_listener = bind(args.admin_listen).await?;
        let internal = match Internal::from_args(args, self.certificates.internal.clone())? {
            Some((address, internal)) => Some((bind(address).await?, internal)),
            None => None,
        };
        let internal_listener = internal.as_ref().map(|(listener, _)| listener);
        let ports = [&listener, &admin_listener].into_iter();
        let ports = ports.chain(internal_listener).map(TcpListener::local_addr);
        self.gate
            .owns(ports.flatten().map(|address| address.port()).collect());

        let mut tasks = JoinSet::new();
        let gate = Arc::clone(&self.gate);
        tasks.spawn(async move { gate.keep_looking().await });
        tasks.spawn(self.model.clone().tidy());
        let (dir, store) = (args.secret_dir.clone(), Arc::clone(&self.policy));
        let telemetry = Arc::clone(&self.reporter.telemetry);
        tasks.spawn(async move {
            file::follow(&dir, &store, &telemetry).await;
            // Done when the watch has taken over, and that is no reason to end.
            pending().await
        });
        if let Some(secret) = args.secret.clone() {
            let target = WatchTarget {
                namespace: args.namespace.clone(),
                secret,
            };
            let store = Arc::clone(&self.policy);
            let telemetry = Arc::clone(&self.reporter.telemetry);
            tasks.spawn(async move { watch(&target, &store, &telemetry).await });
        }
        for certificate in self.certificates.watched(args) {
            let namespace = args.namespace.clone();
            tasks.spawn(async move { tls::watch(&namespace, &certificate).await });
        }
        let public_tls = match self.certificates.public.clone().zip(args.tls_dir.clone()) {
            None => None,
            Some((certificate, dir)) => {
                let acceptor = tls::acceptor(&certificate).map_err(RunError::Tls)?;
                tasks.spawn(async move {
                    tls::follow(&dir, &certificate).await;
                    // As above.
                    pending().await
                });
                Some(acceptor)
            }
        };
        let admin = Admin {
            policy: Arc::clone(&self.policy),
            certificate: self.certificates.public.clone(),
            gate: Arc::clone(&self.gate),
            lifecycle: self.reporter.lifecycle.clone(),
            model: self.model.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        // Answers to the very end, hence with a lifecycle of its own.
        tasks.spawn(serve(
            admin_listener,
            None,
            ADMIN_LIMITS,
            Lifecycle::default(),
            Arc::new(admin),
        ));

        let limits = ServerLimits {
            connections: args.max_connections,
            header_timeout: args.header_timeout_ms,
            header_bytes: usize::try_from(args.max_header_bytes).unwrap_or(usize::MAX / 2),
        };
        let turns = Limits::new(args, Arc::clone(&self.metrics));
        let way = Way::from_args(args, self.certificates.internal.clone());
        if let Some(way) = way.map_err(RunError::Tls)? {
            let way = Arc::new(way);
            let Reporter { archive, data, .. } = &*self.reporter;
            archive.start(Arc::clone(&way), self.policy.wanted());
            data.start(Arc::clone(&way), self.policy.wanted());
            tasks.spawn(report::run(way, turns.gauge(), self.policy.wanted()));
        }
        let gateway = Arc::new(Gateway {
            score_path: args.score_path.clone(),
            service: args.service.clone(),
            policy: Arc::clone(&self.policy),
            cors: Cors::new(args.cors_origins.clone()),
            gate: Arc::clone(&self.gate),
            limits: turns,
            max_header: limits.header_bytes,
            model: self.model.clone(),
            reporter: Arc::clone(&self.reporter),
        });
        let lifecycle = self.reporter.lifecycle.clone();
        let public = serve(
            listener,
            public_tls,
            limits,
            lifecycle.clone(),
            Arc::clone(&gateway),
        );
        let serving = tokio::spawn(async move {
            let internal = async {
                if let Some((listener, internal)) = internal {
                    internal.serve(listener, limits, lifecycle, gateway).await;
                }
            };
            tokio::join!(public, internal);
        });
        tracing::info!(listen = %args.listen, admin = %args.admin_listen, model = %args.model, "the gateway serves");
        Ok((serving, tasks))
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| RunError::Bind { address, source })
}

/// Lets the world forget this replica, then finishes what it has.
async fn drain(args: &Args, lifecycle: &Lifecycle, mut serving: JoinHandle<()>) {
    tracing::info!("draining");
    lifecycle.drain();
    sleep(args.drain_delay_ms).await;
    lifecycle.close();
    if timeout(args.drain_timeout_ms, &mut serving).await.is_err() {
        tracing::warn!("requests in flight took too long and are dropped");
        lifecycle.kill();
        let _ = timeout(KILL_TIMEOUT, serving).await;
    }
}

/// Says why, where people and the operator look for it.
fn report(exposure: &Exposure, termination_log: &Path) {
    tracing::error!("{exposure}");
    if let Err(error) = fs::write(termination_log, exposure.to_string()) {
        tracing::warn!(%error, path = %termination_log.display(), "cannot write the reason of the exit");
    }
}
