//! Rules of the proxy, by what plans say.

use anyhow::Context as _;
use atelier_testkit::apiproxy::{
    Action, EventType, Gate, ListSnapshot, Matcher, Phase as KillPhase, Rule, Verb,
};

use super::place_of;
use crate::plan::{Event, Fault, Phase, Sight, Write};

const RETRY_AFTER_SECONDS: u32 = 1;

/// The operator is killed at a write.
pub fn crash(write: &Write, phase: Phase, namespace: &str) -> anyhow::Result<Rule> {
    let phase = match phase {
        Phase::Before => KillPhase::BeforeSend,
        Phase::Committed => KillPhase::Committed,
        Phase::Answered => KillPhase::Answered,
    };
    at(write, namespace, Action::Kill { phase })
}

/// A write goes wrong.
pub fn fault(write: &Write, fault: Fault, namespace: &str) -> anyhow::Result<Rule> {
    at(write, namespace, action(fault))
}

/// An event comes late, or never.
pub fn sight(event: &Event, sight: Sight, namespace: &str, gate: &Gate) -> anyhow::Result<Rule> {
    let matcher = of(&event.resource, namespace).event(event_type(&event.kind)?);
    let action = match sight {
        Sight::Hold => Action::HoldWatch(gate.clone()),
        Sight::Gap => Action::DropEventsThen410 { events: 1 },
    };
    Ok(Rule::new(matcher, action).once())
}

/// The next list of a resource is an old one.
pub fn replay(resource: &str, snapshot: ListSnapshot) -> Rule {
    let all = Matcher {
        resource: Some(resource.to_owned()),
        ..Matcher::any()
    };
    Rule::new(all, Action::ReplayOldList { snapshot }).once()
}

/// A resource in the plan's namespace; or the namespace itself.
pub fn of(resource: &str, namespace: &str) -> Matcher {
    let any = Matcher {
        resource: Some(resource.to_owned()),
        ..Matcher::any()
    };
    match resource {
        "namespaces" => any.name(namespace),
        _ => any.namespace(namespace),
    }
}

fn action(fault: Fault) -> Action {
    match fault {
        Fault::Reset => Action::CommitThenReset,
        Fault::Truncated => Action::TruncateJson,
        Fault::Status(status) => Action::Answer {
            status,
            retry_after: (status == 429).then_some(RETRY_AFTER_SECONDS),
            reason: None,
        },
    }
}

fn event_type(kind: &str) -> anyhow::Result<EventType> {
    Ok(match kind {
        "added" => EventType::Added,
        "modified" => EventType::Modified,
        "deleted" => EventType::Deleted,
        other => anyhow::bail!("no event is {other}"),
    })
}

fn at(write: &Write, namespace: &str, action: Action) -> anyhow::Result<Rule> {
    let (resource, subresource) = write
        .resource
        .split_once('/')
        .unwrap_or((&write.resource, ""));
    let verb = Verb::WRITES
        .into_iter()
        .find(|verb| verb.as_str() == write.verb);
    let place = place_of(resource, &write.name).unwrap_or(namespace);
    let matcher = of(resource, place)
        .subresource(subresource)
        .name(&write.name)
        .verbs(&[verb.with_context(|| format!("{} is no write", write.verb))?]);
    Ok(Rule::new(matcher, action).nth(write.nth))
}
