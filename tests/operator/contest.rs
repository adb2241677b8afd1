//! Somebody who insists on changing a child is undone three times, told, and then left alone for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use atelier_api::WebService;
use atelier_testkit::audit::Audit;
use atelier_testkit::namespace::{QUICK, SLOW, condition};
use atelier_testkit::wait::check;
use atelier_testkit::{TestNamespace, eventually, manifest, operator};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::any::{self, json_of, normal};

/// How soon a child that nobody contests is right again.
const REPAIR: Duration = Duration::from_secs(2);
/// For how long nothing may be written to a contested child. The first pause is thirty seconds.
const LEFT_ALONE: Duration = Duration::from_secs(20);
/// Pause and reaction: by then a child that nobody changes any more is right.
const PAUSE: Duration = Duration::from_secs(35);
/// A minute of calm ends a contest.
const CALM: Duration = Duration::from_secs(75);

/// Somebody who makes the same edit as soon as it is undone.
struct Rival {
    edits: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Rival {
    fn of(api: Api<DynamicObject>, name: &'static str, edit: fn(&mut Value)) -> Self {
        let edits = Arc::new(AtomicUsize::new(0));
        let count = edits.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let Ok(live) = api.get(name).await else {
                    continue;
                };
                let mut edited = json_of(&live);
                edit(&mut edited);
                if edited == json_of(&live) {
                    continue;
                }
                let edited = serde_json::from_value(edited).unwrap();
                if api
                    .replace(name, &PostParams::default(), &edited)
                    .await
                    .is_ok()
                {
                    count.fetch_add(1, Relaxed);
                }
            }
        });
        Self { edits, task }
    }

    fn edits(&self) -> usize {
        self.edits.load(Relaxed)
    }

    async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn open_a_port(service: &mut Value) {
    let ports = service["spec"]["ports"].as_array_mut().unwrap();
    if ports.iter().all(|port| port["name"] != "admin") {
        ports.push(json!({"name": "admin", "port": 8081, "protocol": "TCP", "targetPort": 8081}));
    }
}

fn contested(service: &WebService) -> Option<String> {
    condition(service, "DriftContested").map(|c| c.message)
}

/// Deletes a child that nobody contests, and waits for another.
async fn comes_back(ns: &TestNamespace, kind: &str, name: &str) {
    let api = any::api(ns, kind);
    let old = api.get(name).await.unwrap().metadata.uid;
    api.delete(name, &DeleteParams::background()).await.unwrap();
    let sentence = format!("{kind} {name} comes back while another child is contested");
    eventually(REPAIR, &sentence, async || {
        let now = api.get(name).await.map_err(|e| e.to_string())?;
        check(now.metadata.uid != old, "it is going")
    })
    .await;
}

#[tokio::test]
async fn who_insists_on_a_change_is_told_and_left_alone_for_a_while() {
    let _running = operator::undisturbed().await;
    let ns = TestNamespace::with_workspace("contest").await;
    let mut service = manifest::service("model");
    service["spec"]["replicas"] = json!(0);
    ns.create::<WebService>(service).await;
    ns.ready::<WebService>("model", QUICK).await;
    let services = any::api(&ns, "Service");
    let form = async || {
        let live = services.get("model").await.map_err(|e| e.to_string())?;
        Ok::<_, String>(normal(json_of(&live)))
    };
    let wanted = form().await.unwrap();

    let audit = Audit::from_now(&ns.cluster);
    let repairs = || {
        let writes = audit.operator_writes(&ns.name);
        let ours = writes.iter().filter(|e| e.resource == "services");
        ours.count()
    };
    let rival = Rival::of(services.clone(), "model", open_a_port);
    let told: WebService = ns
        .condition("model", "DriftContested", "True", "Contested", QUICK)
        .await;
    let paused = Instant::now();
    let message = contested(&told).unwrap();
    assert!(message.contains("Service model"), "{message}");
    assert_eq!((repairs(), rival.edits()), (3, 4), "repairs, edits");

    // What nobody contests is put right as ever, before and after the contested child in the order of writing.
    comes_back(&ns, "Role", "model-gateway").await;
    comes_back(&ns, "Secret", "model-gateway").await;
    comes_back(&ns, "Deployment", "model").await;

    tokio::time::sleep(LEFT_ALONE.saturating_sub(paused.elapsed())).await;
    assert_eq!((repairs(), rival.edits()), (3, 4), "it was left alone");
    rival.stop().await;
    let left = PAUSE.saturating_sub(paused.elapsed());
    eventually(left, "the Service is right after the pause", async || {
        let now = form().await?;
        check(now == wanted, now)
    })
    .await;
    println!(
        "contest: right again {:.1?} after the condition",
        paused.elapsed()
    );
    let calm = Instant::now();
    eventually(CALM, "the condition goes away", async || {
        let service: WebService = ns.api().get("model").await.map_err(|e| e.to_string())?;
        check(contested(&service).is_none(), contested(&service))
    })
    .await;
    println!("contest: over after {:.1?} of calm", calm.elapsed());
    assert_eq!(repairs(), 4, "one more write put it right");
    ns.ready::<WebService>("model", SLOW).await;
    ns.finish().await;
}
