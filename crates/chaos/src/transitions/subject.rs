//! What a schema cannot tell: a good object of each kind, what it needs beside it, and values that mean something.

use atelier_testkit::certificate::Authority;
use atelier_testkit::manifest::{role, run, service, target, workspace};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

/// A namespace's own name, where it stands in a value.
pub const HERE: &str = "{here}";
/// A namespace that consents to roles elsewhere, and one that does not.
pub const CONSENTS: &str = "transitions-consents";
/// See above.
pub const KEEPS_TO_ITSELF: &str = "transitions-private";
/// An image that no registry has.
pub const NOWHERE: &str = "registry.invalid/none:1";

/// Under which name a service with a certificate of its own is known.
const HOSTNAME: &str = "svc.example.com";

/// What a good spec cannot have, beside what it has: the fields of other types of storage and file share, and replicas that follow the
/// load beside a number of them. (What follows the load is played by the scenario of that name: here nobody reports it.)
const OF_OTHER_TYPES: [&str; 5] = [
    "fileShare.embedded",
    "storage.azureBlob",
    "storage.embedded",
    "storage.gcs",
    "autoscale",
];

/// Whether a place stands in a good spec.
pub fn stands(place: &str) -> bool {
    !OF_OTHER_TYPES.iter().any(|other| place.starts_with(other))
}

/// A kind, with all that is needed to walk its objects.
pub struct Subject {
    /// The kind.
    pub kind: &'static str,
    /// The object's name.
    pub name: &'static str,
    /// A good `spec` that says everything there is to say.
    pub good: Value,
    /// Secrets that it names. They are made first.
    pub secrets: Vec<Secret>,
    /// What is made before it and stays. The object under test comes after.
    pub before: Vec<Value>,
    /// What is made after it.
    pub after: Vec<Value>,
    /// What is in `after` is made anew whenever the object is, and before each comparison.
    pub renew: bool,
}

/// All kinds.
pub fn subjects() -> Vec<Subject> {
    let team = || workspace("team");
    let authority = Authority::new("team");
    let service_spec = json!({
        "class": "Cluster", "image": "atelier.dev/sklearn:1", "command": ["serve", "--quietly"], "port": 5001,
        "scorePath": "/score", "replicas": 1, "resources": {"cpu": "20m", "memory": "64Mi"},
        "location": "local",
        "auth": {"mode": "Key", "keysSecretRef": {"name": "keys"}, "keyGeneration": {"primary": 1, "secondary": 1},
                 "tokens": {"lifetimeSeconds": 600, "rotationSeconds": 600, "generation": 1},
                 "revoked": {"subjects": ["eve"], "tokens": ["one"]}},
        "limits": {"concurrentRequestsPerReplica": 8, "maxBodyBytes": 1000, "queueWaitMs": 100, "timeoutMs": 5000},
        "tls": {"mode": "Secret", "secretRef": {"name": "own"}, "hostname": HOSTNAME},
        "cors": ["https://app.example.com"],
        "expose": {"parentRefs": [{"name": "edge", "namespace": "infra", "sectionName": "https"}],
                   "hostnames": ["model.example.com"]},
        "telemetry": {"enabled": true, "otlp": {
            "endpoint": "https://collector.invalid:4318/team", "compression": "Gzip", "caBundle": authority.pem(),
            "headersSecretRef": {"name": "headers"},
        }, "archive": {"enabled": true, "maxDelaySeconds": 60, "keepDays": 90}},
        "collectData": {"samplePercent": 100, "maxBytes": 65536, "maxDelaySeconds": 60, "keepDays": 90},
    });
    // A store that nobody finds: what is said of it is the same each time.
    let workspace_spec = json!({
        "location": "local", "resyncKeys": 1, "deletionPolicy": "Retain", "encryption": {"keyRef": {"name": "key"}},
        "storage": {"type": "S3", "s3": {
            "endpoint": "https://127.0.0.1:1", "region": "here", "bucket": "bucket", "prefix": "folder",
            "caBundle": "none", "secretRef": {"name": "credential"},
        }},
        "fileShare": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "files"}},
    });
    let target_spec = json!({"managed": {
        "nodes": {"min": 1, "max": 3}, "idleSecondsBeforeScaleDown": 0, "priority": "Dedicated",
        "resources": {"cpu": "50m", "memory": "64Mi"}, "nodeSelector": {"type": "kwok"},
        "tolerations": [{"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"}],
    }});
    let run_spec = json!({
        "experiment": "first", "computeTarget": "cpu", "image": "atelier.dev/sklearn:1", "command": ["train", "now"],
        "args": ["--deep"], "env": [{"name": "A", "value": "b"}], "maxDurationSeconds": 7200, "gracePeriodSeconds": 5,
        "cancel": false, "createdBy": "somebody",
    });
    let subject = |kind, name, good, before, after| Subject {
        kind,
        name,
        good,
        secrets: vec![],
        before,
        after,
        renew: false,
    };
    vec![
        subject(
            "Workspace",
            "team",
            workspace_spec,
            vec![],
            vec![
                role("lead", "Owner", "lead"),
                target("cpu", 1, 2, 0),
                service("svc"),
            ],
        ),
        subject(
            "RoleAssignment",
            "who",
            json!({"role": "Reader", "principal": {"kind": "ServiceAccount", "name": "robot", "namespace": HERE}}),
            vec![team()],
            vec![],
        ),
        // A run that stays: what is set of the target has to reach the pods of runs too.
        Subject {
            renew: true,
            ..subject(
                "ComputeTarget",
                "cpu",
                target_spec,
                vec![team()],
                vec![run("job", "cpu", "true")],
            )
        },
        subject(
            "Run",
            "job",
            run_spec,
            vec![team(), target("cpu", 0, 3, 0), target("other", 0, 3, 0)],
            vec![],
        ),
        Subject {
            secrets: vec![authority.secret("own", HOSTNAME), keys("keys"), headers()],
            ..subject("WebService", "svc", service_spec, vec![team()], vec![])
        },
    ]
}

/// A Secret with two keys of a team's own.
fn keys(name: &str) -> Secret {
    let data = [("primary", "p"), ("secondary", "s")];
    let data = data.map(|(slot, letter)| (slot.to_owned(), ByteString(letter.repeat(32).into())));
    let mut secret = Secret {
        data: Some(data.into()),
        ..Secret::default()
    };
    secret.metadata.name = Some(name.to_owned());
    secret
}

/// A credential for a collector.
fn headers() -> Secret {
    let data = [("authorization".to_owned(), "Bearer collector".to_owned())];
    let mut secret = Secret {
        string_data: Some(data.into()),
        ..Secret::default()
    };
    secret.metadata.name = Some("headers".into());
    secret
}

/// Values of a place that mean something, beside those that the schema gives. Good ones and bad ones; what each is, the
/// API server and the operator say.
pub fn values(kind: &str, place: &str) -> Vec<Value> {
    let all = match (kind, place) {
        (_, "managed.resources.cpu" | "resources.cpu") => {
            json!([
                "250m",
                "1",
                "1000m",
                "0.5",
                1,
                "0",
                "100000",
                "9999999999999999999999999999999"
            ])
        }
        (_, "managed.resources.memory" | "resources.memory") => {
            json!([
                "96Mi",
                "100M",
                "134217728",
                134217728,
                "0.25Gi",
                "0",
                "1000Ti"
            ])
        }
        (_, "image") => json!(["atelier.dev/sklearn:2", NOWHERE, " padded "]),
        ("Workspace", "location") => json!(["moon"]),
        ("RoleAssignment", "principal.name") => {
            json!([
                "another",
                "Not A Name",
                "system:masters",
                "a:b",
                "ann@example.com"
            ])
        }
        ("RoleAssignment", "principal.namespace") => {
            json!([
                CONSENTS,
                KEEPS_TO_ITSELF,
                "transitions-missing",
                "Not A Namespace",
                HERE
            ])
        }
        ("Run", "computeTarget") => json!(["other", "nowhere", "Not A Name"]),
        ("Run", "createdBy") => json!(["somebody else"]),
        ("Run", "experiment") => json!(["second", "UPPER_and.dots"]),
        ("Run", "env[].name") => json!(["B", "ATELIER_RUN_ID", "with space"]),
        ("Run", "env[].value") => json!(["$(A)", "$(ATELIER_RUN_ID)", "two\nlines"]),
        ("ComputeTarget", "managed.tolerations[].operator") => json!(["Exists"]),
        ("ComputeTarget", "managed.tolerations[].effect") => {
            json!(["NoExecute", "PreferNoSchedule", "Sometimes"])
        }
        ("ComputeTarget", "managed.tolerations[].key") => {
            json!(["example.com/other", "not a key!"])
        }
        ("ComputeTarget", "managed.tolerations[].value") => json!(["b", "not a value!"]),
        ("ComputeTarget", "managed.nodes.min") => json!([0, 2, 3]),
        ("ComputeTarget", "managed.nodes.max") => json!([1, 2, 5]),
        ("ComputeTarget", "managed.idleSecondsBeforeScaleDown") => json!([1, 3600]),
        // Not with several replicas: it takes more than one try.
        ("WebService", "class") => json!(["Instance", "Cluster", "Instance", "Cluster"]),
        ("WebService", "replicas") => json!([2, 3, 0, 1]),
        ("WebService", "location") => json!(["nowhere", "not a region!"]),
        ("WebService", "port") => json!([5002, 8080, 8081]),
        ("WebService", "scorePath") => {
            json!([
                "/predict",
                "/v1/models/m:predict",
                "/swagger.json",
                "/livez",
                "//",
                "/../x"
            ])
        }
        ("WebService", "cors[]") => json!(["*", "http://[::1]:3000", "app.example.com"]),
        ("WebService", "expose.hostnames[]") => json!(["*.example.com", "Not A Name"]),
        ("WebService", "expose.parentRefs[].name") => json!(["other", "Not A Name"]),
        ("WebService", "telemetry.otlp.endpoint") => {
            json!([
                "https://[fd00::1]:4318",
                "http://collector.invalid",
                "https://127.1",
                "https://localhost:4318",
                "https://127.0.0.1",
                "collector.invalid:4318"
            ])
        }
        ("WebService", "telemetry.otlp.caBundle") => json!(["none"]),
        ("WebService", "telemetry.archive.keepDays" | "collectData.keepDays") => {
            json!([1, 3650, 0])
        }
        ("WebService", "telemetry.archive.maxDelaySeconds" | "collectData.maxDelaySeconds") => {
            json!([5, 3600, 4, 3601])
        }
        ("WebService", "collectData.samplePercent") => json!([1, 50, 0, 101]),
        ("WebService", "collectData.maxBytes") => json!([1, 262_144, 0, 262_145]),
        ("WebService", "auth.keyGeneration.primary" | "auth.keyGeneration.secondary") => {
            json!([2, 5, 3])
        }
        _ => json!([]),
    };
    match all {
        Value::Array(all) => all,
        _ => vec![],
    }
}

/// Entries of maps: good, and bad in the key or the value.
pub fn entries(place: &str) -> Vec<(&'static str, Value)> {
    match place {
        "managed.nodeSelector" => vec![
            ("kubernetes.io/os", json!("linux")),
            ("type", json!("kwok")),
            ("type", json!("no-such-machine")),
            ("not a key!", json!("x")),
            ("kubernetes.io/arch", json!("not a value!")),
        ],
        _ => vec![],
    }
}

/// Whether nothing follows a `spec`: the next change needs a new object.
pub fn is_final(spec: &Value) -> bool {
    spec["cancel"] == true
}

/// Whether a value is only asked about and not applied, because a laboratory of three machines takes too long over it.
pub fn is_only_asked(kind: &str, place: &str, value: &Value) -> bool {
    let many = value.as_i64().is_some_and(|number| number > 20);
    match (kind, place) {
        ("WebService", "replicas") | ("ComputeTarget", "managed.nodes.min") => many,
        _ => false,
    }
}
