//! What the operator is told of the load, when, and who is told nothing.

use std::{fs, path::PathBuf, time::Duration};

use atelier_api::report::{LOAD_PATH, Load, Wanted};
use atelier_gateway::{limits::Limits, metrics::Metrics, policy::Store, report};
use http::StatusCode;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{
    harness::{eventually, folder},
    intake::{Came, Intake, arguments, way},
    pki::{Ca, OPERATOR},
};

/// What a report says.
fn load(came: &Came) -> Load {
    serde_json::from_slice(&came.body).expect("a load")
}

async fn hears(intake: &Intake, what: &str, is_it: impl Fn(Load) -> bool) {
    eventually(what, || async {
        intake.came().last().map(load).is_some_and(&is_it)
    })
    .await;
}

/// The part of a gateway that reports.
struct Reporting {
    limits: Limits,
    store: Store,
    token: PathBuf,
    task: JoinHandle<()>,
}

impl Reporting {
    fn start(ca: &Ca, port: u16) -> Self {
        let token = folder("report").join("token");
        fs::write(&token, "first\n").expect("a file");
        let args = arguments(
            port,
            &token,
            &["--concurrent-requests=2", "--queue-wait-ms=20000"],
        );
        let metrics = Metrics::new();
        let (limits, store) = (Limits::new(&args, metrics.clone()), Store::new(metrics));
        let task = tokio::spawn(report::run(way(&args, ca), limits.gauge(), store.wanted()));
        Self {
            limits,
            store,
            token,
            task,
        }
    }

    fn want(&self, load: bool) {
        self.store.want(Wanted {
            load,
            ..Wanted::default()
        });
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(dir) = self.token.parent() {
            let _ = fs::remove_dir_all(dir);
        }
    }
}

#[tokio::test]
async fn nothing_is_told_before_it_is_asked_for_nor_after() {
    let ca = Ca::new("installation");
    let (intake, port) = Intake::start(&ca, OPERATOR).await;
    let gateway = Reporting::start(&ca, port);
    let _turn = gateway.limits.turn(Instant::now()).await.expect("free");
    sleep(Duration::from_millis(500)).await;
    assert!(intake.came().is_empty());
    gateway.want(true);
    hears(&intake, "a load", |load| load.busy_milli == 1000).await;
    let first = intake.came().remove(0);
    assert_eq!(
        (first.path.as_str(), first.token.as_str()),
        (LOAD_PATH, "Bearer first")
    );
    gateway.want(false);
    eventually("the connection is closed", || async {
        *intake.connections.lock().expect("whole") == 0
    })
    .await;
    let told = intake.came().len();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(intake.came().len(), told);
}

#[tokio::test]
async fn a_load_is_told_within_about_a_second_and_no_more_than_ten_times_in_one() {
    let ca = Ca::new("installation");
    let (intake, port) = Intake::start(&ca, OPERATOR).await;
    let gateway = Reporting::start(&ca, port);
    gateway.want(true);
    hears(&intake, "it is idle", |load| load == Load::default()).await;
    let begun = Instant::now();
    let turns = [
        gateway.limits.turn(begun).await.expect("free"),
        gateway.limits.turn(begun).await.expect("free"),
    ];
    let waits = gateway.limits.turn(Instant::now());
    let told = async {
        let full = Load {
            busy_milli: 2000,
            queued_milli: 1000,
        };
        hears(&intake, "two are worked on, one waits", |load| load == full).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(1600), "{took:?}");
        // What lasts is no news.
        let before = intake.came().len();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(intake.came().len(), before);
    };
    tokio::select! {
        _ = waits => unreachable!("there is no turn"),
        () = told => {}
    }
    // They are told of within five seconds at the latest, changed or not.
    let before = intake.came().len();
    eventually("it is told again", || async {
        intake.came().len() > before
    })
    .await;
    drop(turns);
    hears(&intake, "it is idle again", |load| load == Load::default()).await;
    let came = intake.came();
    for many in came.windows(11) {
        let (first, last) = (many[0].at, many[10].at);
        assert!(
            last - first > Duration::from_millis(900),
            "{:?}",
            last - first
        );
    }
    assert!(came.len() < 40, "{}", came.len());
}

#[tokio::test]
async fn short_requests_count_for_as_long_as_they_take() {
    let ca = Ca::new("installation");
    let (intake, port) = Intake::start(&ca, OPERATOR).await;
    let gateway = Reporting::start(&ca, port);
    gateway.want(true);
    hears(&intake, "it is idle", |load| load == Load::default()).await;
    // A tenth of the time, in ten requests a second.
    for _ in 0..20 {
        let turn = gateway.limits.turn(Instant::now()).await.expect("free");
        sleep(Duration::from_millis(10)).await;
        drop(turn);
        sleep(Duration::from_millis(90)).await;
    }
    let most = intake.came().iter().map(|came| load(came).busy_milli).max();
    assert!(most.is_some_and(|most| most <= 350), "{most:?}");
}

#[tokio::test]
async fn an_idle_gateway_tells_that_it_is_there_and_shows_a_new_token() {
    let ca = Ca::new("installation");
    let (intake, port) = Intake::start(&ca, OPERATOR).await;
    let gateway = Reporting::start(&ca, port);
    gateway.want(true);
    hears(&intake, "it is idle", |load| load == Load::default()).await;
    fs::write(&gateway.token, "second").expect("a file");
    eventually("it is there", || async { intake.came().len() == 2 }).await;
    let came = intake.came();
    let pause = came[1].at - came[0].at;
    assert!(
        pause > Duration::from_secs(6) && pause < Duration::from_secs(8),
        "{pause:?}"
    );
    assert_eq!(came[1].token, "Bearer second");
}

#[tokio::test]
async fn who_is_not_the_operator_hears_nothing() {
    let ca = Ca::new("installation");
    for (signer, name) in [(&ca, "iris.ml.svc"), (&Ca::new("another"), OPERATOR)] {
        let (intake, port) = Intake::start(signer, name).await;
        let gateway = Reporting::start(&ca, port);
        gateway.want(true);
        sleep(Duration::from_secs(1)).await;
        assert!(intake.came().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn who_is_refused_comes_again_and_tells_what_is_true_then() {
    let ca = Ca::new("installation");
    let (intake, port) = Intake::start(&ca, OPERATOR).await;
    *intake.answer.lock().expect("whole") = StatusCode::UNAUTHORIZED;
    let gateway = Reporting::start(&ca, port);
    gateway.want(true);
    eventually("it was refused twice", || async {
        intake.came().len() == 2
    })
    .await;
    let _turn = gateway.limits.turn(Instant::now()).await.expect("free");
    *intake.answer.lock().expect("whole") = StatusCode::NO_CONTENT;
    hears(&intake, "what is true now", |load| load.busy_milli == 1000).await;
    let came = intake.came();
    let pause = came[1].at - came[0].at;
    assert!(pause >= Duration::from_millis(450), "{pause:?}");
}
