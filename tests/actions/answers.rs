//! The table of answers of a service (docs/scoring.md), row by row, by the pods of a real one.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_api::WebService;
use atelier_testkit::load::Answer;
use atelier_testkit::manifest::service;
use atelier_testkit::namespace::{QUICK, SLOW};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, Way, eventually};
use atelier_token::{Claims, SigningKey};
use http::Request;
use http::request::Builder;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use crate::team::{CONTRIBUTOR, READER, plugin, team};
use crate::tokens::{token, with_tokens};

/// Does what the request asks for.
const MODEL: &str = r#"
import http.server, json, os, signal, time
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        sent = self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}"
        try: sent = json.loads(sent)
        except ValueError: sent = {"status": 400}
        if not isinstance(sent, dict): sent = {}
        time.sleep(sent.get("sleep", 0))
        if sent.get("do") == "reset":
            self.connection.shutdown(2); return
        if sent.get("do") == "malformed":
            self.wfile.write(b"HTP nonsense\r\n\r\n"); self.wfile.flush()
            self.close_connection = True; return
        body = b'{"from": "model"}'
        self.send_response(sent.get("status", 200))
        if sent.get("do") == "failed": self.send_header("x-ms-run-function-failed", "True")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server(("127.0.0.1", 5001), Handler).serve_forever()
"#;

const LIMITS: &str = r#"{"concurrentRequestsPerReplica": 1, "queueWaitMs": 300, "timeoutMs": 2000, "maxBodyBytes": 1000}"#;

/// What a row says of an answer beside its status.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Also {
    /// An error of the gateway's: a code, a sentence, the request's id.
    Refused,
    /// And `WWW-Authenticate: Bearer`.
    Challenged,
    /// And when to try again.
    Later,
    /// The model's own word.
    Models,
    /// Nothing more.
    Plain,
}

struct Row {
    case: &'static str,
    way: usize,
    request: Builder,
    path: &'static str,
    body: Vec<u8>,
    status: u16,
    also: Also,
}

fn row(case: &'static str, request: Builder, body: &str, status: u16, also: Also) -> Row {
    Row {
        case,
        way: 0,
        request,
        path: "/score",
        body: body.as_bytes().to_vec(),
        status,
        also,
    }
}

fn post(credential: &str) -> Builder {
    let request = Request::builder()
        .method("POST")
        .header("content-type", "application/json");
    match credential {
        "" => request,
        credential => request.header("authorization", format!("Bearer {credential}")),
    }
}

/// A service of that model.
async fn with_keys(namespace: &TestNamespace) -> (Way, String) {
    let mut model = service("keyed");
    model["spec"]["command"] = json!(["python3", "-c", MODEL]);
    model["spec"]["limits"] = serde_json::from_str(LIMITS).unwrap();
    model["spec"]["cors"] = json!(["https://app.example.com"]);
    namespace.create::<WebService>(model).await;
    namespace.ready::<WebService>("keyed", SLOW).await;
    let way = Way::to(namespace, "keyed").await;
    let key = shown(namespace);
    eventually(QUICK, "the key opens it", async || {
        let answer = way.post(Some(&key), "{}").await;
        check(answer.status == 200, answer)
    })
    .await;
    (way, key)
}

fn shown(namespace: &TestNamespace) -> String {
    let shown = plugin(
        namespace,
        CONTRIBUTOR,
        &["keys", "show", "keyed", "primary"],
    );
    shown.unwrap().trim_end().to_owned()
}

/// Signs for the service what its own issuer would not.
struct Forger {
    key: SigningKey,
    audience: [String; 2],
}

impl Forger {
    async fn of(namespace: &TestNamespace, name: &str) -> Self {
        let secret = namespace
            .api::<Secret>()
            .get(&format!("{name}-tokens"))
            .await;
        let data = secret.unwrap().data.unwrap();
        let mut keys = data
            .values()
            .filter_map(|bytes| SigningKey::from_pkcs8(&bytes.0).ok());
        let service: WebService = namespace.api().get(name).await.unwrap();
        let uid = service.metadata.uid.unwrap();
        Self {
            key: keys.next().unwrap(),
            audience: [format!("{}/{name}", namespace.name), uid],
        }
    }

    /// For the service or, without its `uid`, for one of the same name that is gone; `hours` from now.
    fn token(&self, subject: &str, id: &str, uid: Option<&str>, hours: i64) -> String {
        let mut audience = self.audience.clone();
        if let Some(uid) = uid {
            audience[1] = uid.to_owned();
        }
        let at = Timestamp::now() + SignedDuration::from_hours(hours);
        let claims = Claims::new(
            subject,
            audience,
            id.into(),
            at,
            SignedDuration::from_hours(1),
        );
        self.key.sign(&claims).unwrap()
    }
}

fn holds(row: &Row, answer: &Answer) -> Result<(), String> {
    let case = row.case;
    check(answer.status == row.status, (case, answer))?;
    let header = |name: &str| {
        answer
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    // Health has no record, and so no id.
    if row.also != Also::Plain {
        let id = header("x-request-id").unwrap_or_default();
        check(
            !id.is_empty() && header("x-ms-request-id") == Some(id),
            (case, answer),
        )?;
    }
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    if matches!(row.also, Also::Refused | Also::Challenged | Also::Later) {
        let fields: Vec<_> = body
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
            .collect();
        check(fields == ["code", "message", "requestId"], (case, answer))?;
        check(
            body["requestId"].as_str() == header("x-request-id"),
            (case, answer),
        )?;
    }
    let challenged = header("www-authenticate") == Some("Bearer");
    check(challenged == (row.also == Also::Challenged), (case, answer))?;
    check(
        header("retry-after").is_some() == (row.also == Also::Later),
        (case, answer),
    )?;
    check(
        (body["from"] == "model") == (row.also == Also::Models),
        (case, answer),
    )
}

#[tokio::test]
async fn every_row_of_the_table_of_answers_holds() {
    let namespace = team("answers").await;
    let revoked = json!({"revoked": {"subjects": ["eve"], "tokens": ["stolen"]}});
    let ((keyed, first), tokened) = tokio::join!(
        with_keys(&namespace),
        with_tokens(&namespace, "tokened", revoked)
    );
    let renewed = plugin(
        &namespace,
        CONTRIBUTOR,
        &["keys", "regenerate", "keyed", "primary"],
    );
    renewed.unwrap();
    let key = shown(&namespace);
    eventually(
        QUICK,
        "the old key is refused and the new one opens",
        async || {
            let (old, new) = (
                keyed.post(Some(&first), "{}").await,
                keyed.post(Some(&key), "{}").await,
            );
            check(
                (old.status, new.status) == (401, 200),
                (old.status, new.status),
            )
        },
    )
    .await;
    let forger = Forger::of(&namespace, "tokened").await;
    let good = token(&namespace, READER, "tokened").unwrap();
    let big = "x".repeat(70_000);

    let at = |path: &'static str, row: Row| Row { path, ..row };
    let of_tokens = |case, token: &str| Row {
        way: 1,
        ..row(case, post(token), "{}", 401, Also::Challenged)
    };
    let key_is = |case, request: Builder| row(case, request, "{}", 401, Also::Challenged);
    let basic = |value: &str| post("").header("authorization", value);
    let from_page = |method: &str| {
        Request::builder()
            .method(method)
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", "POST")
    };
    let rows = [
        row("a key", post(&key), "{}", 200, Also::Models),
        row(
            "a key in x-api-key",
            post("").header("x-api-key", &key),
            "{}",
            200,
            Also::Models,
        ),
        Row {
            way: 1,
            also: Also::Refused,
            ..row("a token", post(&good), "{}", 200, Also::Refused)
        },
        key_is("no credential", post("")),
        key_is("another scheme", basic("Basic a2V5OmtleQ==")),
        key_is("a scheme without a credential", basic("Bearer")),
        key_is(
            "a wrong key",
            post("atl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ),
        key_is("a key with something after it", post(&format!("{key}A"))),
        key_is("a rotated key", post(&first)),
        key_is("a token where keys are asked for", post(&good)),
        of_tokens("no token", ""),
        of_tokens("a key where tokens are asked for", &key),
        of_tokens("a token that is over", &forger.token(READER, "a", None, -2)),
        of_tokens(
            "a token whose time has not come",
            &forger.token(READER, "b", None, 2),
        ),
        of_tokens(
            "a token of a service of the same name that is gone",
            &forger.token(READER, "c", Some("gone"), 0),
        ),
        of_tokens("a revoked token", &forger.token(READER, "stolen", None, 0)),
        of_tokens(
            "a token of a revoked caller",
            &forger.token("eve", "d", None, 0),
        ),
        row(
            "a body that is too large",
            post(&key),
            &"1".repeat(1001),
            413,
            Also::Refused,
        ),
        row(
            "a header that is too large",
            post(&key).header("x-big", &big),
            "{}",
            431,
            Also::Plain,
        ),
        row(
            "an id of more than 100 characters",
            post(&key).header("x-request-id", "i".repeat(101)),
            "{}",
            431,
            Also::Refused,
        ),
        row(
            "a body that the model cannot read",
            post(&key),
            "{",
            400,
            Also::Models,
        ),
        row(
            "an upgrade",
            post(&key)
                .header("connection", "upgrade")
                .header("upgrade", "websocket"),
            "{}",
            400,
            Also::Refused,
        ),
        row(
            "a method that is not allowed",
            post(&key).method("DELETE"),
            "",
            405,
            Also::Refused,
        ),
        at(
            "/score/",
            row("another path", post(&key), "{}", 404, Also::Refused),
        ),
        at(
            "/%73core",
            row(
                "the path in other bytes",
                post(&key),
                "{}",
                404,
                Also::Refused,
            ),
        ),
        row(
            "a model that takes too long",
            post(&key),
            r#"{"sleep": 4}"#,
            504,
            Also::Refused,
        ),
        row(
            "a model that breaks off",
            post(&key),
            r#"{"do": "reset"}"#,
            502,
            Also::Refused,
        ),
        row(
            "a model that answers nonsense",
            post(&key),
            r#"{"do": "malformed"}"#,
            502,
            Also::Refused,
        ),
        row(
            "a model that says its function failed",
            post(&key),
            r#"{"do": "failed"}"#,
            502,
            Also::Refused,
        ),
        row(
            "a model's own refusal",
            post(&key),
            r#"{"status": 418}"#,
            418,
            Also::Models,
        ),
        row(
            "a model's own failure",
            post(&key),
            r#"{"status": 500}"#,
            500,
            Also::Models,
        ),
        row(
            "a page's question",
            from_page("OPTIONS"),
            "",
            204,
            Also::Plain,
        ),
        at(
            "/",
            row(
                "health",
                Request::builder().method("GET"),
                "",
                200,
                Also::Plain,
            ),
        ),
        at(
            "/swagger.json",
            row(
                "the description without a credential",
                Request::builder().method("GET"),
                "",
                401,
                Also::Challenged,
            ),
        ),
        at(
            "/swagger.json",
            row(
                "the description",
                post(&key).method("GET"),
                "",
                200,
                Also::Models,
            ),
        ),
    ];
    let mut wrong = vec![];
    let mut ids = BTreeMap::new();
    for mut row in rows {
        let way = [&keyed, &tokened][row.way];
        let request = std::mem::take(&mut row.request);
        let answer = way.send(request, row.path, &row.body).await;
        // What the model of the other service answers is its own.
        let row = match row.case {
            "a token" => Row {
                also: Also::Plain,
                ..row
            },
            _ => row,
        };
        if let Err(why) = holds(&row, &answer) {
            wrong.push(why);
        }
        if let Some(id) = answer.headers.get("x-request-id") {
            ids.insert(
                id.to_str().unwrap().to_owned(),
                (row.case, row.way, row.status),
            );
        }
    }
    // One works and one waits for its turn, and the third in vain.
    let busy = async || keyed.post(Some(&key), r#"{"sleep": 1}"#).await;
    let late = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        keyed.post(Some(&key), "{}").await
    };
    let (first, second) = tokio::join!(busy(), late);
    assert_eq!(first.status, 200, "{first:?}");
    let queued = row("no turn in time", post(""), "", 503, Also::Later);
    if let Err(why) = holds(&queued, &second) {
        wrong.push(why);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    recorded_once(&namespace, &ids).await;
    namespace.finish().await;
}

/// Each request that got an id has exactly one record, with the status that the caller saw.
async fn recorded_once(
    namespace: &TestNamespace,
    ids: &BTreeMap<String, (&'static str, usize, u16)>,
) {
    assert!(ids.len() > 25, "{ids:?}");
    eventually(QUICK, "every request is recorded once", async || {
        let mut records: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for name in ["keyed", "tokened"] {
            let deployment = format!("deployment/{name}");
            let args = ["-n", &namespace.name, "logs", &deployment, "-c", "gateway"];
            let (ok, log) = namespace.cluster.kubectl(&args, "");
            check(ok, &log)?;
            let lines = log
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            for record in lines.filter(|record| record["RequestId"].is_string()) {
                let id = record["RequestId"].as_str().unwrap_or_default().to_owned();
                records.entry(id).or_default().push(record);
            }
        }
        for (id, (case, _, status)) in ids {
            let of = records.get(id).map(Vec::as_slice).unwrap_or_default();
            let right = of.len() == 1 && of[0]["StatusCode"] == json!(status);
            check(right, (case, id, of))?;
        }
        Ok(())
    })
    .await;
}
