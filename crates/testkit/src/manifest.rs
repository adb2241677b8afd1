//! Small manifests of the five kinds. Tests change what they are about.

use serde_json::{Value, json};

/// The image of the examples: Python with scikit-learn.
pub const IMAGE: &str = "atelier.dev/sklearn:quickstart";

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "atelier.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A workspace that keeps nothing: most tests need neither a storage server nor a file share.
pub fn workspace(name: &str) -> Value {
    object(
        "Workspace",
        name,
        json!({"storage": {"type": "None"}, "fileShare": {"type": "None"}}),
    )
}

/// A role for a user.
pub fn role(name: &str, role: &str, user: &str) -> Value {
    object(
        "RoleAssignment",
        name,
        json!({"role": role, "principal": {"kind": "User", "name": user}}),
    )
}

/// A compute target of small nodes.
pub fn target(name: &str, min: i32, max: i32, idle_seconds: i64) -> Value {
    object(
        "ComputeTarget",
        name,
        json!({"managed": {"nodes": {"min": min, "max": max}, "idleSecondsBeforeScaleDown": idle_seconds,
               "resources": {"cpu": "50m", "memory": "64Mi"}}}),
    )
}

/// A run of a shell script.
pub fn run(name: &str, target: &str, script: &str) -> Value {
    object(
        "Run",
        name,
        json!({"experiment": "tests", "computeTarget": target, "image": IMAGE, "gracePeriodSeconds": 1,
               "command": ["/bin/sh", "-c", script]}),
    )
}

/// A run of a Python program.
pub fn python_run(name: &str, target: &str, program: &str) -> Value {
    let mut run = run(name, target, "");
    run["spec"]["command"] = json!(["python3", "-c", program]);
    run
}

/// A model server that answers every request at once, or after a while, on this address.
pub fn server(host: &str, delay_ms: u32) -> String {
    format!(
        r#"
import http.server, json, os, signal, time
# Process 1 of a container is not ended by a signal that it does not handle.
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        time.sleep({delay_ms} / 1000)
        body = json.dumps({{"seen": [k.lower() for k in self.headers.keys()]}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server(("{host}", 5001), Handler).serve_forever()
"#
    )
}

/// A web service with a small model server.
pub fn service(name: &str) -> Value {
    object(
        "WebService",
        name,
        json!({"image": IMAGE, "command": ["python3", "-c", server("127.0.0.1", 0)],
               "resources": {"cpu": "20m", "memory": "64Mi"}, "limits": {"concurrentRequestsPerReplica": 8}}),
    )
}
