//! What is outside the pod: another network namespace, at the other end of a cable.

use std::{net::TcpListener, process::Command, sync::mpsc, thread};

use atelier_testkit::collector::{Collector, program};
use nix::{
    sched::{CloneFlags, unshare},
    unistd::gettid,
};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::harness::eventually;

/// The address of whatever listens outside.
pub const ADDRESS: &str = "10.99.0.2";
/// Where collectors listen for OTLP over HTTP.
pub const COLLECTOR: &str = "10.99.0.2:4318";

type Job = Box<dyn FnOnce() + Send>;

/// A thread that lives outside.
pub struct Outside(mpsc::Sender<Job>);

fn ip(line: &str) {
    let done = Command::new("ip").args(line.split(' ')).status();
    assert!(done.expect("iproute2").success(), "ip {line}");
}

impl Outside {
    /// Lays the cable from the pod that the caller is in.
    pub fn new() -> Self {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (ready, thread) = mpsc::channel();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            ready.send(gettid()).expect("somebody waits");
            todo.iter().for_each(|job| job());
        });
        let outside = Self(jobs);
        let thread = thread.recv().expect("a thread");
        ip(&format!(
            "link add pod type veth peer name outside netns {thread}"
        ));
        ip("addr add 10.99.0.1/24 dev pod");
        ip("link set pod up");
        outside.run(|| {
            ip(&format!("addr add {ADDRESS}/24 dev outside"));
            ip("link set outside up");
        });
        outside
    }

    /// Does something there.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let job = Box::new(move || done.send(job()).expect("somebody waits"));
        self.0.send(job).expect("the thread lives");
        result.recv().expect("the job is done")
    }

    /// A listener there, of which the caller's runtime takes care.
    pub fn listen(&self) -> tokio::net::TcpListener {
        let listener = self.run(|| TcpListener::bind(COLLECTOR).expect("a free port"));
        listener.set_nonblocking(true).expect("a socket");
        tokio::net::TcpListener::from_std(listener).expect("a runtime")
    }
}

/// Starts the receiver of the OpenTelemetry Collector there, with more options of its `protocols.http`.
pub async fn collector(outside: &Outside, options: &[String]) -> Collector {
    let endpoint = format!("endpoint={COLLECTOR}");
    let options: Vec<_> = options.iter().cloned().chain([endpoint]).collect();
    let collector = outside.run(move || Collector::start(program(), &options));
    eventually("the collector listens", || async {
        TcpStream::connect(COLLECTOR).await.is_ok()
    })
    .await;
    collector
}

/// Waits for so many log records, and no more.
pub async fn logs_come(collector: &Collector, count: usize) -> Vec<Value> {
    eventually(&format!("{count} log records"), || async {
        collector.logs().len() >= count
    })
    .await;
    let logs = collector.logs();
    assert_eq!(logs.len(), count);
    logs
}
