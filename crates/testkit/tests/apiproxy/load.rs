//! The proxy is not what a test waits for.

use std::time::{Duration, Instant};

use atelier_testkit::eventually;
use futures::StreamExt as _;
use futures::future::join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{PostParams, WatchParams};

use crate::bench::{LIMIT, bench, map};

const WATCHES: usize = 1000;
const REQUESTS: usize = 2000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_watches_and_many_requests() {
    let bench = bench().await;
    bench.make("a").await;
    let maps = bench.maps();
    let params = WatchParams::default();
    let begun = Instant::now();
    let watches = futures::stream::iter(0..WATCHES)
        .map(|_| maps.watch(&params, "0"))
        .buffer_unordered(16)
        .map(|watch| watch.unwrap().boxed())
        .collect::<Vec<_>>()
        .await;
    let opening = begun.elapsed();
    let mut events = watches
        .into_iter()
        .map(|watch| watch.skip(1))
        .collect::<Vec<_>>();

    let (past, through) = (read(&bench.direct()).await, read(&maps).await);

    let begun = Instant::now();
    maps.create(&PostParams::default(), &map("b", "1"))
        .await
        .unwrap();
    let all = join_all(events.iter_mut().map(|watch| watch.next()));
    let all = tokio::time::timeout(LIMIT, all).await.unwrap();
    assert!(all.iter().all(|event| event.as_ref().unwrap().is_ok()));
    println!(
        "{WATCHES} watches open after {opening:?}; {REQUESTS} requests in {through:?}, past the proxy in {past:?}; one event to all in {:?}",
        begun.elapsed()
    );
    assert!(through < 5 * past.max(Duration::from_secs(1)));
    drop(events);
    eventually(LIMIT, "the watches have ended", async || {
        let open = bench.trail().entries(|e| e.ended.is_none()).len();
        if open == 0 {
            Ok(())
        } else {
            Err(format!("{open} are open"))
        }
    })
    .await;
}

/// How long many requests take.
async fn read(maps: &Api<ConfigMap>) -> Duration {
    let begun = Instant::now();
    futures::stream::iter(0..REQUESTS)
        .map(|_| maps.get("a"))
        .buffer_unordered(16)
        .for_each(async |got| drop(got.unwrap()))
        .await;
    begun.elapsed()
}
