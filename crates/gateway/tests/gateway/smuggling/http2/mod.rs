//! The same in HTTP/2, which the gateway says anew in HTTP/1.1: what its frames carry has to come out as the one request
//! that it was, or not at all.

mod corpus;
mod frames;

use std::{cell::RefCell, collections::HashMap};

use futures::future::join_all;

use super::{
    AT_ONCE, Door, assert_clean,
    backends::{Account, Backend},
    judge::Run,
    left,
};
use crate::{
    harness::{Gateway, in_pod},
    pki::Ca,
    tls::Mounted,
    tls_client::{Client, H2},
};
use corpus::{Case, Expected};
use frames::{Connection, End, Frame};

#[test]
fn the_corpus_of_http2_has_a_name_for_each_case() {
    let cases = corpus::all("key");
    let mut names: Vec<_> = cases.iter().map(|case| &case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len());
    assert!(cases.len() >= 100, "{}", cases.len());
}

#[test]
fn hyper_sees_of_http2_what_was_let_in_and_nothing_else() {
    in_pod(|| async { judge(Backend::hyper().await, Door::key()).await });
}

#[test]
fn nginx_sees_of_http2_what_was_let_in_and_nothing_else() {
    in_pod(|| async { judge(Backend::nginx().await, Door::token()).await });
}

#[test]
fn haproxy_sees_of_http2_what_was_let_in_and_nothing_else() {
    in_pod(|| async { judge(Backend::haproxy().await, Door::key()).await });
}

/// Plays the whole corpus against this model.
async fn judge(model: Backend, door: Door) {
    let ca = Ca::new("ours");
    let mounted = Mounted::holding(&ca.server(&[&ca]));
    let tls = mounted.argument();
    let limits = [
        "--concurrent-requests",
        "64",
        "--queue-wait-ms",
        "20000",
        &tls,
    ];
    let gateway = Gateway::spawn(Some(&door.policy), &limits, true);
    gateway.until_ready().await;
    let client = Client::new(&ca, H2, rustls::ALL_VERSIONS);
    let cases = corpus::all(&door.key);
    let mut problems = play_all(&cases, &client, &door).await;
    println!("{} cases", cases.len());
    let found = |records, accounts| {
        let run = Run {
            cases: &[],
            answers: &HashMap::new(),
            harmless: 0,
            records,
            accounts,
            subject: door.subject,
            key: &door.key,
        };
        let mut found = run.strangers();
        found.extend(cases.iter().filter_map(|case| wrong(case, &run)));
        found
    };
    problems.extend(left(&gateway, &model, found).await);
    assert_clean(&problems, &gateway, &door);
}

/// What a case should have come to and has not.
fn wrong(case: &Case, run: &Run) -> Option<String> {
    let accounts = run.accounts.iter();
    let seen = accounts.filter(|one| one.whole && one.header("user-agent") == case.id);
    let seen: Vec<_> = seen.collect();
    let records = run.records.iter();
    let statuses = records.filter(|record| record["UserAgent"] == case.id.as_str());
    let statuses: Vec<_> = statuses
        .filter_map(|record| record["StatusCode"].as_u64())
        .collect();
    let right = match &case.expected {
        Expected::Passed(body) => {
            let same = |one: &Account| one.body.as_deref() == Some(body);
            statuses == [200] && seen.len() == 1 && seen.iter().all(|one| same(one))
        }
        Expected::Status(status) => statuses == [*status] && seen.is_empty(),
        Expected::Either(body) => {
            let same = seen.iter().all(|one| one.body.as_deref() == Some(body));
            same && seen.len() <= 1 && statuses.len() <= 1
        }
        // By the protocol, before there was a request; or where its body breaks off.
        Expected::Refused => {
            let refused = |status: &u64| (400..500).contains(status);
            seen.is_empty() && statuses.len() <= 1 && statuses.iter().all(refused)
        }
    };
    (!right).then(|| {
        format!(
            "{} {}: recorded is {statuses:?}, the model saw {seen:?}",
            case.id, case.name
        )
    })
}

async fn play_all(cases: &[Case], client: &Client, door: &Door) -> Vec<String> {
    let left = RefCell::new(cases.iter());
    let problems = RefCell::new(Vec::new());
    let player = || async {
        loop {
            let Some(case) = left.borrow_mut().next() else {
                return;
            };
            if let Err(problem) = play(case, client, door).await {
                let problem = format!("{} {}: {problem}", case.id, case.name);
                problems.borrow_mut().push(problem);
            }
        }
    };
    join_all((0..AT_ONCE).map(|_| player())).await;
    problems.into_inner()
}

/// Sends the frames of a case, and waits for what becomes of its stream. Where the connection goes on, somebody asks
/// something harmless on it.
async fn play(case: &Case, client: &Client, door: &Door) -> Result<(), String> {
    let mut connection = Connection::open(client).await?;
    for frame in &case.frames {
        connection.send(frame).await;
    }
    // Who breaks it off hears no more of it.
    let broken = case.frames.iter().any(|frame| frame.kind == frames::RESET);
    let end = match broken {
        true => End::Reset,
        false => connection.end(1).await?,
    };
    let passes = matches!(case.expected, Expected::Passed(_) | Expected::Status(_));
    if passes && end != End::Answered {
        return Err(format!("no answer: {end:?}"));
    }
    if end == End::Connection {
        return Ok(());
    }
    let behind = corpus::harmless(&case.id, &door.other);
    connection.send(&Frame::headers(101, true, &behind)).await;
    match connection.end(101).await? {
        // One that is told to go may still have been answered.
        End::Answered | End::Connection => Ok(()),
        End::Reset => Err("what came behind it was reset".to_owned()),
    }
}
