//! The storage's server (`images/storage`) as a process of a test's own: a folder, an address, a certificate.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::cluster::root;

/// How long it may take to listen.
const STARTS: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// A server with what it serves. Ended, and forgotten, when dropped.
pub struct StorageServer {
    folder: PathBuf,
    address: SocketAddr,
    bucket: &'static str,
    child: Option<Child>,
}

/// The program. Built on first use, by the script that the image is built by.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let script = root().join("images/storage/binary");
        let built = Command::new(&script).stderr(Stdio::inherit()).output();
        let built = built.unwrap();
        assert!(built.status.success(), "{} failed", script.display());
        PathBuf::from(String::from_utf8(built.stdout).unwrap().trim())
    })
}

impl StorageServer {
    /// One that has nothing and is not running yet. It shows this certificate and has this key, both PEM.
    pub fn new(address: SocketAddr, bucket: &'static str, certificate: &str, key: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("atelier-storage-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        for part in ["data", "keys"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        fs::write(folder.join("tls.crt"), certificate).unwrap();
        fs::write(folder.join("tls.key"), key).unwrap();
        Self {
            folder,
            address,
            bucket,
            child: None,
        }
    }

    /// Starts the process, on what is there. Waits until it accepts connections.
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let file = |name: &str| self.folder.join(name);
        let child = Command::new(program())
            .arg("-listen")
            .arg(self.address.to_string())
            .arg("-bucket")
            .arg(self.bucket)
            .arg("-data")
            .arg(file("data"))
            .arg("-keys")
            .arg(file("keys"))
            .arg("-tls-cert")
            .arg(file("tls.crt"))
            .arg("-tls-key")
            .arg(file("tls.key"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let begun = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.as_mut().and_then(|c| c.try_wait().unwrap());
            let log = fs::read_to_string(self.folder.join("log")).unwrap();
            assert!(ended.is_none(), "the server ended: {log}");
            assert!(begun.elapsed() < STARTS, "it does not listen: {log}");
            std::thread::sleep(POLL);
        }
    }

    /// SIGKILL, in the middle of whatever it does.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Lets these access keys in, by id, and no others: writes them as a kubelet does a Secret that is mounted. A new one is
    /// let in within seconds, or at the next start.
    pub fn let_in(&self, keys: &BTreeMap<String, Vec<u8>>) {
        let folder = self.folder.join("keys");
        for entry in fs::read_dir(&folder).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (id, secret) in keys {
            fs::write(folder.join(id), secret).unwrap();
        }
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The volume: objects, and what the server keeps beside them.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The raw file of an object.
    pub fn file(&self, path: &str) -> PathBuf {
        self.data().join("objects").join(self.bucket).join(path)
    }
}

impl Drop for StorageServer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A port of this machine that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
