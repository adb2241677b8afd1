//! What is outside the pod: another network namespace, at the other end of a cable.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::gettid,
};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::harness::{Lines, collect, eventually, lines};

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

/// The receiver of the OpenTelemetry Collector. Killed when dropped.
pub struct Collector {
    child: Child,
    out: Lines,
}

impl Collector {
    /// Starts it with more options of its `protocols.http`.
    pub async fn start(outside: &Outside, options: &[String]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/collector/binary");
        let built = Command::new(script).stderr(Stdio::inherit()).output();
        let built = built.expect("bash and Go");
        assert!(built.status.success(), "the collector is built");
        let program = String::from_utf8(built.stdout).expect("a name");
        let options = options.to_vec();
        let mut child = outside.run(move || {
            let mut command = Command::new(program.trim());
            command.arg(format!("endpoint={COLLECTOR}")).args(options);
            command.stdout(Stdio::piped()).spawn().expect("it starts")
        });
        let out = Lines::default();
        collect(child.stdout.take().expect("a pipe"), &out);
        eventually("the collector listens", || async {
            TcpStream::connect(COLLECTOR).await.is_ok()
        })
        .await;
        Self { child, out }
    }

    /// All it took so far: each batch with its signal and the `authorization` it came with.
    pub fn batches(&self, signal: &str) -> Vec<Value> {
        let batches = lines(&self.out);
        let batches = batches.iter().map(|line| serde_json::from_str(line));
        let batches = batches.map(|batch| batch.expect("JSON"));
        batches.filter(|batch: &Value| batch["signal"] == signal).collect()
    }

    /// All log records so far.
    pub fn logs(&self) -> Vec<Value> {
        self.each("logs", ["resourceLogs", "scopeLogs", "logRecords"])
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Value> {
        self.each("traces", ["resourceSpans", "scopeSpans", "spans"])
    }

    fn each(&self, signal: &str, levels: [&str; 3]) -> Vec<Value> {
        let mut all: Vec<Value> = self.batches(signal).into_iter().map(|mut batch| batch["batch"].take()).collect();
        for level in levels {
            let inner = all.iter().flat_map(|one| one[level].as_array());
            all = inner.flatten().cloned().collect();
        }
        all
    }

    /// Waits for so many log records, and no more.
    pub async fn logs_come(&self, count: usize) -> Vec<Value> {
        eventually(&format!("{count} log records"), || async { self.logs().len() >= count }).await;
        let logs = self.logs();
        assert_eq!(logs.len(), count);
        logs
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The attributes of a log record, a span or a resource, by name.
pub fn attributes(of: &Value) -> Value {
    let pairs = of["attributes"].as_array().expect("attributes").iter();
    let plain = |value: &Value| {
        let (_, value) = value.as_object().and_then(|value| value.iter().next()).expect("a value");
        value.clone()
    };
    pairs.map(|pair| (pair["key"].as_str().expect("a name").to_owned(), plain(&pair["value"]))).collect()
}
