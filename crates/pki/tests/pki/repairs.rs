//! What others do to the Secrets and the bundles is put right, and nothing else is written.

use std::sync::atomic::Ordering;

use atelier_pki::Periods;
use atelier_testkit::audit::Audit;
use atelier_testkit::eventually;
use atelier_testkit::wait::check;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use crate::bench::{ASKING, AUTHORITY, Bench, LIMIT, REPAIR, SERVING, entry, on_bench};

/// `x` in base64.
const GARBAGE: &str = "eA==";

async fn current(bench: &Bench) -> Vec<u8> {
    let kept = bench.secret(AUTHORITY).await.unwrap();
    entry(&kept, "current.crt").unwrap()
}

#[tokio::test]
async fn whatever_others_do_is_put_right_and_idleness_writes_nothing() {
    on_bench(async |bench| {
        bench.register_webhook(1).await;
        let (_leads, task) = bench.lead(bench.client.clone(), Periods::default());
        bench.agreed(LIMIT).await;
        let first = current(bench).await;
        let audit = Audit::from_now(&bench.ns.cluster);

        // Looked at, and nothing to do: what others note on our objects is theirs.
        let note = json!({"metadata": {"labels": {"theirs": "yes"}}});
        for secret in [AUTHORITY, SERVING, ASKING] {
            bench.patch_secret(secret, note.clone()).await;
        }
        bench.patch_webhooks(note).await;

        // Another bundle in our webhook is put back; that of somebody else's is not ours to judge.
        let hook = |name: &str| {
            json!({"name": format!("{name}.atelier.dev"), "clientConfig": {"caBundle": GARBAGE}})
        };
        bench.patch_webhooks(json!({"webhooks": [hook("ours"), hook("theirs")]})).await;
        bench.agreed(REPAIR).await;
        let webhooks = bench.webhooks().get(&bench.ns.name).await.unwrap();
        let theirs = webhooks.webhooks.unwrap().remove(1).client_config.ca_bundle;
        assert_eq!(theirs.unwrap().0, b"x");
        let written = bench.writes(&audit);
        assert_eq!(written.len(), 1, "{written:?}");
        assert_eq!((written[0].verb.as_str(), written[0].code), ("patch", 200));

        // A certificate's Secret.
        bench.ns.delete::<Secret>(SERVING).await;
        bench.agreed(REPAIR).await;
        bench.patch_secret(ASKING, json!({"data": {"tls.key": GARBAGE}})).await;
        eventually(REPAIR, "the client's key is mended", async || {
            let key = entry(&bench.secret(ASKING).await?, "tls.key");
            check(key.is_some_and(|key| key != b"x"), "it is not")
        })
        .await;
        bench.patch_secret(ASKING, json!({"data": {"ca.crt": GARBAGE}})).await;
        bench.agreed(REPAIR).await;
        assert_eq!(current(bench).await, first);
        // Never more than one write for one repair.
        let written = bench.writes(&audit);
        assert_eq!(written.len(), 4, "{written:?}");

        // The authority itself: garbled, what it has signed is still trusted.
        bench.patch_secret(AUTHORITY, json!({"data": {"current.key": GARBAGE}})).await;
        replaced(bench, &first).await;
        let bundle = bench.agreed(REPAIR).await;
        assert!(bundle.starts_with(&first));
        let second = current(bench).await;
        bench.patch_secret(AUTHORITY, json!({"data": null})).await;
        replaced(bench, &second).await;
        bench.agreed(REPAIR).await;
        // Deleted, it is not trusted any more.
        let third = current(bench).await;
        bench.ns.delete::<Secret>(AUTHORITY).await;
        replaced(bench, &third).await;
        let bundle = bench.agreed(REPAIR).await;
        assert_eq!(bundle, current(bench).await);
        let refused = bench.writes(&audit);
        let refused: Vec<_> = refused.iter().filter(|w| w.code >= 300).collect();
        assert!(refused.is_empty(), "{refused:?}");
        assert!(!task.is_finished());
    })
    .await;
}

async fn replaced(bench: &Bench, old: &[u8]) {
    eventually(REPAIR, "there is another authority", async || {
        let kept = entry(&bench.secret(AUTHORITY).await?, "current.crt");
        check(
            kept.is_some_and(|kept| kept != old && kept != b"x"),
            "there is not",
        )
    })
    .await;
}

#[tokio::test]
async fn a_target_that_comes_later_is_told_at_once() {
    on_bench(async |bench| {
        let (_leads, _task) = bench.lead(bench.client.clone(), Periods::default());
        let bundle = bench.agreed(LIMIT).await;
        bench.register_webhook(1).await;
        assert_eq!(bench.agreed(REPAIR).await, bundle);
    })
    .await;
}

#[tokio::test]
async fn who_does_not_lead_makes_only_what_nobody_has_and_two_who_do_agree() {
    on_bench(async |bench| {
        let audit = Audit::from_now(&bench.ns.cluster);
        bench.register_webhook(1).await;
        let (leads, _task) = bench.lead(bench.client.clone(), Periods::default());
        leads.store(false, Ordering::SeqCst);
        made(bench, &[AUTHORITY, SERVING, ASKING]).await;
        // Neither the webhook nor what was garbled is touched, while what is gone is made.
        bench
            .patch_secret(ASKING, json!({"data": {"ca.crt": GARBAGE}}))
            .await;
        bench.ns.delete::<Secret>(SERVING).await;
        made(bench, &[SERVING]).await;
        let written = bench.writes(&audit);
        assert!(written.iter().all(|w| w.verb == "create"), "{written:?}");
        assert_eq!(written.len(), 4, "{written:?}");

        let audit = Audit::from_now(&bench.ns.cluster);
        for secret in [AUTHORITY, SERVING, ASKING] {
            bench.ns.delete::<Secret>(secret).await;
        }
        leads.store(true, Ordering::SeqCst);
        let (_also, _other) = bench.lead(bench.client.clone(), Periods::default());
        bench.agreed(LIMIT).await;
        // One of them was first with each Secret; of the other's creations none succeeded.
        let written = bench.writes(&audit);
        let first = written
            .iter()
            .filter(|w| w.verb == "create" && w.code < 300);
        assert_eq!(first.count(), 3, "{written:?}");
    })
    .await;
}

async fn made(bench: &Bench, secrets: &[&str]) {
    for name in secrets {
        eventually(LIMIT, "it is made", async || {
            check(bench.secret(name).await.is_ok(), *name)
        })
        .await;
    }
}
