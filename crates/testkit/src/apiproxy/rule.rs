//! Which requests and watch events are disturbed, and how.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::frames::EventType;
use super::gate::Gate;
use super::lists::ListSnapshot;
use super::request::{Call, Verb};

/// What a request or a watch event has to be. Whatever is not given may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Matcher {
    /// One of these verbs; empty for all of them. An event of a watch has the verb `watch`.
    pub verbs: Vec<Verb>,
    /// API group; `""` is the core group.
    pub group: Option<String>,
    /// Plural of the kind.
    pub resource: Option<String>,
    /// Subresource; `""` is none.
    pub subresource: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Type of a watch event. With one, no request matches; without one, only additions, changes and deletions do.
    pub event: Option<EventType>,
}

impl Matcher {
    /// Anything.
    pub fn any() -> Self {
        Self::default()
    }

    /// A resource, named `plural` or `plural.group`. The core group is meant if none is given.
    pub fn resource(name: &str) -> Self {
        let (plural, group) = name.split_once('.').unwrap_or((name, ""));
        Self {
            group: Some(group.to_owned()),
            resource: Some(plural.to_owned()),
            ..Self::default()
        }
    }

    /// With one of these verbs.
    pub fn verbs(mut self, verbs: &[Verb]) -> Self {
        self.verbs = verbs.to_vec();
        self
    }

    /// With a verb that writes.
    pub fn writes(self) -> Self {
        self.verbs(&Verb::WRITES)
    }

    /// Of a subresource; `""` for none.
    pub fn subresource(mut self, subresource: &str) -> Self {
        self.subresource = Some(subresource.to_owned());
        self
    }

    /// In a namespace.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// With a name; one that ends with `*` stands for all that begin so.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// A watch event of a type.
    pub fn event(mut self, event: EventType) -> Self {
        self.event = Some(event);
        self
    }

    /// Whether a request is meant.
    pub fn matches(&self, call: &Call) -> bool {
        self.event.is_none()
            && (self.verbs.is_empty() || self.verbs.contains(&call.verb))
            && is(&self.subresource, &call.subresource)
            && self.is_object(&call.group, &call.resource, &call.namespace, &call.name)
    }

    /// Whether an event of a watch is meant. The watch is `call`, the object in the event has a namespace and a name.
    pub fn matches_event(
        &self,
        call: &Call,
        event: EventType,
        namespace: &str,
        name: &str,
    ) -> bool {
        (self.verbs.is_empty() || self.verbs.contains(&Verb::Watch))
            && self.event.map_or(event.is_change(), |want| want == event)
            && is(&self.subresource, "")
            && self.is_object(&call.group, &call.resource, namespace, name)
    }

    fn is_object(&self, group: &str, resource: &str, namespace: &str, name: &str) -> bool {
        is(&self.group, group)
            && is(&self.resource, resource)
            && is(&self.namespace, namespace)
            && self.is_name(name)
    }
}

impl Matcher {
    fn is_name(&self, name: &str) -> bool {
        match self.name.as_deref().and_then(|want| want.strip_suffix('*')) {
            Some(beginning) => name.starts_with(beginning),
            None => is(&self.name, name),
        }
    }
}

fn is(want: &Option<String>, have: &str) -> bool {
    want.as_ref().is_none_or(|want| want == have)
}

/// When a client is killed, seen from one of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Instead of the request, which never gets to the API server.
    BeforeSend,
    /// The API server has answered, and the client does not get to know.
    Committed,
    /// The client has the answer, and sends nothing after it.
    Answered,
}

/// What happens to whatever matches.
#[derive(Clone, Debug)]
pub enum Action {
    /// Is sent later; of a rule with an event type, the event is delivered later, and all after it.
    Delay(Duration),
    /// The connection is reset and nothing is sent to the API server.
    DropBefore,
    /// Is sent to the API server, whose answer is read; then the connection is reset.
    CommitThenReset,
    /// Is answered with a `Status` and not sent to the API server.
    Answer {
        /// HTTP status: 409, 422, 429, 500, 503, 504.
        status: u16,
        /// Seconds of `Retry-After`.
        retry_after: Option<u32>,
        /// `reason` of the `Status`; that which Kubernetes uses with the status if nothing is given.
        reason: Option<String>,
    },
    /// The first half of the answer's body, framed as if it were all.
    TruncateJson,
    /// Calls back whoever started the proxy, who kills the client. Then all connections of that time are reset.
    /// Of a rule with an event type: instead of delivering the event, or, in phase `Answered`, once it is delivered.
    Kill {
        /// When.
        phase: Phase,
    },
    /// Is sent when the gate is open, unless the client has gone by then.
    HoldRequest(Gate),
    /// This event and all later ones of its watch are delivered when the gate is open. So are all events of watches of
    /// the same resource and namespace that begin while it is not.
    HoldWatch(Gate),
    /// This event and the next ones of its watch are swallowed, this many in all; then comes `410 Expired`, and the end.
    DropEventsThen410 {
        /// How many are swallowed, bookmarks not counted.
        events: usize,
    },
    /// A watch that begins gets `410 Expired` for its only event, as from the API server. (With `410` for the status of
    /// the answer, which the API server does not do, kube's watcher would try the same for ever.)
    ExpireWatch,
    /// The watch ends where the event would have been.
    EndWatch,
    /// A list that begins is answered with an earlier answer to the same question.
    ReplayOldList {
        /// The earlier answer.
        snapshot: ListSnapshot,
    },
}

impl Action {
    /// What the trail calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Delay(_) => "Delay",
            Self::DropBefore => "DropBefore",
            Self::CommitThenReset => "CommitThenReset",
            Self::Answer { .. } => "Answer",
            Self::TruncateJson => "TruncateJson",
            Self::Kill {
                phase: Phase::BeforeSend,
            } => "Kill/BeforeSend",
            Self::Kill {
                phase: Phase::Committed,
            } => "Kill/Committed",
            Self::Kill {
                phase: Phase::Answered,
            } => "Kill/Answered",
            Self::HoldRequest(_) => "HoldRequest",
            Self::HoldWatch(_) => "HoldWatch",
            Self::DropEventsThen410 { .. } => "DropEventsThen410",
            Self::ExpireWatch => "ExpireWatch",
            Self::EndWatch => "EndWatch",
            Self::ReplayOldList { .. } => "ReplayOldList",
        }
    }

    /// An answer with a status, and the reason that Kubernetes gives with it.
    pub fn answer(status: u16) -> Self {
        Self::Answer {
            status,
            retry_after: None,
            reason: None,
        }
    }

    /// Whether the next rule applies as well.
    pub(super) fn goes_on(&self) -> bool {
        matches!(self, Self::Delay(_) | Self::HoldRequest(_))
    }
}

/// Disturbs what matches.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What has to match.
    pub matcher: Matcher,
    /// What happens then.
    pub action: Action,
    /// The first match that is disturbed; 1 is the very first.
    pub from: usize,
    /// How many are disturbed; all of them unless given.
    pub times: Option<usize>,
}

impl Rule {
    /// Disturbs all that matches.
    pub fn new(matcher: Matcher, action: Action) -> Self {
        Self {
            matcher,
            action,
            from: 1,
            times: None,
        }
    }

    /// From the n-th match on.
    pub fn from(mut self, n: usize) -> Self {
        self.from = n;
        self
    }

    /// At most so many times.
    pub fn times(mut self, n: usize) -> Self {
        self.times = Some(n);
        self
    }

    /// The n-th match only.
    pub fn nth(self, n: usize) -> Self {
        self.from(n).times(1)
    }

    /// The first match only.
    pub fn once(self) -> Self {
        self.nth(1)
    }

    /// Whether a request is meant.
    pub(super) fn meets(&self, call: &Call, accept: &str) -> bool {
        let fits = match &self.action {
            Action::HoldWatch(_) | Action::DropEventsThen410 { .. } | Action::EndWatch => false,
            Action::ExpireWatch => call.verb == Verb::Watch,
            // A watch has no end to cut off.
            Action::TruncateJson => call.verb != Verb::Watch,
            Action::ReplayOldList { snapshot } => snapshot.answers(call, accept),
            _ => true,
        };
        fits && self.matcher.matches(call)
    }

    /// Whether an event of a watch is meant.
    pub(super) fn meets_event(
        &self,
        call: &Call,
        event: EventType,
        namespace: &str,
        name: &str,
    ) -> bool {
        let fits = match &self.action {
            Action::HoldWatch(_) | Action::DropEventsThen410 { .. } | Action::EndWatch => true,
            Action::Delay(_) | Action::Kill { .. } => self.matcher.event.is_some(),
            _ => false,
        };
        fits && self.matcher.matches_event(call, event, namespace, name)
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::super::frames::EventType;
    use super::super::request::{Call, Verb};
    use super::{Action, Matcher, Phase, Rule};

    fn status_patch() -> Call {
        let path = "/apis/atelier.dev/v1alpha1/namespaces/a/runs/r/status";
        Call::parse(&Method::PATCH, path, None)
    }

    #[test]
    fn what_is_not_given_may_be_anything() {
        let call = status_patch();
        let runs = || Matcher::resource("runs.atelier.dev");
        for (matcher, want) in [
            (Matcher::any(), true),
            (runs(), true),
            (runs().writes(), true),
            (runs().subresource("status").namespace("a").name("r"), true),
            (runs().subresource(""), false),
            (runs().verbs(&[Verb::Create]), false),
            (runs().name("s"), false),
            (runs().namespace("b"), false),
            (Matcher::resource("runs"), false),
            (runs().event(EventType::Added), false),
        ] {
            assert_eq!(matcher.matches(&call), want, "{matcher:?}");
        }
    }

    #[test]
    fn events_are_told_by_the_object_in_them() {
        let call = Call::parse(&Method::GET, "/api/v1/pods", Some("watch=true"));
        let pods = || Matcher::resource("pods").namespace("a");
        for (matcher, event, want) in [
            (pods(), EventType::Added, true),
            (pods(), EventType::Bookmark, false),
            (pods().event(EventType::Bookmark), EventType::Bookmark, true),
            (pods().event(EventType::Deleted), EventType::Added, false),
            (pods().name("other"), EventType::Added, false),
            (pods().writes(), EventType::Added, false),
        ] {
            let matches = matcher.matches_event(&call, event, "a", "p");
            assert_eq!(matches, want, "{matcher:?} {event:?}");
        }
    }

    #[test]
    fn an_action_is_for_requests_or_for_events() {
        let call = Call::parse(&Method::GET, "/api/v1/pods", Some("watch=true"));
        let kill = Action::Kill {
            phase: Phase::BeforeSend,
        };
        for (action, matcher, request, event) in [
            (Action::EndWatch, Matcher::any(), false, true),
            (Action::ExpireWatch, Matcher::any(), true, false),
            (Action::DropBefore, Matcher::any(), true, false),
            (kill.clone(), Matcher::any(), true, false),
            (kill, Matcher::any().event(EventType::Added), false, true),
        ] {
            let rule = Rule::new(matcher, action);
            let name = rule.action.name();
            assert_eq!(rule.meets(&call, ""), request, "{name}");
            let meets = rule.meets_event(&call, EventType::Added, "a", "p");
            assert_eq!(meets, event, "{name}");
        }
    }

    #[test]
    fn a_matcher_can_be_written_down() {
        let matcher = Matcher::resource("pods").writes().name("p");
        let text = serde_json::to_string(&matcher).unwrap();
        assert_eq!(serde_json::from_str::<Matcher>(&text).unwrap(), matcher);
    }
}
