//! A server of a test's own, with an access key and a ring; ended with the test.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use atelier_storage::{
    Connection, Credential, Limits, Place, Store, SystemEntropy, Trust,
    format::Owner,
    keys::{KeyRing, Keys},
};
use atelier_testkit::StorageServer;
pub use atelier_testkit::storage_server::free_port;

const BUCKET: &str = "workspace";
const KEY_ID: &str = "atelier";
/// Looked for in raw files.
pub const SECRET: &str = "secret-of-the-access-key";

pub struct Server {
    process: StorageServer,
    /// PEM of the authority that the certificate is signed by: its own.
    pub certificate: String,
    pub ring: KeyRing,
}

impl Server {
    pub fn start() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap();
        let certificate = certificate.self_signed(&key).unwrap().pem();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let process = StorageServer::new(address, BUCKET, &certificate, &key.serialize_pem());
        process.let_in(&[(KEY_ID.to_owned(), SECRET.into())].into());
        let mut server = Self {
            process,
            certificate,
            ring: KeyRing::generate(&SystemEntropy).unwrap(),
        };
        server.run();
        server
    }

    /// Starts the process, on what is there. Waits until it accepts connections.
    pub fn run(&mut self) {
        self.process.run();
    }

    /// SIGKILL, in the middle of whatever it does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub fn connection(&self) -> Connection {
        Connection {
            place: Place::Embedded {
                endpoint: self.process.endpoint(),
                bucket: BUCKET.to_owned(),
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
        self.process.let_in(&[].into());
    }

    /// The raw file of an object.
    pub fn file(&self, path: &str) -> PathBuf {
        self.process.file(path)
    }

    /// Every raw file of the volume.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.process.data()];
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
