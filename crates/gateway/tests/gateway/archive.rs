//! Records on their way into the archive, by way of an operator that takes them, or does not.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use atelier_api::{
    archive::{Kind, Part},
    report::Wanted,
};
use atelier_gateway::{
    archive::{Archive, Recorded},
    metrics::{Metrics, Sink},
    policy::Store,
};
use http::StatusCode;
use tokio::time::sleep;

use crate::{
    harness::{eventually, folder},
    intake::{Came, Intake, arguments, dropped, exported, text, way},
    pki::{Ca, OPERATOR},
};

/// The part of a gateway that archives.
struct Archiving {
    archive: Arc<Archive<Recorded>>,
    metrics: Arc<Metrics>,
    store: Store,
    token: PathBuf,
}

impl Archiving {
    fn start(ca: &Ca, port: u16) -> Self {
        let token = folder("archive").join("token");
        fs::write(&token, "first\n").expect("a file");
        let args = arguments(port, &token, &[]);
        let metrics = Metrics::new();
        let store = Store::new(metrics.clone());
        let archive = Arc::new(Archive::new(Recorded::default(), metrics.clone()));
        archive.start(way(&args, ca), store.wanted());
        Self {
            archive,
            metrics,
            store,
            token,
        }
    }

    async fn want(&self, after: Option<u32>) {
        self.store.want(Wanted {
            records_after_seconds: after,
            ..Wanted::default()
        });
        eventually("it is as it is wanted", || async {
            self.archive.is_on() == after.is_some()
        })
        .await;
    }

    fn exported(&self) -> u64 {
        exported(&self.metrics, Sink::Archive)
    }

    fn dropped(&self, reason: &str) -> u64 {
        dropped(&self.metrics, Sink::Archive, reason)
    }
}

impl Drop for Archiving {
    fn drop(&mut self) {
        if let Some(dir) = self.token.parent() {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

fn line(day: &str, number: usize) -> String {
    format!("{{\"time\":\"{day}T10:00:00.000001Z\",\"RequestId\":\"r-{number}\"}}\n")
}

fn part(came: &Came) -> Part {
    let (kind, part) = Kind::part(&came.path).expect("a part");
    assert_eq!(kind, Kind::Records);
    part
}

#[tokio::test]
async fn records_are_sent_as_parts_by_their_day_and_in_the_pods_name() {
    let ca = Ca::new("installation");
    let (intake, port) = Intake::start(&ca, OPERATOR).await;
    let gateway = Archiving::start(&ca, port);
    assert!(!gateway.archive.is_on());
    gateway.want(Some(1)).await;
    let (yesterday, today) = ("2026-11-27", "2026-11-28");
    let lines: Vec<_> = (0..100)
        .map(|n| line(if n % 10 == 0 { yesterday } else { today }, n))
        .collect();
    for line in &lines {
        gateway.archive.push(line.as_bytes());
    }
    eventually("all have come", || async { gateway.exported() == 100 }).await;
    let came = intake.came();
    let days: Vec<_> = came.iter().map(|came| part(came).day.to_string()).collect();
    assert_eq!(days, [yesterday, today]);
    for (came, day) in came.iter().zip(&days) {
        let of_it: String = lines.iter().filter(|l| l.contains(day)).cloned().collect();
        assert_eq!(text(came), of_it);
        assert_eq!(came.token, "Bearer first");
    }
    assert_ne!(came[0].path, came[1].path);
    // Nothing more to say, nothing said.
    sleep(Duration::from_secs(2)).await;
    assert_eq!(intake.came().len(), 2);
}

#[tokio::test]
async fn a_part_that_is_not_taken_is_sent_again_by_the_same_name() {
    let ca = Ca::new("installation");
    let (intake, port) = Intake::start(&ca, OPERATOR).await;
    *intake.answer.lock().expect("whole") = StatusCode::SERVICE_UNAVAILABLE;
    let gateway = Archiving::start(&ca, port);
    gateway.want(Some(1)).await;
    gateway.archive.push(line("2026-11-28", 1).as_bytes());
    eventually("it was refused twice", || async {
        intake.came().len() == 2
    })
    .await;
    fs::write(&gateway.token, "second").expect("a file");
    *intake.answer.lock().expect("whole") = StatusCode::NO_CONTENT;
    eventually("it is taken", || async { gateway.exported() == 1 }).await;
    let came = intake.came();
    assert!(
        came.iter()
            .all(|one| one.path == came[0].path && one.body == came[0].body)
    );
    assert_eq!(came.last().expect("three").token, "Bearer second");
    assert_eq!(gateway.dropped(""), 0);
}

#[tokio::test]
async fn what_was_gathered_is_sent_when_the_archive_is_turned_off() {
    let ca = Ca::new("installation");
    let (intake, port) = Intake::start(&ca, OPERATOR).await;
    let gateway = Archiving::start(&ca, port);
    gateway.want(Some(3600)).await;
    gateway.archive.push(line("2026-11-28", 1).as_bytes());
    sleep(Duration::from_millis(1500)).await;
    assert!(intake.came().is_empty());
    gateway.want(None).await;
    eventually("it is sent", || async { gateway.exported() == 1 }).await;
    // And again, at the end of the process.
    gateway.want(Some(3600)).await;
    gateway.archive.push(line("2026-11-28", 2).as_bytes());
    gateway.archive.finish(Duration::from_secs(5)).await;
    assert_eq!(gateway.exported(), 2);
    assert_eq!(text(&intake.came()[1]), line("2026-11-28", 2));
}

#[tokio::test]
async fn an_archive_that_stalls_costs_bounded_memory_and_each_record_is_counted() {
    let ca = Ca::new("installation");
    let (intake, port) = Intake::start(&ca, OPERATOR).await;
    *intake.answer.lock().expect("whole") = StatusCode::SERVICE_UNAVAILABLE;
    let gateway = Archiving::start(&ca, port);
    gateway.want(Some(1)).await;
    // Each with something that cannot be compressed away, so that parts fill.
    let mut random = 1_u64;
    let mut pushed = 0;
    while gateway.dropped("QueueFull") == 0 {
        for _ in 0..1000 {
            let mut noise = String::new();
            for _ in 0..64 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                noise.push_str(&format!("{random:016x}"));
            }
            let line = format!("{{\"time\":\"2026-11-28T10:00:00Z\",\"UserAgent\":\"{noise}\"}}\n");
            gateway.archive.push(line.as_bytes());
            pushed += 1;
        }
        sleep(Duration::from_millis(20)).await;
    }
    // A few megabytes: the queue, and the parts that wait.
    assert!(pushed < 16_000, "{pushed}");
    gateway.archive.finish(Duration::from_millis(200)).await;
    let lost = gateway.dropped("QueueFull") + gateway.dropped("Ended");
    assert_eq!((lost, gateway.exported()), (pushed, 0));
}

#[tokio::test]
async fn an_operator_that_knows_no_archive_is_not_asked_for_ever() {
    let ca = Ca::new("installation");
    let (intake, port) = Intake::start(&ca, OPERATOR).await;
    *intake.answer.lock().expect("whole") = StatusCode::NOT_FOUND;
    let gateway = Archiving::start(&ca, port);
    gateway.want(Some(1)).await;
    gateway.archive.push(line("2026-11-28", 1).as_bytes());
    eventually("it is counted", || async {
        gateway.dropped("Refused") == 1
    })
    .await;
    assert_eq!(intake.came().len(), 1);
}
