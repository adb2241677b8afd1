//! A workspace with two people in it, and the plugin in their hands.

use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use atelier_api::RoleAssignment;
use atelier_testkit::cluster::root;
use atelier_testkit::manifest::role;
use atelier_testkit::namespace::QUICK;
use atelier_testkit::{Subject, TestNamespace};
use kube::Client;

/// Who may look.
pub const READER: &str = "rita";
/// Who may change things.
pub const CONTRIBUTOR: &str = "conny";

/// A namespace with a workspace `team` and its people.
pub async fn team(prefix: &str) -> TestNamespace {
    let namespace = TestNamespace::with_workspace(prefix).await;
    for (user, name) in [(READER, "Reader"), (CONTRIBUTOR, "Contributor")] {
        namespace
            .create::<RoleAssignment>(role(user, name, user))
            .await;
        namespace.ready::<RoleAssignment>(user, QUICK).await;
    }
    namespace
}

/// A client of one of them.
pub fn client(namespace: &TestNamespace, user: &str) -> Client {
    Subject::user(user).client(&namespace.cluster)
}

/// What the plugin prints for a user, if it goes well, and else what it complains of.
///
/// Another test may just have killed the replica of the operator that the API server asks: it goes on asking that one for
/// a moment, and answers so. Then the plugin is asked again.
pub fn plugin(namespace: &TestNamespace, user: &str, args: &[&str]) -> Result<String, String> {
    let mut said = once(namespace, user, args);
    let deadline = Instant::now() + QUICK;
    while Instant::now() < deadline && said.as_ref().is_err_and(|why| is_nobody_there(why)) {
        sleep(Duration::from_millis(250));
        said = once(namespace, user, args);
    }
    said
}

fn is_nobody_there(complaint: &str) -> bool {
    complaint.contains("error trying to reach service") && complaint.contains("connection refused")
}

fn once(namespace: &TestNamespace, user: &str, args: &[&str]) -> Result<String, String> {
    let output = command(namespace, user, args).output().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    match status.success() {
        true => Ok(String::from_utf8(stdout).unwrap()),
        false => Err(String::from_utf8(stderr).unwrap()),
    }
}

/// The plugin, to be run.
pub fn command(namespace: &TestNamespace, user: &str, args: &[&str]) -> Command {
    let mut command =
        Command::new(root().join("target/x86_64-unknown-linux-gnu/debug/kubectl-atelier"));
    command
        .args(["--namespace", &namespace.name, "--as", user])
        .args(args)
        .env("KUBECONFIG", namespace.cluster.kubeconfig());
    command
}
