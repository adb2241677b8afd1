//! The check `canary`: what is secret stands in Secrets and nowhere else, however much is logged.

mod gather;
mod needles;
mod search;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use atelier_testkit::apiproxy::{Action, Matcher, Proxy, Rule, Verb};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use crate::args::RunArgs;
use crate::random::Random;
use crate::rights::exercise;
use crate::stomp::{Outcome, STARTS};
use crate::{Caller, Lab};
use gather::{Gatherer, everything};
use needles::{Values, learn_all};
use search::Search;

const ENDS: Duration = Duration::from_secs(20);
/// How many answers about Secrets break off.
const UNREADABLE: usize = 4;
/// The most hits that are shown of a place.
const SHOWN: usize = 10;

/// Runs the check.
pub async fn run(args: &RunArgs) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(Random::seed);
    let mut outcome = Outcome::new("canary", seed, String::new());
    let mut all = args.lab.clone();
    // Everything, that of dependencies included.
    all.log = "trace".into();
    let lab = Lab::up(&all).await?;
    let admin = lab.cluster.admin().await?;
    let proxy = Proxy::start(&lab.cluster.kubeconfig).await;
    let kubeconfig = lab.folder.join("canary.kubeconfig");
    proxy.write_kubeconfig(&lab.token, &kubeconfig);
    let values = Values::default();
    values.learn(
        lab.token.clone().into_bytes(),
        "the operator's token".into(),
    );
    let _watch = learn_all(&admin, &values);

    // Answers about Secrets that cannot be read: whoever logs what it could not read logs a Secret.
    let answers = Matcher::resource("secrets").verbs(&[Verb::Create, Verb::Update, Verb::Get]);
    let rule = Rule::new(answers, Action::TruncateJson)
        .from(2)
        .times(UNREADABLE);
    let rule = proxy.rules().add(rule);

    let operator = lab.serving_operator("canary-0", &kubeconfig)?;
    operator.start()?;
    operator.leading(STARTS).await?;
    let gatherer = Gatherer::new(admin.clone());
    let caller = Caller::of(&lab, &operator).await?;
    exercise::scenarios(&admin, &caller, &operator, &gatherer).await?;
    let user = exercise::damage(&admin).await?;
    gatherer.gather().await?;
    let metrics = operator.metrics().await?;
    operator.stop(ENDS).await?;

    let mut asked = String::new();
    for entry in proxy.trail().entries(|_| true) {
        for body in [&entry.body, &entry.response].into_iter().flatten() {
            match entry.resource == "secrets" {
                true => values.learn_secret(body),
                false => asked += &format!("{body}\n"),
            }
        }
    }
    let log = std::fs::read_to_string(operator.log())?;
    let objects = gatherer
        .lines
        .take()
        .into_iter()
        .collect::<Vec<_>>()
        .join("\n");
    let needles = values.needles();
    let search = Search::new(&needles);
    let unreadable = proxy.rules().hits(rule);
    outcome.figure("answers about Secrets that could not be read", unreadable);
    outcome.expect(
        unreadable == UNREADABLE,
        "too few answers could not be read",
    );
    outcome.figure("secret values", values.count());
    outcome.figure("forms of them", needles.len());
    outcome.expect(values.count() > 10, "there were hardly any secrets");
    for (place, text) in [
        ("the log", &log),
        ("objects and events", &objects),
        ("requests that are not about Secrets", &asked),
        ("metrics", &metrics),
    ] {
        let hits = search.find(text);
        outcome.figure(format!("{place}: bytes"), text.len());
        outcome.figure(format!("{place}: hits"), hits.len());
        outcome.expect(
            !text.is_empty(),
            format!("{place}: there is nothing to search"),
        );
        for hit in hits.iter().take(SHOWN) {
            outcome.wrong(format!("{place}, line {}: {}", hit.line, hit.what));
        }
    }
    outcome.expect(log.contains("\"TRACE\""), "the log is not at trace");

    // What was searched in would have shown it.
    for needle in &needles {
        let planted = format!("x{}x", needle.text);
        let found = search
            .find(&planted)
            .iter()
            .any(|hit| hit.what == needle.from);
        ensure!(found, "{} is not found where it is planted", needle.from);
    }
    let key = needles
        .iter()
        .find(|needle| needle.from.starts_with("primary") && needle.from.ends_with("text"));
    let key = key.context("no key was ever made")?;
    let log = planted_log(&operator.log(), &key.text)?;
    let config = json!({"metadata": {"name": "planted", "annotations": {"planted": key.text}}});
    let config: ConfigMap = serde_json::from_value(config)?;
    user.api::<ConfigMap>()
        .create(&Default::default(), &config)
        .await?;
    let objects = everything(&admin).await?.join("\n");
    for (place, text) in [("the log", log), ("objects and events", objects)] {
        let found = search.find(&text).iter().any(|hit| hit.what == key.from);
        outcome.figure(format!("{place}: a planted key is found"), found);
        outcome.expect(found, format!("{place}: a planted key is not found"));
    }
    user.leave().await?;
    outcome.conclude(args)
}

/// A copy of the log with one more line.
fn planted_log(log: &Path, text: &str) -> anyhow::Result<String> {
    let copy = log.with_extension("planted");
    std::fs::copy(log, &copy)?;
    let mut file = OpenOptions::new().append(true).open(&copy)?;
    writeln!(
        file,
        "{{\"level\":\"TRACE\",\"message\":\"planted {text}\"}}"
    )?;
    let planted = std::fs::read_to_string(&copy)?;
    std::fs::remove_file(&copy)?;
    Ok(planted)
}
