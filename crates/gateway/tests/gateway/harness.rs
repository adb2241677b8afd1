//! A pod: a network namespace, a mounted Secret, and the gateway's binary in it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use crate::http_client;

pub const PRIMARY: &str = "atl_primary";
pub const SECONDARY: &str = "atl_secondary";
pub const GATEWAY: &str = "127.0.0.1:8080";
pub const ADMIN: &str = "127.0.0.1:8081";

/// How long a condition may take to come true.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test in a network namespace of its own: the gateway refuses to serve beside listeners
/// of the host, and every test may use the same ports.
pub fn in_pod<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    unshare(CloneFlags::CLONE_NEWNET).expect("the right to make a network namespace");
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status()
        .expect("iproute2");
    assert!(up.success(), "loopback is up");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(test());
}

/// Waits for a condition, and says which one it was if it never comes true.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A folder of one's own: tests of one process run at the same time, each perhaps with the same ports.
pub fn folder(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("atelier-{name}-{}-{n}", std::process::id()));
    fs::create_dir_all(&dir).expect("a directory");
    dir
}

/// A policy document; `None` for keys that are not asked for.
pub fn policy(keys: Option<(&str, &str)>) -> String {
    let hex = |key: &str| -> String {
        Sha256::digest(key)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    match keys {
        None => r#"{"version":1,"mode":"None"}"#.to_owned(),
        Some((primary, secondary)) => format!(
            r#"{{"version":1,"mode":"Key","keys":{{"primary":{{"generation":1,"sha256":"{}"}},"secondary":{{"generation":1,"sha256":"{}"}}}}}}"#,
            hex(primary),
            hex(secondary)
        ),
    }
}

/// Lines that somebody says.
pub type Lines = Arc<Mutex<Vec<String>>>;

/// A running gateway. Killed when dropped.
pub struct Gateway {
    child: Child,
    dir: PathBuf,
    out: Lines,
    err: Lines,
}

impl Gateway {
    /// Starts a gateway with the two keys and waits until it is ready.
    pub async fn ready(more: &[&str]) -> Self {
        let gateway = Self::spawn(Some(&policy(Some((PRIMARY, SECONDARY)))), more, true);
        gateway.until_ready().await;
        gateway
    }

    /// Starts a gateway and waits for nothing. With `read` off, nobody reads its stdout.
    pub fn spawn(policy: Option<&str>, more: &[&str], read: bool) -> Self {
        let dir = folder("gateway");
        if let Some(policy) = policy {
            fs::write(dir.join("policy.json"), policy).expect("a policy");
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_atelier-gateway"))
            .args([
                "--namespace",
                "ml",
                "--service",
                "iris",
                "--workspace",
                "ws",
                "--replica",
                "iris-0",
            ])
            .args(["--log-format", "text"])
            .env("ATELIER_DRAIN_DELAY_MS", "200")
            .arg("--secret-dir")
            .arg(&dir)
            .arg("--termination-log")
            .arg(dir.join("termination-log"))
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the gateway's binary");
        let (out, err) = (Lines::default(), Lines::default());
        if read {
            collect(child.stdout.take().expect("a pipe"), &out);
        }
        collect(child.stderr.take().expect("a pipe"), &err);
        Self {
            child,
            dir,
            out,
            err,
        }
    }

    pub async fn until_ready(&self) {
        eventually("the gateway is ready", || async {
            http_client::admin("/readyz").await == Some(200)
        })
        .await;
    }

    /// Replaces the mounted policy as the kubelet does: by a rename.
    pub fn mount(&self, policy: &str) {
        let next = self.dir.join("next");
        fs::write(&next, policy).expect("a policy");
        fs::rename(next, self.dir.join("policy.json")).expect("a rename");
    }

    /// Replaces another entry of the mounted Secret, or takes it away.
    pub fn mount_entry(&self, name: &str, content: Option<&str>) {
        let (entry, next) = (self.dir.join(name), self.dir.join("next"));
        match content {
            Some(content) => {
                fs::write(&next, content).expect("an entry");
                fs::rename(next, entry).expect("a rename");
            }
            None => fs::remove_file(entry).expect("an entry"),
        }
    }

    pub fn termination_log(&self) -> String {
        fs::read_to_string(self.dir.join("termination-log")).unwrap_or_default()
    }

    pub fn terminate(&self) {
        kill(self.pid(), Signal::SIGTERM).expect("the gateway runs");
    }

    pub async fn exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the gateway never ends");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// All records so far.
    pub fn records(&self) -> Vec<Value> {
        lines(&self.out)
            .iter()
            .map(|line| serde_json::from_str(line).expect("a record is JSON"))
            .collect()
    }

    /// Waits for a record with this member.
    pub async fn record(&self, member: &str, value: &str) -> Value {
        let find = || {
            self.records()
                .into_iter()
                .find(|record| record[member] == value)
        };
        eventually(&format!("a record with {member}={value}"), || async {
            find().is_some()
        })
        .await;
        find().expect("just seen")
    }

    /// Everything the gateway ever said, on stdout and stderr.
    pub fn said(&self) -> String {
        [lines(&self.out), lines(&self.err)].concat().join("\n")
    }

    /// Waits for a line in the gateway's own log.
    pub async fn logged(&self, text: &str) {
        eventually(text, || async {
            lines(&self.err).iter().any(|line| line.contains(text))
        })
        .await;
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("a running process");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .expect("VmRSS");
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse().ok())
            .expect("a number")
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
        if thread::panicking() {
            eprintln!("{}", self.said());
        }
    }
}

/// Collects what comes out of a pipe.
pub fn collect(pipe: impl Read + Send + 'static, lines: &Lines) {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
    });
}

/// All lines so far.
pub fn lines(lines: &Lines) -> Vec<String> {
    lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
