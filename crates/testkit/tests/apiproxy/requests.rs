//! What is done to requests.

use std::time::{Duration, Instant};

use atelier_testkit::apiproxy::{Action, Gate, Matcher, Rule, Verb};
use atelier_testkit::eventually;
use kube::api::{ListParams, PostParams};

use crate::bench::{A_WHILE, LIMIT, bench, code, map, maps};

#[tokio::test]
async fn delayed() {
    let bench = bench().await;
    let delay = Duration::from_millis(300);
    bench
        .proxy
        .rules()
        .add(Rule::new(maps(Verb::Create), Action::Delay(delay)).once());
    let begun = Instant::now();
    bench
        .maps()
        .create(&PostParams::default(), &map("a", "1"))
        .await
        .unwrap();
    assert!(begun.elapsed() >= delay);
    let entries = bench.trail().effective_writes();
    assert_eq!(entries[0].fault(), Some("Delay"));
    assert!(entries[0].ended.unwrap() - entries[0].started >= delay);
}

#[tokio::test]
async fn dropped_before_it_is_sent() {
    let bench = bench().await;
    let rule = Rule::new(maps(Verb::Create), Action::DropBefore).once();
    let rule = bench.proxy.rules().add(rule);
    let lost = bench
        .maps()
        .create(&PostParams::default(), &map("a", "1"))
        .await;
    assert!(
        matches!(
            lost,
            Err(kube::Error::HyperError(_) | kube::Error::Service(_))
        ),
        "{lost:?}"
    );
    assert!(!bench.exists("a").await);
    assert_eq!(
        (
            bench.proxy.rules().hits(rule),
            bench.proxy.rules().matches(rule)
        ),
        (1, 1)
    );
    let entries = bench.trail().entries(|e| e.verb == Verb::Create);
    assert_eq!(
        (entries[0].upstream_status, entries[0].status),
        (None, None)
    );
    assert!(!entries[0].committed && entries[0].ended.is_some());
    // The rule has fired as often as it may.
    bench
        .maps()
        .create(&PostParams::default(), &map("a", "1"))
        .await
        .unwrap();
}

#[tokio::test]
async fn committed_and_reset() {
    let bench = bench().await;
    let rule = Rule::new(maps(Verb::Create).name("b"), Action::CommitThenReset);
    bench.proxy.rules().add(rule);
    bench
        .maps()
        .create(&PostParams::default(), &map("a", "1"))
        .await
        .unwrap();
    let lost = bench
        .maps()
        .create(&PostParams::default(), &map("b", "1"))
        .await;
    assert!(
        matches!(
            lost,
            Err(kube::Error::HyperError(_) | kube::Error::Service(_))
        ),
        "{lost:?}"
    );
    assert!(bench.exists("b").await);
    // A lost answer is no reason for kube's client to create it twice.
    let entries = bench.trail().entries(|e| e.name == "b");
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].upstream_status, entries[0].status),
        (Some(201), None)
    );
    assert!(entries[0].committed && entries[0].effective);
}

#[tokio::test]
async fn answered_with_a_status() {
    let bench = bench().await;
    for status in [409, 422, 500] {
        let rule = bench
            .proxy
            .rules()
            .add(Rule::new(maps(Verb::Create), Action::answer(status)));
        let answer = bench
            .maps()
            .create(&PostParams::default(), &map("a", "1"))
            .await;
        let Err(kube::Error::Api(failure)) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(
            (failure.code, failure.is_conflict()),
            (status, status == 409)
        );
        bench.proxy.rules().remove(rule);
    }
    assert!(!bench.exists("a").await);
    // kube's client tries these again by itself.
    for status in [429, 503, 504] {
        let answer = Action::Answer {
            status,
            retry_after: Some(1),
            reason: None,
        };
        bench
            .proxy
            .rules()
            .add(Rule::new(maps(Verb::Get), answer).once());
        let mark = bench.trail().mark();
        assert!(bench.maps().get_opt("a").await.unwrap().is_none());
        let statuses = bench
            .trail()
            .reads_since(mark)
            .iter()
            .map(|e| e.status)
            .collect::<Vec<_>>();
        assert_eq!(statuses, [Some(status), Some(404)]);
    }
}

#[tokio::test]
async fn truncated() {
    let bench = bench().await;
    bench.make("a").await;
    bench
        .proxy
        .rules()
        .add(Rule::new(maps(Verb::List), Action::TruncateJson).once());
    bench
        .proxy
        .rules()
        .add(Rule::new(maps(Verb::Create), Action::TruncateJson).once());
    let maps = bench.maps();
    let broken = maps.list(&ListParams::default()).await;
    assert!(
        matches!(broken, Err(kube::Error::SerdeError(_))),
        "{broken:?}"
    );
    let broken = maps.create(&PostParams::default(), &map("b", "1")).await;
    assert!(
        matches!(broken, Err(kube::Error::SerdeError(_))),
        "{broken:?}"
    );
    assert!(bench.exists("b").await);
    assert_eq!(
        maps.list(&ListParams::default().labels("app"))
            .await
            .unwrap()
            .items
            .len(),
        2
    );
}

#[tokio::test]
async fn held_until_the_gate_opens() {
    let bench = bench().await;
    let gate = Gate::shut();
    let rule = Rule::new(Matcher::any().writes(), Action::HoldRequest(gate.clone()));
    let rule = bench.proxy.rules().add(rule);
    let maps = bench.maps();
    let creating =
        tokio::spawn(async move { maps.create(&PostParams::default(), &map("a", "1")).await });
    bench.proxy.rules().wait_hit(rule, 1).await;
    tokio::time::sleep(A_WHILE).await;
    assert!(!creating.is_finished() && !bench.exists("a").await);
    gate.open();
    creating.await.unwrap().unwrap();
    assert!(bench.exists("a").await);
}

#[tokio::test]
async fn what_a_client_left_behind_at_a_gate_is_not_sent() {
    let bench = bench().await;
    let gate = Gate::shut();
    let rule = Rule::new(maps(Verb::Create), Action::HoldRequest(gate.clone())).once();
    let rule = bench.proxy.rules().add(rule);
    let gone = bench.another().await;
    let creating =
        tokio::spawn(async move { gone.create(&PostParams::default(), &map("a", "1")).await });
    bench.proxy.rules().wait_hit(rule, 1).await;
    creating.abort();
    eventually(
        LIMIT,
        "the proxy notices that the client has gone",
        async || {
            let ended = bench
                .trail()
                .entries(|e| e.name == "a" && e.ended.is_some());
            (ended.len() == 1)
                .then_some(())
                .ok_or_else(|| "it has not".into())
        },
    )
    .await;
    gate.open();
    tokio::time::sleep(A_WHILE).await;
    assert!(!bench.exists("a").await);
}

#[tokio::test]
async fn all_connections_are_broken_at_once() {
    let bench = bench().await;
    let gate = Gate::shut();
    let rule = Rule::new(maps(Verb::Get), Action::HoldRequest(gate));
    let rule = bench.proxy.rules().add(rule);
    let api = bench.maps();
    let reading = tokio::spawn(async move { api.get("a").await });
    bench.proxy.rules().wait_hit(rule, 1).await;
    bench.proxy.break_connections();
    let lost = reading.await.unwrap();
    assert!(
        matches!(
            lost,
            Err(kube::Error::HyperError(_) | kube::Error::Service(_))
        ),
        "{lost:?}"
    );
    bench.proxy.rules().clear();
    assert_eq!(code(bench.maps().get("a").await), 404);
}
