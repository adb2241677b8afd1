//! Against Azurite, Microsoft's own emulator of Azure Blob Storage. It comes from another registry, so `tests/real` runs
//! these.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use atelier_storage::{
    Connection, Credential, Entry, Error, Limits, Place, Store, SystemEntropy, Trust,
    format::Owner,
    keys::{KeyRing, Keys},
};
use atelier_testkit::storage_server::free_port;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::TryStreamExt as _;

use crate::objects::{content, pieces};

const ACCOUNT: &str = "team";

/// A server with its folder, ended with the test.
struct Azurite {
    folder: PathBuf,
    port: u16,
    certificate: String,
    child: Child,
}

fn installed() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/azurite/build");
    let built = Command::new(script).stderr(Stdio::inherit()).output();
    let built = built.unwrap();
    assert!(built.status.success(), "{script} failed");
    PathBuf::from(String::from_utf8(built.stdout).unwrap().trim())
}

impl Azurite {
    /// Starts it with an account, and waits until it accepts connections.
    fn start(key: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("atelier-azurite-{}", std::process::id()));
        fs::create_dir_all(folder.join("data")).unwrap();
        let pair = rcgen::KeyPair::generate().unwrap();
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap();
        let certificate = certificate.self_signed(&pair).unwrap().pem();
        fs::write(folder.join("tls.crt"), &certificate).unwrap();
        fs::write(folder.join("tls.key"), pair.serialize_pem()).unwrap();
        let port = free_port();
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut node = Command::new("node");
        node.arg(installed().join("node_modules/azurite/dist/src/blob/main.js"))
            .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{key}"))
            .args(["--blobHost", "127.0.0.1", "--blobPort"])
            .arg(port.to_string())
            .arg("--location")
            .arg(folder.join("data"))
            .arg("--cert")
            .arg(folder.join("tls.crt"))
            .arg("--key")
            .arg(folder.join("tls.key"))
            // It lags behind the versions that clients ask for.
            .args(["--skipApiVersionCheck", "--disableTelemetry"])
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut azurite = Self {
            child: node.spawn().unwrap(),
            folder,
            port,
            certificate,
        };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let log = fs::read_to_string(azurite.folder.join("log")).unwrap();
            let ended = azurite.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended: {log}");
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "it does not listen: {log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        azurite
    }

    fn connection(&self, place: Place, credential: Credential) -> Connection {
        Connection {
            place,
            credential,
            trust: Trust::Bundle(self.certificate.clone()),
            limits: Limits {
                retries: 1,
                give_up: Duration::from_secs(5),
                ..Limits::default()
            },
        }
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a workspace does with its store.
async fn keeps_objects(connection: &Connection) {
    let ring = KeyRing::generate(&SystemEntropy).unwrap();
    let keys = Keys::new(Arc::new(ring), Duration::from_secs(60));
    let store = Store::new(connection, Owner::new("team"), Arc::new(keys)).unwrap();
    store.probe(Duration::from_secs(15)).await.unwrap();
    for len in [0, 100, 20 * (1 << 20) + 1] {
        let content = content(len);
        let put = store.put("runs/1/out", futures::stream::iter(pieces(&content)));
        assert_eq!(put.await.unwrap(), len as u64);
        let read = store.get("runs/1/out").await.unwrap();
        assert!(read.bytes().await.unwrap() == content, "{len}");
    }
    let part = store.get_range("runs/1/out", 70_000..200_000);
    let part = part.await.unwrap().bytes().await.unwrap();
    assert!(part == content(20 * (1 << 20) + 1).slice(70_000..200_000));
    let listed: Vec<Entry> = store.list(Some("runs")).try_collect().await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|entry| entry.path).collect();
    assert_eq!(listed, ["runs/1/out"]);
    assert_eq!(store.folders("runs").await.unwrap(), ["runs/1"]);
    store.delete("runs/1/out").await.unwrap();
    store.delete("runs/1/out").await.unwrap();
    let gone = store.get("runs/1/out").await.unwrap_err();
    assert!(matches!(gone, Error::NotFound(_)), "{gone}");
}

/// Why a probe fails.
async fn refused(connection: &Connection) -> Error {
    let ring = KeyRing::generate(&SystemEntropy).unwrap();
    let keys = Keys::new(Arc::new(ring), Duration::from_secs(60));
    let store = Store::new(connection, Owner::new("team"), Arc::new(keys)).unwrap();
    let probed = store.probe(Duration::from_secs(15)).await;
    probed.unwrap_err().reason
}

#[tokio::test]
#[ignore = "tests/real runs it"]
async fn it_keeps_objects_and_says_what_it_refuses() {
    let key = STANDARD.encode([7; 32]);
    let azurite = Azurite::start(&key);
    let endpoint = format!("https://127.0.0.1:{}/{ACCOUNT}", azurite.port);
    let mut create = Command::new("node");
    let script = "/../../tests/azurite/create-container.mjs";
    let script = format!("{}{script}", env!("CARGO_MANIFEST_DIR"));
    let create = create.args([&script, &endpoint, ACCOUNT, &key, "container"]);
    let created = create.arg(azurite.folder.join("tls.crt")).status().unwrap();
    assert!(created.success());

    let place = |container: &str| Place::AzureBlob {
        endpoint: Some(endpoint.clone()),
        account: ACCOUNT.to_owned(),
        container: container.to_owned(),
        prefix: Some("theirs".to_owned()),
    };
    let credential = |key: &str| Credential::AccountKey(key.to_owned().into());
    let good = azurite.connection(place("container"), credential(&key));
    keeps_objects(&good).await;
    let error = refused(&azurite.connection(place("another"), credential(&key))).await;
    assert!(matches!(error, Error::NoBucket { .. }), "{error}");
    let wrong = STANDARD.encode([8; 32]);
    let error = refused(&azurite.connection(place("container"), credential(&wrong))).await;
    let told = matches!(
        error,
        Error::WrongCredential { .. } | Error::Forbidden { .. }
    );
    assert!(told, "{error}");
}
