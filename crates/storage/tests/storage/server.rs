//! A server of a test's own: a folder, a port, a certificate; ended with the test.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use atelier_storage::{
    Connection, Credential, Limits, Place, Store, SystemEntropy, Trust,
    format::Owner,
    keys::{KeyRing, Keys},
};

const KEY_ID: &str = "atelier";
/// Looked for in raw files.
pub const SECRET: &str = "secret-of-the-access-key";

pub struct Server {
    folder: PathBuf,
    port: u16,
    /// PEM of the authority that the certificate is signed by: its own.
    pub certificate: String,
    child: Option<Child>,
    pub ring: KeyRing,
}

/// Built on first use, by the script that the image is built by.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../images/storage/binary");
        let built = Command::new(script).stderr(Stdio::inherit()).output();
        let built = built.unwrap();
        assert!(built.status.success(), "{script} failed");
        PathBuf::from(String::from_utf8(built.stdout).unwrap().trim())
    })
}

impl Server {
    pub fn start() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("atelier-storage-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        for part in ["data", "keys"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        fs::write(folder.join("keys").join(KEY_ID), SECRET).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap();
        let certificate = certificate.self_signed(&key).unwrap().pem();
        fs::write(folder.join("tls.crt"), &certificate).unwrap();
        fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
        let mut server = Self {
            folder,
            port: free_port(),
            certificate,
            child: None,
            ring: KeyRing::generate(&SystemEntropy).unwrap(),
        };
        server.run();
        server
    }

    /// Starts the process, on what is there. Waits until it accepts connections.
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let file = |name: &str| self.folder.join(name);
        let child = Command::new(binary())
            .arg("-listen")
            .arg(format!("127.0.0.1:{}", self.port))
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
        while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = self.child.as_mut().and_then(|c| c.try_wait().unwrap());
            let log = fs::read_to_string(self.folder.join("log")).unwrap();
            assert!(ended.is_none(), "the server ended: {log}");
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "it does not listen: {log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL, in the middle of whatever it does.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub fn connection(&self) -> Connection {
        Connection {
            place: Place::Embedded {
                endpoint: format!("https://127.0.0.1:{}", self.port),
                bucket: "workspace".to_owned(),
            },
            credential: Credential::AccessKey {
                id: KEY_ID.to_owned(),
                secret: SECRET.to_owned().into(),
            },
            trust: Trust::Bundle(self.certificate.clone()),
            limits: Limits {
                retries: 1,
                give_up: Duration::from_secs(2),
                ..Limits::default()
            },
        }
    }

    pub fn store(&self) -> Store {
        self.store_by(&self.connection())
    }

    pub fn store_by(&self, connection: &Connection) -> Store {
        let keys = Keys::new(Arc::new(self.ring.clone()), Duration::from_secs(60));
        Store::new(connection, Owner::new("team"), Arc::new(keys)).unwrap()
    }

    /// Takes the access key away.
    pub fn revoke_access_key(&self) {
        fs::remove_file(self.folder.join("keys").join(KEY_ID)).unwrap();
    }

    /// The raw file of an object.
    pub fn file(&self, path: &str) -> PathBuf {
        self.folder.join("data/objects/workspace").join(path)
    }

    /// Every raw file of the volume.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.join("data")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path);
                }
            }
        }
        files
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// One that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}
