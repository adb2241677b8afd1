//! The operator as a process of ours: started, killed, stopped, frozen.

mod own_storage;

use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::disturber::FAR;
use crate::random::Random;
use anyhow::{Context as _, bail};
use atelier_testkit::cluster::SYSTEM;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub use own_storage::BUCKET;

/// Ports that no connection is given: Linux gives those from 32768 on.
const BELOW_EPHEMERAL: std::ops::Range<u16> = 20_000..32_000;
const TRIES: usize = 100;

/// How a replica is started. The same for every start of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The executable.
    pub executable: PathBuf,
    /// How it reaches the API server, and as whom.
    pub kubeconfig: PathBuf,
    /// Name of the replica. The lease is held in this name, so whoever starts again under it leads at once.
    pub pod: String,
    /// Whether it serves the actions, on an address of its own.
    pub serves: bool,
    /// Filter of the log.
    pub log: String,
    /// Where the log goes.
    pub folder: PathBuf,
}

/// One replica, running or not. Killed when dropped.
#[derive(Debug)]
pub struct Operator {
    settings: Settings,
    admin: SocketAddr,
    serving: Option<SocketAddr>,
    intake: Option<SocketAddr>,
    own_storage: SocketAddr,
    has_own_storage: AtomicBool,
    child: Mutex<Option<Child>>,
}

impl Operator {
    /// A replica that is not running yet.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        let admin = free_address()?;
        let serving = settings.serves.then(free_address).transpose()?;
        let intake = settings.serves.then(free_address).transpose()?;
        Ok(Self {
            settings,
            admin,
            serving,
            intake,
            own_storage: free_address()?,
            has_own_storage: AtomicBool::new(false),
            child: Mutex::default(),
        })
    }

    /// Starts the process. Its log goes on where that of an earlier one ended.
    pub fn start(&self) -> anyhow::Result<()> {
        let mut child = self.child();
        if child.is_some() {
            bail!("{} runs already", self.settings.pod);
        }
        let log = self.open_log()?;
        let serving = self.serving.map(|address| address.to_string());
        let intake = self.intake.map(|address| address.to_string());
        let started = Command::new(&self.settings.executable)
            .arg("operator")
            .envs(serving.map(|address| ("ATELIER_SERVE_LISTEN", address)))
            .envs(intake.map(|address| ("ATELIER_INTAKE_LISTEN", address)))
            .envs(self.own_storage_settings())
            // Longer than it takes to see that all is at rest.
            .env("ATELIER_SCALE_DOWN_WINDOW", "3s")
            .env("KUBECONFIG", &self.settings.kubeconfig)
            .env("POD_NAME", &self.settings.pod)
            .env("POD_NAMESPACE", SYSTEM)
            .env("ATELIER_OPERATOR_IMAGE", "atelier.dev/operator:chaos")
            .env("ATELIER_GATEWAY_IMAGE", "atelier.dev/gateway:chaos")
            .env("ATELIER_STORAGE_IMAGE", "atelier.dev/storage:chaos")
            .env("ATELIER_LOCATIONS", format!("local,{FAR}"))
            .env("ATELIER_ADMIN_LISTEN", self.admin.to_string())
            .env("ATELIER_LOG", &self.settings.log)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", self.settings.executable.display()))?;
        *child = Some(started);
        Ok(())
    }

    /// SIGKILL, and waits until the process is gone. Says whether there was one.
    pub fn kill(&self) -> bool {
        let Some(mut child) = self.child().take() else {
            return false;
        };
        let _ = child.kill();
        child.wait().is_ok()
    }

    /// SIGKILL and another start, at once.
    pub fn restart(&self) -> anyhow::Result<()> {
        self.kill();
        self.start()
    }

    /// SIGTERM, and waits until the process has ended by itself.
    pub async fn stop(&self, limit: Duration) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)?;
        let begun = Instant::now();
        while self.is_running() {
            if begun.elapsed() > limit {
                bail!(
                    "{} did not end within {limit:?} of SIGTERM",
                    self.settings.pod
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// SIGSTOP: it stands still and knows nothing of it.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// SIGCONT: it goes on as if no time had passed.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// Whether the process lives. One that has ended is forgotten.
    pub fn is_running(&self) -> bool {
        let mut child = self.child();
        match child.as_mut().map(Child::try_wait) {
            Some(Ok(None)) => true,
            _ => {
                *child = None;
                false
            }
        }
    }

    /// Where it serves the actions.
    pub fn serving(&self) -> Option<SocketAddr> {
        self.serving
    }

    /// Where it takes reports.
    pub fn intake(&self) -> Option<SocketAddr> {
        self.intake
    }

    /// Id of the process.
    pub fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// Bytes of memory that are its own or shared, and resident.
    pub fn rss(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib * 1024)
    }

    /// What it tells at `/metrics`.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        let ask = async {
            let mut stream = tokio::net::TcpStream::connect(self.admin).await?;
            let request = "GET /metrics HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            anyhow::Ok(answer)
        };
        let answer = tokio::time::timeout(Duration::from_secs(5), ask).await??;
        let (_, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        Ok(body.to_owned())
    }

    /// Whether it says that it leads.
    pub async fn leads(&self) -> bool {
        let metrics = self.metrics().await.unwrap_or_default();
        metrics.lines().any(|line| line == "atelier_leader 1")
    }

    /// Waits until it leads.
    pub async fn leading(&self, limit: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.leads().await {
            if begun.elapsed() > limit {
                bail!(
                    "{} does not lead after {limit:?}; its log: {}",
                    self.settings.pod,
                    self.log().display()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.settings
            .folder
            .join(format!("{}.log", self.settings.pod))
    }

    fn open_log(&self) -> anyhow::Result<File> {
        let path: &Path = &self.log();
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| path.display().to_string())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.pid().context("it does not run")?;
        Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One whose port is free now. A replica that is killed needs it again when it starts: so it is none of the ports that
/// connections are given meanwhile.
fn free_address() -> anyhow::Result<SocketAddr> {
    let mut random = Random::new(Random::seed());
    let addresses = std::iter::repeat_with(|| {
        let port = BELOW_EPHEMERAL.start + random.below(BELOW_EPHEMERAL.len()) as u16;
        SocketAddr::from(([127, 0, 0, 1], port))
    });
    addresses
        .take(TRIES)
        .find(|address| TcpListener::bind(address).is_ok())
        .context("no port is free")
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}
