//! A listener that answers as told and keeps what it was asked. It speaks raw HTTP, so that it can also cut an answer
//! off or let it wait.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Method and path, with the query.
    pub line: String,
    /// Headers, in lower case. Those given twice are joined with a comma.
    pub headers: BTreeMap<String, String>,
    /// Body.
    pub body: Vec<u8>,
}

impl Asked {
    /// The body, which is JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Answers one request on its connection.
type Answer = dyn Fn(&Asked, &mut TcpStream) + Send + Sync;

/// A cluster's API, as far as a test needs it.
pub struct Cluster {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Cluster {
    /// Answers every request in the same way.
    pub fn answering(status: &'static str, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.as_ref().len()
        );
        let bytes = [head.as_bytes(), body.as_ref()].concat();
        Self::with(move |_, stream| stream.write_all(&bytes).unwrap())
    }

    /// Answers every request with this JSON.
    pub fn json(body: serde_json::Value) -> Self {
        Self::answering("200 OK", "application/json", body.to_string())
    }

    /// Refuses every request as Kubernetes does.
    pub fn refusing(status: &'static str, reason: &str, message: &str) -> Self {
        let code: u16 = status[..3].parse().unwrap();
        let body = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": code,
        });
        Self::answering(status, "application/json", body.to_string())
    }

    /// Answers as told.
    pub fn with(answer: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (kept, answer) = (asked.clone(), Arc::new(answer));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, answer) = (kept.clone(), answer.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &kept, answer.as_ref()));
            }
        });
        Self { address, asked }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The only thing it was asked.
    pub fn only(&self) -> Asked {
        let asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.into_iter().next().unwrap()
    }
}

fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Asked>>, answer: &Answer) {
    let Some(asked) = read(&stream) else { return };
    kept.lock().unwrap().push(asked.clone());
    answer(&asked, &mut stream);
}

/// One request; none when the client only looked whether somebody listens.
fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let line = line.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
    let mut headers = BTreeMap::<String, String>::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        headers
            .entry(name.to_lowercase())
            .and_modify(|all| *all = format!("{all},{value}"))
            .or_insert_with(|| value.to_owned());
    }
    let length = headers.get("content-length").map_or("0", String::as_str);
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        line,
        headers,
        body,
    })
}
