//! The cluster that tests run on, made by `tests/setup`.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::core::v1::Pod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt as _};

use crate::namespace::SLOW;
use crate::operator;
use crate::wait::eventually;

/// Where Atelier is installed.
pub const SYSTEM: &str = "atelier-system";
/// Who the operator is to the API server.
pub const OPERATOR: &str = "system:serviceaccount:atelier-system:atelier-operator";

/// Selects its replicas' pods.
pub const OPERATORS: &str = "app.kubernetes.io/component=operator";

/// The cluster that tests run on.
#[derive(Clone)]
pub struct Cluster {
    /// The administrator's client.
    pub client: Client,
    config: Config,
    name: String,
    kubeconfig: PathBuf,
}

impl Cluster {
    /// The cluster that the environment names.
    #[allow(clippy::disallowed_methods)]
    pub async fn shared() -> Self {
        // Several tests of one process come here; the first installs it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let variable = |name| {
            std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; run: make test"))
        };
        let kubeconfig = PathBuf::from(variable("ATELIER_TEST_KUBECONFIG"));
        let name = variable("ATELIER_TEST_CLUSTER");
        let read = Kubeconfig::read_from(&kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .unwrap();
        let client = Client::try_from(config.clone()).unwrap();
        Self {
            client,
            config,
            name,
            kubeconfig,
        }
    }

    /// A client that acts as somebody else.
    pub fn as_user(&self, name: &str, groups: &[&str]) -> Client {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(name.to_owned());
        config.auth_info.impersonate_groups =
            Some(groups.iter().map(|g| (*g).to_owned()).collect());
        Client::try_from(config).unwrap()
    }

    /// Runs kubectl as the administrator. Returns whether it succeeded, and all it printed.
    pub fn kubectl(&self, args: &[&str], input: &str) -> (bool, String) {
        let dir = run(
            Command::new(root().join("cluster/build")).arg("--print-dir"),
            "",
        );
        let mut kubectl = Command::new(PathBuf::from(dir.1.trim()).join("kubectl"));
        run(
            kubectl.args(args).env("KUBECONFIG", &self.kubeconfig),
            input,
        )
    }

    /// Runs a command of the host in the cluster's node.
    pub fn exec(&self, command: &[&str]) -> (bool, String) {
        let mut exec = Command::new(root().join("cluster/cluster"));
        run(
            exec.args(["exec", "--name", &self.name, "--"])
                .args(command),
            "",
        )
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The API server's audit log.
    pub fn audit_log(&self) -> PathBuf {
        self.kubeconfig.with_file_name("audit.log")
    }

    /// The operator's pod that leads; waits until there is one.
    pub async fn operator(&self) -> Pod {
        eventually(SLOW, "an operator leads", async || {
            operator::leader(self).await
        })
        .await
    }

    /// SIGKILL to the leader's process, by its id. Returns its pod, if there was a process to kill.
    pub async fn kill_operator(&self) -> Option<Pod> {
        let pod = self.operator().await;
        let id = operator::container_id(&pod)?;
        let (_, tasks) = self.exec(&["ctr", "-n", "k8s.io", "tasks", "list"]);
        let line = tasks.lines().find(|line| line.starts_with(&id))?;
        let pid = line.split_whitespace().nth(1)?;
        self.exec(&["kill", "-KILL", pid]).0.then_some(pod)
    }

    /// Name of the pod that leads.
    pub async fn operator_name(&self) -> String {
        self.operator().await.name_any()
    }
}

/// The project's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn run(command: &mut Command, input: &str) -> (bool, String) {
    use std::io::Write as _;
    use std::process::Stdio;
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let out = child.wait_with_output().unwrap();
    let text = [out.stdout, out.stderr].concat();
    (
        out.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}
