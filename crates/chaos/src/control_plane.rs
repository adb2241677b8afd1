//! A control plane for one lab: real API server, controllers and scheduler; nodes that only look like nodes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use atelier_testkit::cluster::root;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// A control plane; taken down when dropped, unless it is to stay.
#[derive(Debug)]
pub struct ControlPlane {
    name: String,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The folder with kubectl and helm.
    pub tools: PathBuf,
    stays: bool,
}

impl ControlPlane {
    /// Brings one up. One that stays is found again under its name, and is then up already.
    pub fn up(name: &str, stays: bool) -> anyhow::Result<Self> {
        let tools = output(
            Command::new(root().join("cluster/build")).arg("--print-dir"),
            "",
        )?;
        let this = Self {
            name: name.to_owned(),
            kubeconfig: PathBuf::new(),
            tools: PathBuf::from(tools.trim()),
            stays,
        };
        // From here on it is taken down, also when bringing it up is interrupted.
        cluster(&[
            "up",
            "--name",
            name,
            "--profile",
            "control-plane",
            "--nodes",
            "3",
        ])?;
        let kubeconfig = cluster(&["kubeconfig", "--name", name])?;
        let kubeconfig = PathBuf::from(kubeconfig.trim());
        let mut this = this;
        this.kubeconfig = kubeconfig;
        Ok(this)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client of the administrator, who is the user of every scenario.
    pub async fn admin(&self) -> anyhow::Result<Client> {
        client(&self.kubeconfig).await
    }

    /// Gives it the Gateway API.
    pub fn with_gateway_api(&self) -> anyhow::Result<()> {
        let script = root().join("cluster/gateway-api");
        let file = output(Command::new(script).arg("crds"), "")?;
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            file.trim(),
        ];
        self.tool("kubectl", &apply, "").map(drop)
    }

    /// Runs one of the tools as the administrator.
    pub fn tool(&self, name: &str, args: &[&str], input: &str) -> anyhow::Result<String> {
        let mut tool = Command::new(self.tools.join(name));
        output(tool.args(args).env("KUBECONFIG", &self.kubeconfig), input)
            .with_context(|| format!("{name} {}", args.join(" ")))
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if self.stays {
            eprintln!(
                "the cluster {} stays; remove it with: cluster/cluster down --name {0}",
                self.name
            );
        } else if let Err(error) = cluster(&["down", "--name", &self.name]) {
            eprintln!("the cluster {} is not down: {error:#}", self.name);
        }
    }
}

/// A client by a kubeconfig.
pub async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let read = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn cluster(args: &[&str]) -> anyhow::Result<String> {
    let mut script = Command::new(root().join("cluster/cluster"));
    output(script.args(args), "").with_context(|| format!("cluster {}", args.join(" ")))
}

/// Runs a command to its end and returns what it printed.
fn output(command: &mut Command, input: &str) -> anyhow::Result<String> {
    use std::io::Write as _;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // What is written is read before the command prints much, so neither waits for the other.
    child.stdin.take().unwrap().write_all(input.as_bytes())?;
    let out = child.wait_with_output()?;
    if !out.status.success() {
        bail!(
            "{}: {}",
            out.status,
            String::from_utf8_lossy(&out.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
