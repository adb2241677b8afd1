//! A corpus of what clients send to smuggle requests, to be somebody else, or by mistake, judged by three parsers:
//! hyper's, nginx's and HAProxy's stand behind the gateway as models. Every request that one of them sees has to be
//! one that the gateway let in and recorded, the same in every respect.

mod backends;
mod client;
mod corpus;
mod http2;
mod judge;

use std::{cell::RefCell, collections::HashMap, time::Duration};

use atelier_api::gateway_policy::{GatewayPolicy, Revoked};
use atelier_testkit::tokens::Issuer;
use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::{
    harness::{Gateway, PATIENCE, PRIMARY, SECONDARY, in_pod, policy},
    http_client::metrics,
};
use backends::{Account, Backend};
use client::{Answer, Connection, Manner, answers, harmless, play};
use corpus::Case;
use judge::Run;

/// Cases that are played at once, all of them over the same connections to the model.
const AT_ONCE: usize = 8;

/// How clients prove who they are.
struct Door {
    policy: String,
    key: String,
    /// What a client has who is not the one of the cases.
    other: String,
    subject: Option<&'static str>,
}

impl Door {
    fn key() -> Self {
        Self {
            policy: policy(Some((PRIMARY, SECONDARY))),
            key: PRIMARY.to_owned(),
            other: SECONDARY.to_owned(),
            subject: None,
        }
    }

    fn token() -> Self {
        let issuer = Issuer::since(Timestamp::now());
        let policy = GatewayPolicy::Token {
            keys: None,
            tokens: issuer.rules(Revoked::default()),
        };
        Self {
            policy: policy.to_json().expect("writable"),
            key: issuer.token(),
            other: issuer.token(),
            subject: Some("rita"),
        }
    }
}

#[test]
fn the_corpus_has_a_name_for_each_case() {
    let cases = corpus::all("key");
    let mut names: Vec<_> = cases.iter().map(|case| &case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len());
    assert!(cases.len() >= 300, "{}", cases.len());
}

#[test]
fn hyper_sees_what_was_let_in_and_nothing_else() {
    in_pod(|| async { judge(Backend::hyper().await, Door::key(), Manner::Whole).await });
}

#[test]
fn hyper_sees_the_same_of_what_comes_in_pieces() {
    in_pod(|| async { judge(Backend::hyper().await, Door::token(), Manner::Pieces(1)).await });
}

#[test]
fn nginx_sees_what_was_let_in_and_nothing_else() {
    in_pod(|| async { judge(Backend::nginx().await, Door::token(), Manner::Whole).await });
}

#[test]
fn haproxy_sees_what_was_let_in_and_nothing_else() {
    in_pod(|| async { judge(Backend::haproxy().await, Door::token(), Manner::Whole).await });
}

/// Plays the whole corpus against this model.
async fn judge(model: Backend, door: Door, manner: Manner) {
    let limits = ["--concurrent-requests", "64", "--queue-wait-ms", "20000"];
    let gateway = Gateway::spawn(Some(&door.policy), &limits, true);
    gateway.until_ready().await;
    let cases = corpus::all(&door.key);
    let (seen, mut problems) = play_all(&cases, &door, manner).await;
    let kept = cases.iter().filter(|case| case.end == corpus::End::Kept);
    println!(
        "{} cases, {} of them with another request behind",
        cases.len(),
        kept.count()
    );
    let found = |records, accounts| {
        let run = Run {
            cases: &cases,
            answers: &seen.answers,
            harmless: seen.harmless,
            records,
            accounts,
            subject: door.subject,
            key: &door.key,
        };
        run.problems()
    };
    problems.extend(left(&gateway, &model, found).await);
    assert_clean(&problems, &gateway, &door);
}

/// The problems that are left once nothing is under way: accounts and records are written behind the answers.
async fn left(
    gateway: &Gateway,
    model: &Backend,
    found: impl Fn(Vec<Value>, Vec<Account>) -> Vec<String>,
) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let idle = metrics()
            .await
            .contains("atelier_gateway_requests_in_flight 0\n");
        let (records, accounts) = (gateway.records(), model.accounts());
        let (recorded, seen) = (records.len(), accounts.len());
        let problems = found(records, accounts);
        if (idle && problems.is_empty()) || Instant::now() > deadline {
            println!("{recorded} records, the model saw {seen}");
            return problems;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn assert_clean(problems: &[String], gateway: &Gateway, door: &Door) {
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    assert!(
        !gateway.said().contains(&door.key),
        "a credential was told of"
    );
}

/// What the clients saw.
#[derive(Default)]
struct Answers {
    answers: HashMap<String, Vec<Answer>>,
    harmless: usize,
}

async fn play_all(cases: &[Case], door: &Door, manner: Manner) -> (Answers, Vec<String>) {
    let left = RefCell::new(cases.iter());
    let seen = RefCell::new(Answers::default());
    let problems = RefCell::new(Vec::new());
    let client = || async {
        // Somebody else, whose requests go to the model in between.
        let mut other = Connection::open().await;
        loop {
            let Some(case) = left.borrow_mut().next() else {
                return;
            };
            match play(case, &door.key, manner).await {
                Ok((answers, behind)) => {
                    let mut seen = seen.borrow_mut();
                    seen.harmless += usize::from(behind);
                    seen.answers.insert(case.id.clone(), answers);
                }
                Err(problem) => problems
                    .borrow_mut()
                    .push(format!("{} {}: {problem}", case.id, case.name)),
            }
            let id = format!("other-{}", case.id);
            other.send(&harmless(&door.other, &id), Manner::Whole).await;
            let answer = other.answer(false).await;
            let answer = answer.and_then(|answer| answer.ok_or_else(|| "no answer".to_owned()));
            match answer.and_then(|answer| answers(&answer, &id)) {
                Ok(()) => seen.borrow_mut().harmless += 1,
                Err(problem) => problems.borrow_mut().push(format!("{id}: {problem}")),
            }
        }
    };
    join_all((0..AT_ONCE).map(|_| client())).await;
    (seen.into_inner(), problems.into_inner())
}
