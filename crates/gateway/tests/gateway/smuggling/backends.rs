//! Three models, each with a parser of its own, that answer every request with its `x-request-id` and give account of
//! it: a parser that reads one request as two would give account of two.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use tokio::net::TcpStream;

use crate::{
    harness::{Lines, collect, eventually, folder, lines},
    models::{self, MODEL, Seen},
};

/// What a model says of a request.
#[derive(Clone, Debug, Default)]
pub struct Account {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    /// Absent where the model answered before it.
    pub body: Option<Bytes>,
    /// Whether the request came to its end.
    pub whole: bool,
}

impl Account {
    /// The first value of a header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.headers.iter();
        lines
            .find_map(|(found, value)| (found == name).then_some(value.as_str()))
            .unwrap_or_default()
    }
}

/// A model. Ended when dropped.
pub enum Backend {
    Hyper(Arc<Mutex<Vec<Account>>>),
    Nginx { log: PathBuf, _running: Program },
    Haproxy { said: Lines, _running: Program },
}

impl Backend {
    pub async fn hyper() -> Self {
        let accounts = Arc::<Mutex<Vec<Account>>>::default();
        let noted = Arc::clone(&accounts);
        models::serve(Seen::default(), move |request| {
            let noted = Arc::clone(&noted);
            async move {
                let (head, body) = request.into_parts();
                let text = |value: &http::HeaderValue| {
                    String::from_utf8_lossy(value.as_bytes()).into_owned()
                };
                let headers = head.headers.iter();
                let headers = headers.map(|(name, value)| (name.to_string(), text(value)));
                let mut account = Account {
                    method: head.method.to_string(),
                    target: head.uri.to_string(),
                    headers: headers.collect(),
                    body: None,
                    whole: true,
                };
                if head.uri.query() != Some("early") {
                    let body = body.collect().await;
                    account.whole = body.is_ok();
                    account.body = body.ok().map(|body| body.to_bytes());
                }
                let id = account.header("x-request-id").to_owned();
                locked(&noted).push(account);
                http::Response::new(Full::<Bytes>::new(id.into()))
            }
        })
        .await;
        Self::Hyper(accounts)
    }

    /// nginx, which reads the whole request because it would hand it on to another.
    pub async fn nginx() -> Self {
        let dir = folder("nginx");
        let config = include_str!("nginx.conf").replace("DIR", &dir.display().to_string());
        fs::write(dir.join("nginx.conf"), config).expect("a file");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&dir).arg("-c").arg("nginx.conf");
        command.arg("-e").arg(dir.join("error.log"));
        let program = Program::start(command, dir.clone());
        until_it_listens().await;
        Self::Nginx {
            log: dir.join("access.log"),
            _running: program,
        }
    }

    /// HAProxy, which waits for the whole request before it answers.
    pub async fn haproxy() -> Self {
        let dir = folder("haproxy");
        fs::write(dir.join("haproxy.cfg"), include_str!("haproxy.cfg")).expect("a file");
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(dir.join("haproxy.cfg"));
        let mut program = Program::start(command, dir);
        let said = Lines::default();
        collect(program.child.stdout.take().expect("a pipe"), &said);
        until_it_listens().await;
        Self::Haproxy {
            said,
            _running: program,
        }
    }

    /// All accounts so far.
    pub fn accounts(&self) -> Vec<Account> {
        match self {
            Self::Hyper(accounts) => locked(accounts).clone(),
            Self::Nginx { log, .. } => {
                let log = fs::read(log).unwrap_or_default();
                let log = String::from_utf8_lossy(&log);
                log.lines().map(said_by_nginx).collect()
            }
            Self::Haproxy { said, .. } => {
                let said = lines(said);
                let said = said.iter().filter_map(|line| line.strip_prefix("account "));
                said.map(said_by_haproxy).collect()
            }
        }
    }
}

fn locked(accounts: &Mutex<Vec<Account>>) -> std::sync::MutexGuard<'_, Vec<Account>> {
    accounts.lock().unwrap_or_else(PoisonError::into_inner)
}

fn said_by_nginx(line: &str) -> Account {
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let early = text("target").ends_with("?early");
    let headers = line["headers"].as_object().expect("headers").iter();
    let headers = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default()));
    let headers = headers.filter(|(_, value)| !value.is_empty());
    Account {
        method: text("method"),
        target: text("target"),
        headers: headers
            .map(|(name, value)| (name, value.to_owned()))
            .collect(),
        body: (!early).then(|| text("body").into()),
        whole: line["status"] == "200",
    }
}

fn said_by_haproxy(line: &str) -> Account {
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let status = word();
    let mut bytes = || STANDARD.decode(word()).unwrap_or_default();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (method, target) = (text(bytes()), text(bytes()));
    let (headers, body) = (text(bytes()), bytes());
    let headers = headers.lines().filter_map(|line| line.split_once(": "));
    Account {
        body: (!target.ends_with("?early")).then(|| body.into()),
        method,
        target,
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        whole: status == "200",
    }
}

/// A program of the system. Killed when dropped, and its folder with it.
pub struct Program {
    child: Child,
    dir: PathBuf,
}

impl Program {
    fn start(mut command: Command, dir: PathBuf) -> Self {
        let name = command.get_program().to_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let child = child.unwrap_or_else(|error| {
            panic!(
                "{name:?} cannot be started ({error}). The corpus is judged by it: apt-get install nginx haproxy"
            )
        });
        Self { child, dir }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

async fn until_it_listens() {
    eventually("the model listens", || async {
        TcpStream::connect(MODEL).await.is_ok()
    })
    .await;
}
