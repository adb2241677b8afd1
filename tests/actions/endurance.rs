//! A steady load through everything that may happen to a service in good health: keys, certificates and pods that are
//! replaced. Every request has its answer, and every answer its record.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use atelier_api::WebService;
use atelier_testkit::certificate::Authority;
use atelier_testkit::manifest::service;
use atelier_testkit::namespace::{SLOW, condition};
use atelier_testkit::wait::check;
use atelier_testkit::way::{MOUNTED, certificate};
use atelier_testkit::{TestNamespace, Way, eventually};
use futures::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{ListParams, LogParams, PostParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::score::MODEL;
use crate::team::team;

const HOSTNAME: &str = "model.example.com";
/// Selects the replicas.
const OURS: &str = "app.kubernetes.io/component=webservice";

/// How often each thing happens: rotations of a key, certificates, rollouts. `ATELIER_TEST_ENDURANCE=1000,100,20` makes
/// it as many as are promised.
#[allow(clippy::disallowed_methods)] // A test has no command line of its own.
fn times() -> [usize; 3] {
    let asked = std::env::var("ATELIER_TEST_ENDURANCE").ok();
    asked.map_or([30, 5, 2], |asked| {
        let mut numbers = asked.split(',').map(|number| number.parse().unwrap());
        std::array::from_fn(|_| numbers.next().unwrap())
    })
}

/// How often each request is recorded, by its id.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<HashMap<String, usize>>>);

impl Ledger {
    fn note(&self, line: &str) {
        let record: Value = serde_json::from_str(line).unwrap_or_default();
        if record["name"] == "/score" {
            let id = record["RequestId"].as_str().unwrap().to_owned();
            let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *ids.entry(id).or_default() += 1;
        }
    }

    fn ids(&self) -> HashMap<String, usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Follows the records of every replica there will be, to the replica's end.
    fn follow(&self, namespace: &TestNamespace) -> JoinHandle<()> {
        let (pods, ledger) = (namespace.api::<Pod>(), self.clone());
        tokio::spawn(async move {
            let mut followed = HashSet::new();
            let of = ListParams::default().labels(OURS);
            loop {
                let running = pods.list(&of).await.unwrap().items.into_iter();
                let running = running.filter(gateway_runs);
                for name in running.filter_map(|pod| pod.metadata.name) {
                    if followed.insert(name.clone()) {
                        tokio::spawn(replica(pods.clone(), name, ledger.clone()));
                    }
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    }
}

fn gateway_runs(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let mut gateways = containers.into_iter().flatten();
    gateways.any(|container| container.name == "gateway" && container.started == Some(true))
}

async fn replica(pods: Api<Pod>, name: String, ledger: Ledger) {
    let params = LogParams {
        container: Some("gateway".into()),
        follow: true,
        ..LogParams::default()
    };
    let mut lines = pods.log_stream(&name, &params).await.unwrap().lines();
    while let Some(Ok(line)) = lines.next().await {
        ledger.note(&line);
    }
}

/// One client: requests on a connection that is kept, and each tenth on a new one. Returns the ids of its requests.
async fn client(way: Arc<Way>, key: String, done: Arc<AtomicBool>, number: usize) -> Vec<String> {
    let (kept, mut ids) = (way.caller(), vec![]);
    while !done.load(Ordering::SeqCst) {
        let body = json!({"of": number, "nth": ids.len()}).to_string();
        let answer = match ids.len() % 10 {
            0 => way.post(Some(&key), &body).await,
            _ => kept.post(&way.url, Some(&key), &body).await,
        };
        assert_eq!(answer.status, 200, "client {number}: {answer:?}");
        let said: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(said["body"], body.as_str());
        ids.push(answer.headers["x-request-id"].to_str().unwrap().to_owned());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    ids
}

async fn change(namespace: &TestNamespace, spec: Value) {
    let patch = json!({ "spec": spec });
    namespace.patch::<WebService>("model", patch).await.unwrap();
}

async fn rotate_the_other_key(namespace: &TestNamespace, times: usize) {
    for generation in 2..2 + i64::try_from(times).unwrap() {
        change(
            namespace,
            json!({"auth": {"keyGeneration": {"primary": generation}}}),
        )
        .await;
        eventually(SLOW, "the key is made anew", async || {
            let model = namespace.api::<WebService>().get("model").await;
            let status = model.map_err(|error| error.to_string())?.status;
            let keys = status.unwrap_or_default().keys.unwrap();
            check(keys.primary.generation == generation, keys)
        })
        .await;
    }
}

/// Each time another certificate, and each until every replica serves it.
async fn replace_the_certificate(
    namespace: &TestNamespace,
    way: &Way,
    authority: &Authority,
    times: usize,
) {
    for turn in 0..times {
        let made = authority.secret("own", HOSTNAME);
        let data = made.data.unwrap();
        let expected = certificate(&data["tls.crt"].0);
        let patch = json!({ "data": data });
        namespace.patch::<Secret>("own", patch).await.unwrap();
        for pod in namespace.pods(OURS).await {
            // The kubelet looks once a minute, and whenever a pod changes.
            let patch = json!({"metadata": {"annotations": {"turn": turn.to_string()}}});
            let name = pod.metadata.name.unwrap();
            namespace.patch::<Pod>(&name, patch).await.unwrap();
            let address = pod.status.unwrap().pod_ip.unwrap().parse().unwrap();
            eventually(MOUNTED, "the replica serves it", async || {
                let shown = way.shown(SocketAddr::new(address, 8080)).await?;
                check(shown == expected, &name)
            })
            .await;
        }
    }
}

async fn replace_the_pods(namespace: &TestNamespace, times: usize) {
    for turn in 0..times {
        let before = pods(namespace).await;
        change(namespace, json!({"limits": {"timeoutMs": 50_000 + turn}})).await;
        eventually(SLOW * 2, "all pods are others", async || {
            let model = namespace.api::<WebService>().get("model").await;
            let model = model.map_err(|error| error.to_string())?;
            let ready = condition(&model, "Ready").ok_or("no such condition")?;
            let told = ready.observed_generation == model.metadata.generation;
            check(told && ready.status == "True", ready)?;
            let now = pods(namespace).await;
            check(now.len() == 2 && now.is_disjoint(&before), now)
        })
        .await;
    }
}

async fn pods(namespace: &TestNamespace) -> HashSet<String> {
    let pods = namespace
        .pods("app.kubernetes.io/component=webservice")
        .await;
    pods.into_iter()
        .filter_map(|pod| pod.metadata.name)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_certificates_and_pods_are_replaced_under_load_and_every_request_is_answered_and_recorded()
 {
    let namespace = team("endurance").await;
    let mut model = service("model");
    model["spec"]["command"] = json!(["python3", "-c", MODEL]);
    model["spec"]["replicas"] = json!(2);
    model["spec"]["limits"] = json!({"concurrentRequestsPerReplica": 8, "queueWaitMs": 20_000});
    let authority = Authority::new("team");
    let own = authority.secret("own", HOSTNAME);
    let secrets = namespace.api::<Secret>();
    secrets.create(&PostParams::default(), &own).await.unwrap();
    model["spec"]["tls"] =
        json!({"mode": "Secret", "secretRef": {"name": "own"}, "hostname": HOSTNAME});
    namespace.create::<WebService>(model).await;
    namespace.ready::<WebService>("model", SLOW).await;
    let keys = secrets.get("model-keys").await.unwrap();
    let key = String::from_utf8(keys.data.unwrap()["secondary"].0.clone()).unwrap();
    let (ledger, done) = (Ledger::default(), Arc::new(AtomicBool::new(false)));
    let following = ledger.follow(&namespace);
    let way = Arc::new(Way::trusting(&namespace, "model", &authority.pem()).await);
    let clients: Vec<_> = (0..4)
        .map(|number| tokio::spawn(client(way.clone(), key.clone(), done.clone(), number)))
        .collect();

    let [rotations, certificates, rollouts] = times();
    let begun = Instant::now();
    rotate_the_other_key(&namespace, rotations).await;
    replace_the_certificate(&namespace, &way, &authority, certificates).await;
    replace_the_pods(&namespace, rollouts).await;
    let took = begun.elapsed();
    done.store(true, Ordering::SeqCst);
    let mut sent = vec![];
    for client in clients {
        sent.extend(client.await.expect("no request fails"));
    }
    eventually(SLOW, "every request is recorded", async || {
        check(
            ledger.ids().len() >= sent.len(),
            (ledger.ids().len(), sent.len()),
        )
    })
    .await;
    following.abort();
    let recorded = ledger.ids();
    assert_eq!(recorded.len(), sent.len(), "each request has one id");
    for id in &sent {
        assert_eq!(recorded.get(id), Some(&1), "records of {id}");
    }
    println!(
        "{rotations} rotations, {certificates} certificates, {rollouts} rollouts in {took:?}: {} requests, 0 failed, as \
         many records",
        sent.len()
    );
    namespace.finish().await;
}
