//! Authorities come and go, and nobody is refused.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use atelier_pki::Periods;
use atelier_testkit::audit::Audit;
use atelier_testkit::eventually;
use atelier_testkit::wait::check;
use futures::future::join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use serde_json::json;

use crate::bench::{ASKING, AUTHORITY, Bench, LIMIT, SERVING, entry, on_bench};
use crate::servers::{ask, serve};

pub const FAST: Periods = Periods {
    rotate_every: Duration::from_millis(3200),
    authority_life: Duration::from_secs(60),
    leaf_life: Duration::from_secs(10),
    overlap: Duration::from_millis(1500),
    backdate: Duration::from_secs(300),
};
const ROTATIONS: usize = 7;

/// How often something was tried, and why it failed where it did.
#[derive(Default)]
struct Tally {
    tried: AtomicUsize,
    failed: std::sync::Mutex<Vec<String>>,
}

impl Tally {
    fn note(&self, result: Result<(), String>) {
        self.tried.fetch_add(1, Ordering::SeqCst);
        if let Err(error) = result {
            self.failed.lock().unwrap().push(error);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused() {
    on_bench(async |bench| {
        let (serving, asking) = (bench.read(SERVING), bench.read(ASKING));
        let open = serve(&serving, None).await;
        let guarded = serve(&serving, Some(&serving)).await;
        bench.register_webhook(open.port).await;
        let (leads, task) = bench.lead(bench.client.clone(), FAST);
        tokio::time::timeout(LIMIT, async { tokio::join!(serving.ready(), asking.ready()) })
            .await
            .unwrap();
        bench.agreed(LIMIT).await;
        eventually(LIMIT, "the API server has read the bundle", async || {
            review(bench).await
        })
        .await;
        // Both know the authority; who has no certificate is not let in.
        eventually(LIMIT, "client and server know each other", async || {
            ask(guarded.port, &asking, Some(&asking)).await
        })
        .await;
        ask(guarded.port, &asking, None).await.unwrap_err();

        let audit = Audit::from_now(&bench.ns.cluster);
        let (calls, reviews) = (Arc::new(Tally::default()), Tally::default());
        let done = Arc::new(AtomicBool::new(false));
        let callers = (0..2).map(|_| {
            let (calls, done, asking) = (calls.clone(), done.clone(), asking.clone());
            let port = guarded.port;
            tokio::spawn(async move {
                while !done.load(Ordering::SeqCst) {
                    calls.note(ask(port, &asking, Some(&asking)).await);
                    tokio::time::sleep(Duration::from_millis(4)).await;
                }
            })
        });
        let callers: Vec<_> = callers.collect();
        let begun = Instant::now();
        let mut signers = HashSet::new();
        let limit = FAST.rotate_every * 4 * u32::try_from(ROTATIONS).unwrap();
        eventually(limit, "authorities have come and gone", async || {
            reviews.note(review(bench).await);
            let kept = bench.secret(AUTHORITY).await?;
            signers.extend(entry(&kept, "current.crt"));
            check(signers.len() > ROTATIONS, signers.len())
        })
        .await;
        let took = begun.elapsed();
        leads.store(false, Ordering::SeqCst);
        done.store(true, Ordering::SeqCst);
        join_all(callers).await;
        let writes = bench.writes(&audit);
        let failed = writes.iter().filter(|w| w.code >= 300).count();
        println!(
            "{ROTATIONS} rotations in {took:?}: {} calls, {} reviews by the API server, {} writes ({failed} refused)",
            calls.tried.load(Ordering::SeqCst),
            reviews.tried.load(Ordering::SeqCst),
            writes.len(),
        );
        for tally in [&*calls, &reviews] {
            let failed = tally.failed.lock().unwrap();
            let tried = tally.tried.load(Ordering::SeqCst);
            assert!(failed.is_empty(), "{} of {tried}: {:?}", failed.len(), failed.first());
        }
        assert!(calls.tried.load(Ordering::SeqCst) > 500);
        // One connection each: the API server, too, has verified every time.
        let answered = open.answered.load(Ordering::SeqCst);
        assert!(answered >= reviews.tried.load(Ordering::SeqCst), "{answered}");
        // Eleven for a rotation, and two to renew what is a few seconds old.
        assert!(writes.len() <= (ROTATIONS + 1) * 13, "{writes:?}");
        assert!(!task.is_finished());
    })
    .await;
}

/// Makes the API server ask the webhook, on a new connection.
async fn review(bench: &Bench) -> Result<(), String> {
    let map = json!({"metadata": {"name": "asked"}});
    let map: ConfigMap = serde_json::from_value(map).unwrap();
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let maps = bench.ns.api::<ConfigMap>();
    let created = maps.create(&params, &map).await;
    created.map(drop).map_err(|e| e.to_string())
}
