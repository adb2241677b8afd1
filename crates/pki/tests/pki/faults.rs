//! Answers that do not come, refusals and broken connections, at every other write.

use std::time::Duration;

use atelier_pki::Periods;
use atelier_testkit::apiproxy::{Action, Matcher, Proxy, Rule};
use atelier_testkit::eventually;
use atelier_testkit::wait::check;

use crate::bench::{AUTHORITY, Bench, LIMIT, client, entry, on_bench};
use crate::rotation::FAST;

/// The client's client, through a proxy that disturbs it.
async fn disturbed(bench: &Bench) -> (Proxy, kube::Client) {
    let proxy = Proxy::start(&bench.kubeconfig).await;
    let client = client(proxy.kubeconfig(&bench.token), None).await;
    (proxy, client)
}

#[tokio::test]
async fn every_write_may_fail_in_every_way() {
    on_bench(async |bench| {
        let (proxy, client) = disturbed(bench).await;
        bench.register_webhook(1).await;
        // Every other write, in turn: refused, refused for a conflict that is none, never sent, done without an answer,
        // done with half an answer.
        let faults = [
            Action::answer(503),
            Action::answer(409),
            Action::DropBefore,
            Action::CommitThenReset,
            Action::TruncateJson,
        ];
        let mut rules = Vec::new();
        for (n, fault) in faults.into_iter().enumerate() {
            for resource in [
                "secrets",
                "validatingwebhookconfigurations.admissionregistration.k8s.io",
            ] {
                let matcher = Matcher::resource(resource).writes();
                let rule = Rule::new(matcher, fault.clone()).nth(2 * n + 1);
                rules.push(proxy.rules().add(rule));
            }
        }
        let (_leads, task) = bench.lead(client, FAST);
        let mut signers = std::collections::HashSet::new();
        let limit = Duration::from_secs(60);
        eventually(
            limit,
            "all has gone wrong once and two rotations are done",
            async || {
                signers.extend(entry(&bench.secret(AUTHORITY).await?, "current.crt"));
                let left = rules.iter().filter(|rule| proxy.rules().hits(**rule) == 0);
                check(signers.len() > 2 && left.count() == 0, signers.len())
            },
        )
        .await;
        assert!(!task.is_finished());
    })
    .await;
}

#[tokio::test]
async fn broken_watches_are_taken_up_again() {
    on_bench(async |bench| {
        let (proxy, client) = disturbed(bench).await;
        bench.register_webhook(1).await;
        let (_leads, _task) = bench.lead(client, Periods::default());
        bench.agreed(LIMIT).await;
        for _ in 0..5 {
            proxy.break_connections();
            bench
                .patch_webhooks(serde_json::json!({"webhooks": [
                    {"name": "ours.atelier.dev", "clientConfig": {"caBundle": "eA=="}},
                ]}))
                .await;
            bench.agreed(LIMIT).await;
        }
    })
    .await;
}
