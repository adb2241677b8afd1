//! Allocations of whole requests: a gateway in this process, between a client and a model that allocate nothing.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    thread,
    time::Duration,
};

use atelier_gateway::{args, run};
use serde_json::json;
use stats_alloc::Region;

use crate::{ALLOCATIONS, Failure, tokens};

const GATEWAY: &str = "127.0.0.1:8110";
const MODEL: &str = "127.0.0.1:5002";
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 17\r\n\r\n{\"predictions\":0}";
const BODY: &str = r#"{"data":[[5.1,3.5,1.4,0.2]]}"#;
const COUNTED: usize = 5000;

fn answer(mut client: TcpStream) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        // Header and body may come apart.
        if buffer[..read].ends_with(b"}") && client.write_all(ANSWER).is_err() {
            return;
        }
    }
}

/// One request, whose answer comes in one piece or two.
fn ask(gateway: &mut TcpStream, request: &[u8], end: &[u8]) -> Result<(), Failure> {
    let mut buffer = [0; 4096];
    gateway.write_all(request)?;
    let mut read = 0;
    while !buffer[..read].ends_with(end) {
        match gateway.read(&mut buffer[read..])? {
            0 => return Err("the gateway hung up".into()),
            more => read += more,
        }
    }
    Ok(())
}

fn each(gateway: &mut TcpStream, key: &str) -> Result<serde_json::Value, Failure> {
    let request = format!(
        "POST /score HTTP/1.1\r\nhost: {GATEWAY}\r\nuser-agent: bench/1\r\ncontent-type: application/json\r\n\
         authorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    for _ in 0..1000 {
        ask(gateway, request.as_bytes(), b"}")?;
    }
    let counted = Region::new(ALLOCATIONS);
    for _ in 0..COUNTED {
        ask(gateway, request.as_bytes(), b"}")?;
    }
    // What the thread that writes records still has to do.
    thread::sleep(Duration::from_millis(500));
    let change = counted.change();
    let each = |total: usize| total as f64 / COUNTED as f64;
    Ok(json!({
        "allocations": each(change.allocations),
        "reallocations": each(change.reallocations),
        "bytes": each(change.bytes_allocated),
    }))
}

/// Prints, on stderr, `{"scored": …, "refused": …, "exported": …}`.
pub fn measure(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir)?;
    // Of a run before.
    let _ = fs::remove_file(dir.join("telemetry.json"));
    fs::write(dir.join("policy.json"), tokens::key_policy().to_json()?)?;
    let model = TcpListener::bind(MODEL)?;
    thread::spawn(move || {
        for client in model.incoming().map_while(Result::ok) {
            thread::spawn(|| answer(client));
        }
    });
    let line = format!(
        "atelier-gateway --listen {GATEWAY} --admin-listen 127.0.0.1:8111 --model {MODEL} --workers 1 \
         --namespace ml --service iris --workspace ws --replica iris-0 --log off --secret-dir"
    );
    let line = line.split(' ').map(Into::into);
    let args = args::parse(line.chain([dir.into()])).map_err(|_| "bad arguments")?;
    thread::spawn(move || run::run(args).map_err(|error| eprintln!("{error}")));

    let mut gateway = loop {
        match TcpStream::connect(GATEWAY) {
            Ok(gateway) => break gateway,
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    };
    // Until the policy is read.
    thread::sleep(Duration::from_secs(1));
    let scored = each(&mut gateway, &tokens::keys()[0])?;
    let refused = each(&mut gateway, "atl_wrong")?;
    // What an export costs on the way of a request: nobody answers there, so nothing is done beside it.
    let telemetry = r#"{"version":1,"otlp":{"endpoint":"http://192.0.2.1:4318"}}"#;
    fs::write(dir.join("telemetry.json"), telemetry)?;
    thread::sleep(Duration::from_secs(1));
    let exported = each(&mut gateway, &tokens::keys()[0])?;
    eprintln!(
        "{}",
        json!({"scored": scored, "refused": refused, "exported": exported})
    );
    Ok(())
}
