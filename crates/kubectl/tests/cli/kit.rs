//! Runs the binary, with a kubeconfig that leads to the test's cluster.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cluster::Cluster;

/// How a command ended.
#[derive(Debug, PartialEq)]
pub struct Ended {
    /// Exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// Standard output of a command that did what it was asked, without a word beside it.
    pub fn fine(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        self.out
    }

    /// Standard error of a command that failed with this exit code and printed nothing.
    pub fn failed(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{self:?}");
        self.err
    }
}

/// A file of this test's own.
pub fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("cli-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// A kubeconfig whose current context leads to the cluster, into the namespace `vision`.
pub fn kubeconfig(url: &str) -> PathBuf {
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "ada", "namespace": "vision"}}],
        "users": [{"name": "ada", "user": {"token": "adas-token"}}],
    });
    file("config", config.to_string())
}

/// The binary, in an environment without a kubeconfig or a proxy.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-atelier"));
    command
        .args(words)
        .env_clear()
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The binary, on its way to a cluster.
pub fn towards(cluster: &Cluster, words: &[&str]) -> Command {
    let mut command = command(words);
    command.env("KUBECONFIG", kubeconfig(&cluster.url()));
    command
}

/// Runs a command to its end.
pub fn end(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs the binary against a cluster.
pub fn run(cluster: &Cluster, words: &[&str]) -> Ended {
    end(towards(cluster, words))
}

/// Runs the binary against a cluster, with something on standard input.
pub fn run_with_stdin(cluster: &Cluster, words: &[&str], stdin: &[u8]) -> Ended {
    let mut command = towards(cluster, words);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
