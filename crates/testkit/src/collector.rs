//! The receiver of the OpenTelemetry Collector (`crates/gateway/tests/collector`), and what it took.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::cluster::root;

/// A running receiver. Killed when dropped.
pub struct Collector {
    child: Child,
    batches: Arc<Mutex<Vec<Value>>>,
}

/// The program, built from its Go modules if it is not there.
pub fn program() -> PathBuf {
    let mut script = Command::new(root().join("crates/gateway/tests/collector/binary"));
    let built = script.stderr(Stdio::inherit()).output().unwrap();
    assert!(built.status.success(), "the collector cannot be built");
    let program = String::from_utf8(built.stdout).unwrap();
    program.trim().into()
}

impl Collector {
    /// Starts [`program`], with these options of its `protocols.http`.
    pub fn start(program: PathBuf, options: &[String]) -> Self {
        let mut command = Command::new(program);
        let command = command.args(options).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let batches = Arc::<Mutex<Vec<Value>>>::default();
        let taken = batches.clone();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let batch = serde_json::from_str(&line).unwrap();
                taken
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(batch);
            }
        });
        Self { child, batches }
    }

    /// All it took so far of `logs` or `traces`: each batch with the `authorization` it came with.
    pub fn batches(&self, signal: &str) -> Vec<Value> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |batch: &&Value| batch["signal"] == signal;
        batches.iter().filter(of).cloned().collect()
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
        let batches = self.batches(signal).into_iter();
        let mut all: Vec<Value> = batches.map(|mut batch| batch["batch"].take()).collect();
        for level in levels {
            let inner = all.iter().flat_map(|one| one[level].as_array());
            all = inner.flatten().cloned().collect();
        }
        all
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The attributes of a log record, a span or a resource, by name. Whole numbers are text, as OTLP's JSON has them.
pub fn attributes(of: &Value) -> Value {
    let plain = |value: &Value| value.as_object()?.values().next().cloned();
    let pairs = of["attributes"].as_array().unwrap().iter();
    pairs
        .map(|pair| {
            let name = pair["key"].as_str().unwrap().to_owned();
            (name, plain(&pair["value"]).unwrap())
        })
        .collect()
}
