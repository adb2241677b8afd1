//! The parts of a gateway in the test's own process, for what only an API server would tell the binary.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use atelier_gateway::{
    archive::{Archive, Recorded},
    args::Args,
    cors::Cors,
    data::{Calls, Whose},
    lifecycle::Lifecycle,
    limits::Limits,
    loopback::gate::Gate,
    metrics::Metrics,
    model::Model,
    policy::Store,
    proxy::Gateway,
    record::{Identity, Records},
    server::ServerLimits,
    telemetry::{Telemetry, otlp::Source},
    ticket::Reporter,
};
use tokio::time::Instant;

/// What is written to it.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("whole").clone()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("whole").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A gateway that judges by this policy and records there, and what its listener allows.
pub fn gateway(
    args: &Args,
    policy: Arc<Store>,
    records: &Lines,
    metrics: &Arc<Metrics>,
) -> (Arc<Gateway>, ServerLimits) {
    let written = Records::start(Identity::from(args), records.clone(), metrics.clone());
    let source = Source::new(&Identity::from(args), false);
    let calls = Calls::new(Whose::from(args));
    let reporter = Reporter {
        metrics: metrics.clone(),
        telemetry: Arc::new(Telemetry::new(source, metrics.clone())),
        archive: Arc::new(Archive::new(Recorded::default(), metrics.clone())),
        data: Arc::new(Archive::new(calls, metrics.clone())),
        records: written.expect("a thread"),
        lifecycle: Lifecycle::default(),
    };
    let limits = ServerLimits {
        connections: args.max_connections,
        header_timeout: args.header_timeout_ms,
        header_bytes: 32 * 1024,
    };
    let gateway = Gateway {
        score_path: args.score_path.clone(),
        service: args.service.clone(),
        policy,
        cors: Cors::default(),
        max_header: limits.header_bytes,
        gate: Arc::new(Gate::new(Instant::now())),
        limits: Limits::new(args, metrics.clone()),
        model: Model::new(args.model).expect("an address"),
        reporter: Arc::new(reporter),
    };
    (Arc::new(gateway), limits)
}
