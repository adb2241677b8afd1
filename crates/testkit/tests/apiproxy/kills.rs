//! Killing the client: when, and what the API server has by then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use atelier_testkit::apiproxy::{Action, EventType, Fate, Matcher, Phase, Rule, Verb};
use atelier_testkit::eventually;
use atelier_testkit::wait::check;
use kube::api::PostParams;

use crate::bench::{Bench, LIMIT, Watched, bench, map, maps};

/// Counts how often the client was to be killed.
fn kills(bench: &Bench) -> Arc<AtomicUsize> {
    let kills = Arc::new(AtomicUsize::new(0));
    let counted = kills.clone();
    bench.proxy.on_kill(Box::new(move || {
        // Killing takes its time, in which the client still asks for things.
        std::thread::sleep(Duration::from_millis(500));
        counted.fetch_add(1, Ordering::SeqCst);
    }));
    kills
}

/// Kills at the second creation. Returns the bench, how it went for the client, and whether the object is there.
async fn at_second_creation(phase: Phase) -> (Bench, Result<(), kube::Error>) {
    let bench = bench().await;
    let kills = kills(&bench);
    let rule = Rule::new(maps(Verb::Create), Action::Kill { phase }).nth(2);
    let rule = bench.proxy.rules().add(rule);
    let maps = bench.maps();
    maps.create(&PostParams::default(), &map("a", "1"))
        .await
        .unwrap();
    assert_eq!(kills.load(Ordering::SeqCst), 0);
    let result = maps.create(&PostParams::default(), &map("b", "1")).await;
    if phase == Phase::Answered {
        // What the client does with the answer comes too late.
        let next = maps.create(&PostParams::default(), &map("c", "1")).await;
        assert!(next.is_err(), "{next:?}");
        assert!(!bench.exists("c").await);
        assert!(bench.trail().entries(|e| e.name == "c").is_empty());
    }
    assert_eq!(bench.proxy.rules().hits(rule), 1);
    eventually(LIMIT, "the client is killed", async || {
        let kills = kills.load(Ordering::SeqCst);
        check(kills == 1, kills)
    })
    .await;
    // Whoever comes after the dead is served.
    let heir = bench.another().await;
    heir.create(&PostParams::default(), &map("d", "1"))
        .await
        .unwrap();
    (bench, result.map(drop))
}

#[tokio::test]
async fn instead_of_sending() {
    let (bench, result) = at_second_creation(Phase::BeforeSend).await;
    assert!(result.is_err());
    assert!(!bench.exists("b").await);
    let entry = &bench.trail().entries(|e| e.name == "b")[0];
    assert_eq!(
        (entry.fault(), entry.committed),
        (Some("Kill/BeforeSend"), false)
    );
}

#[tokio::test]
async fn once_it_is_committed() {
    let (bench, result) = at_second_creation(Phase::Committed).await;
    assert!(result.is_err());
    assert!(bench.exists("b").await);
    let entry = &bench.trail().entries(|e| e.name == "b")[0];
    assert_eq!(
        (entry.fault(), entry.status),
        (Some("Kill/Committed"), None)
    );
    assert!(entry.committed && entry.effective);
}

#[tokio::test]
async fn once_it_is_answered() {
    let (bench, result) = at_second_creation(Phase::Answered).await;
    result.unwrap();
    assert!(bench.exists("b").await);
    let entry = &bench.trail().entries(|e| e.name == "b")[0];
    assert_eq!(
        (entry.fault(), entry.status),
        (Some("Kill/Answered"), Some(201))
    );
}

#[tokio::test]
async fn by_an_event() {
    for (phase, fate) in [
        (Phase::BeforeSend, Fate::Dropped),
        (Phase::Answered, Fate::Delivered),
    ] {
        let bench = bench().await;
        let kills = kills(&bench);
        let matcher = Matcher::resource("configmaps")
            .event(EventType::Added)
            .name("b");
        let rule = bench
            .proxy
            .rules()
            .add(Rule::new(matcher, Action::Kill { phase }).once());
        let mut watched = Watched::start(bench.maps());
        watched.expect(&["init", "done"]).await;
        let next = tokio::spawn(async move { watched.next().await });
        bench.make("b").await;
        bench.proxy.rules().wait_hit(rule, 1).await;
        let event = next.await.unwrap();
        assert_eq!(event == "apply b", phase == Phase::Answered, "{event}");
        eventually(LIMIT, "the client is killed", async || {
            let kills = kills.load(Ordering::SeqCst);
            check(kills == 1, kills)
        })
        .await;
        assert_eq!(bench.trail().frames(|f| f.name == "b")[0].fate, fate);
    }
}
