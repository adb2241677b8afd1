//! What is done to watches and lists, and what kube's watcher makes of it.

use std::time::Duration;

use atelier_testkit::apiproxy::{Action, EventType, Fate, Gate, Matcher, Rule, Verb};
use atelier_testkit::eventually;
use atelier_testkit::wait::check;

use crate::bench::{A_WHILE, Bench, LIMIT, Watched, bench, maps};

fn events() -> Matcher {
    Matcher::resource("configmaps")
}

/// How often the client listed and began to watch.
fn begun(bench: &Bench) -> (usize, usize) {
    let count = |verb| {
        bench
            .trail()
            .entries(|e| e.resource == "configmaps" && e.verb == verb)
            .len()
    };
    (count(Verb::List), count(Verb::Watch))
}

#[tokio::test]
async fn held_from_an_event_on() {
    let bench = bench().await;
    let gate = Gate::shut();
    let rule = Rule::new(events().name("b"), Action::HoldWatch(gate.clone()));
    let rule = bench.proxy.rules().add(rule);
    let mut watched = Watched::start(bench.maps());
    watched.expect(&["init", "done"]).await;
    let next = tokio::spawn(async move {
        watched.expect(&["apply a"]).await;
        watched.silent().await;
        watched
    });
    bench.make("a").await;
    bench.make("b").await;
    bench.make("c").await;
    bench.proxy.rules().wait_hit(rule, 1).await;
    let mut watched = next.await.unwrap();
    // A watch that begins now, as after a restart, is held from its first event.
    let mut later = Watched::start(bench.another().await);
    later
        .expect(&["init", "init a", "init b", "init c", "done"])
        .await;
    let next = tokio::spawn(async move {
        later.silent().await;
        later
    });
    tokio::time::sleep(A_WHILE / 2).await;
    bench.make("d").await;
    let mut later = next.await.unwrap();
    eventually(LIMIT, "what is held has come", async || {
        let held = bench.trail().frames(|f| f.fate == Fate::Held);
        let names: Vec<_> = held.iter().map(|f| f.name.as_str()).collect();
        check(names == ["b", "c", "d", "d"], &names)
    })
    .await;
    gate.open();
    watched.expect(&["apply b", "apply c", "apply d"]).await;
    later.expect(&["apply d"]).await;
    bench.unmake("d").await;
    watched.expect(&["delete d"]).await;
    later.expect(&["delete d"]).await;
    eventually(LIMIT, "all is told to have been delivered", async || {
        let others = bench.trail().frames(|f| f.fate != Fate::Delivered);
        check(others.is_empty(), others)
    })
    .await;
    assert_eq!(begun(&bench), (2, 2));
}

#[tokio::test]
async fn events_lost_and_then_expired() {
    let bench = bench().await;
    let lose = Action::DropEventsThen410 { events: 3 };
    let matcher = events().event(EventType::Deleted).name("a");
    bench.proxy.rules().add(Rule::new(matcher, lose).once());
    bench.make("a").await;
    let mut watched = Watched::start(bench.maps());
    watched.expect(&["init", "init a", "done"]).await;
    let next = tokio::spawn(async move {
        watched
            .expect(&["failed 410", "init", "init a", "init b", "done"])
            .await;
        watched
    });
    tokio::time::sleep(A_WHILE / 2).await;
    // Deleted and made again under the same name, unseen.
    bench.unmake("a").await;
    bench.make("a").await;
    bench.make("b").await;
    next.await.unwrap();
    let dropped = bench.trail().frames(|f| f.fate == Fate::Dropped);
    let told = dropped
        .iter()
        .map(|f| (f.event, f.name.as_str()))
        .collect::<Vec<_>>();
    assert_eq!(
        told,
        [
            (EventType::Deleted, "a"),
            (EventType::Added, "a"),
            (EventType::Added, "b")
        ]
    );
    assert_ne!(dropped[0].uid, dropped[1].uid);
    assert_eq!(
        bench.trail().frames(|f| f.event == EventType::Error).len(),
        1
    );
}

#[tokio::test]
async fn expired_from_the_start() {
    let bench = bench().await;
    bench
        .proxy
        .rules()
        .add(Rule::new(events(), Action::ExpireWatch).once());
    let mut watched = Watched::start(bench.maps());
    watched
        .expect(&["init", "done", "failed 410", "init", "done"])
        .await;
    let next = tokio::spawn(async move { watched.expect(&["apply a"]).await });
    tokio::time::sleep(A_WHILE / 2).await;
    bench.make("a").await;
    next.await.unwrap();
    assert_eq!(begun(&bench), (2, 2));
}

#[tokio::test]
async fn ended_and_resumed_without_a_loss() {
    let bench = bench().await;
    bench
        .proxy
        .rules()
        .add(Rule::new(events().name("b"), Action::EndWatch).once());
    let mut watched = Watched::start(bench.maps());
    watched.expect(&["init", "done"]).await;
    let next =
        tokio::spawn(async move { watched.expect(&["apply a", "apply b", "apply c"]).await });
    for name in ["a", "b", "c"] {
        bench.make(name).await;
    }
    next.await.unwrap();
    assert_eq!(begun(&bench), (1, 2));
}

#[tokio::test]
async fn delivered_late() {
    let bench = bench().await;
    let delay = Duration::from_millis(300);
    let matcher = events().event(EventType::Added).name("a");
    bench
        .proxy
        .rules()
        .add(Rule::new(matcher, Action::Delay(delay)).once());
    let mut watched = Watched::start(bench.maps());
    watched.expect(&["init", "done"]).await;
    let next = tokio::spawn(async move { watched.expect(&["apply a", "apply b"]).await });
    bench.make("a").await;
    bench.make("b").await;
    next.await.unwrap();
    let late = &bench.trail().frames(|f| f.name == "a")[0];
    assert!(late.delivered.unwrap() - late.received >= delay);
}

#[tokio::test]
async fn an_old_list_and_then_what_has_happened_since() {
    let bench = bench().await;
    bench.trail().keep_lists(true);
    bench.make("a").await;
    Watched::start(bench.maps())
        .expect(&["init", "init a", "done"])
        .await;
    let kept = bench
        .trail()
        .lists(|list| list.call.resource == "configmaps");
    assert_eq!(kept.len(), 1);
    bench.unmake("a").await;
    bench.make("b").await;

    // As after a restart in front of an API server that lags behind.
    let gate = Gate::shut();
    let snapshot = kept[0].clone();
    let version = snapshot.resource_version.clone();
    assert_eq!(snapshot.value()["metadata"]["resourceVersion"], version);
    let rules = bench.proxy.rules();
    rules.add(Rule::new(maps(Verb::List), Action::ReplayOldList { snapshot }).once());
    rules.add(Rule::new(events(), Action::HoldWatch(gate.clone())));
    let mark = bench.trail().mark();
    let mut watched = Watched::start(bench.another().await);
    watched.expect(&["init", "init a", "done"]).await;
    watched.silent().await;
    gate.open();
    watched.expect(&["delete a", "apply b"]).await;
    let reads = bench.trail().reads_since(mark);
    assert_eq!(
        (reads[0].fault(), reads[0].upstream_status),
        (Some("ReplayOldList"), None)
    );
    assert!(
        reads[1]
            .query
            .contains(&format!("resourceVersion={version}"))
    );
}
