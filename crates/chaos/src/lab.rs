//! The laboratory: a control plane with the chart on it, the operator's identity, and a folder for logs.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use atelier_testkit::cluster::SYSTEM;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{AuthInfo, Kubeconfig};
use kube::{Api, Client};
use serde_json::json;

use crate::control_plane::ControlPlane;
use crate::operator::{Operator, Settings};
use crate::{args::LabArgs, chart};

/// The operator's ServiceAccount.
const ACCOUNT: &str = "atelier-operator";
/// The longest a lab lives.
const TOKEN_SECONDS: i64 = 24 * 3600;

/// The laboratory. Dropping it ends everything that was started in it.
#[derive(Debug)]
pub struct Lab {
    /// Where logs and kubeconfigs are.
    pub folder: PathBuf,
    /// The operator's token.
    pub token: String,
    /// The control plane.
    pub cluster: ControlPlane,
    executable: PathBuf,
    log: String,
}

impl Lab {
    /// Brings everything up but the operator.
    pub async fn up(args: &LabArgs) -> anyhow::Result<Self> {
        // Only the first of a process installs it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let own = format!("chaos-{}", std::process::id());
        let name = args.reuse.as_deref().unwrap_or(&own);
        let cluster = ControlPlane::up(name, args.keep || args.reuse.is_some())?;
        chart::install(&cluster)
            .await
            .context("cannot install the chart")?;
        cluster.with_gateway_api()?;
        let folder = std::env::temp_dir().join(format!("atelier-{own}"));
        std::fs::create_dir_all(&folder)?;
        let executable = std::path::absolute(&args.operator)?;
        anyhow::ensure!(
            executable.is_file(),
            "no operator at {}; build it first",
            executable.display()
        );
        Ok(Self {
            token: token(cluster.admin().await?).await?,
            folder,
            cluster,
            executable,
            log: args.log.clone(),
        })
    }

    /// A kubeconfig for the operator straight to the API server.
    pub fn direct(&self) -> anyhow::Result<PathBuf> {
        let mut config = Kubeconfig::read_from(&self.cluster.kubeconfig)?;
        let auth: AuthInfo = serde_json::from_value(json!({"token": self.token}))?;
        for user in &mut config.auth_infos {
            user.auth_info = Some(auth.clone());
        }
        let path = self.folder.join("direct.kubeconfig");
        // JSON is YAML. The token is nobody else's.
        let mut file = std::fs::OpenOptions::new();
        let mut file = file
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(&serde_json::to_vec_pretty(&config)?)?;
        Ok(path)
    }

    /// Removes the logs: nobody has to look into them.
    pub fn forget(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_dir_all(&self.folder)?)
    }

    /// A replica of the operator, not started yet, that reaches the API server by a kubeconfig.
    pub fn operator(&self, pod: &str, kubeconfig: &Path) -> anyhow::Result<Operator> {
        Operator::new(self.settings(pod, kubeconfig))
    }

    /// The same, one that serves the actions and keeps certificates for it.
    pub fn serving_operator(&self, pod: &str, kubeconfig: &Path) -> anyhow::Result<Operator> {
        Operator::new(Settings {
            serves: true,
            ..self.settings(pod, kubeconfig)
        })
    }

    fn settings(&self, pod: &str, kubeconfig: &Path) -> Settings {
        Settings {
            executable: self.executable.clone(),
            kubeconfig: kubeconfig.to_owned(),
            pod: pod.to_owned(),
            serves: false,
            log: self.log.clone(),
            folder: self.folder.clone(),
        }
    }
}

async fn token(admin: Client) -> anyhow::Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(admin, SYSTEM);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(TOKEN_SECONDS),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let answer = accounts
        .create_token_request(ACCOUNT, &PostParams::default(), &request)
        .await?;
    Ok(answer.status.context("no token")?.token)
}
