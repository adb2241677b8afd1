//! What must hold whatever happens: judged by the trail of one play, and by that of an undisturbed one.

use std::collections::BTreeMap;

use crate::trail::{Request, creations, minted};

/// What an undisturbed play did.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// How often each object was made.
    pub creations: BTreeMap<String, usize>,
    /// How many values each entry of each Secret had.
    pub minted: BTreeMap<String, usize>,
}

impl Account {
    /// The account of a trail.
    pub fn of(trail: &[Request]) -> Self {
        let minted = minted(trail)
            .into_iter()
            .map(|(entry, values)| (entry, values.len()));
        Self {
            creations: creations(trail),
            minted: minted.collect(),
        }
    }

    /// What either of two plays did.
    pub fn or(mut self, other: Self) -> Self {
        for (all, more) in [
            (&mut self.creations, other.creations),
            (&mut self.minted, other.minted),
        ] {
            for (name, count) in more {
                let most = all.entry(name).or_default();
                *most = count.max(*most);
            }
        }
        self
    }
}

/// All that is wrong with a play.
pub fn judge(golden: &Account, trail: &[Request]) -> Vec<String> {
    let mut wrong: Vec<_> = trail.iter().filter_map(judge_request).collect();
    let played = Account::of(trail);
    wrong.extend(more(&golden.creations, &played.creations, "was made"));
    wrong.extend(more(&golden.minted, &played.minted, "was given a value"));
    wrong
}

/// Writes that changed nothing. Undisturbed there is no reason for one.
pub fn idle_writes(trail: &[Request]) -> impl Iterator<Item = String> + '_ {
    let idle = |request: &&Request| request.is_write() && request.is_done() && !request.effective;
    trail
        .iter()
        .filter(idle)
        .map(|request| format!("changed nothing: {request}"))
}

fn judge_request(request: &Request) -> Option<String> {
    if request.status == Some(403) {
        return Some(format!("forbidden: {request}"));
    }
    let careless = request.uid.is_none() || request.version.is_none();
    (request.is_write() && request.verb != "create" && careless).then(|| {
        format!(
            "neither sees nor says what it changes (uid {:?}): {request}",
            request.uid
        )
    })
}

fn more<'a>(
    golden: &'a BTreeMap<String, usize>,
    played: &'a BTreeMap<String, usize>,
    what: &'a str,
) -> impl Iterator<Item = String> + 'a {
    played.iter().filter_map(move |(name, count)| {
        let expected = golden.get(name).copied().unwrap_or_default();
        (*count > expected).then(|| format!("{name} {what} {count} times, not {expected}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(verb: &str, resource: &str, name: &str) -> Request {
        Request {
            verb: verb.into(),
            resource: resource.into(),
            name: name.into(),
            uid: Some("u".into()),
            version: Some("1".into()),
            sent: json!({}),
            status: Some(200),
            fault: None,
            refusal: None,
            effective: true,
        }
    }

    fn key(value: &str) -> Request {
        use base64::Engine as _;
        let value = base64::engine::general_purpose::STANDARD.encode(format!("atl_{value}"));
        Request {
            sent: json!({"data": {"primary": value}}),
            ..request("update", "secrets", "svc-keys")
        }
    }

    #[test]
    fn a_play_like_the_golden_one_is_right() {
        let trail = [request("create", "pods", "a"), key("x"), key("x")];
        assert_eq!(judge(&Account::of(&trail), &trail), Vec::<String>::new());
    }

    #[test]
    fn a_second_creation_and_a_second_key_are_wrong() {
        let golden = Account::of(&[request("create", "pods", "a"), key("x")]);
        let trail = [
            request("create", "pods", "a"),
            request("create", "pods", "a"),
            key("x"),
            key("y"),
        ];
        assert_eq!(judge(&golden, &trail).len(), 2);
    }

    #[test]
    fn a_write_that_changes_nothing_is_seen() {
        let idle = Request {
            effective: false,
            ..request("patch", "runs/status", "a")
        };
        let trail = [request("create", "pods", "a"), idle];
        assert_eq!(idle_writes(&trail).count(), 1);
    }

    #[test]
    fn a_placeholder_that_somebody_took_away_may_come_back() {
        let make = |name: &str| request("create", "pods", name);
        let golden = Account::of(&[make("cpu-slot-0"), make("a-1-0")]);
        let trail = [make("cpu-slot-0"), make("cpu-slot-0")];
        assert_eq!(judge(&golden, &trail), Vec::<String>::new());
        let ours = request("delete", "pods", "cpu-slot-0");
        let trail = [make("cpu-slot-0"), ours, make("cpu-slot-0")];
        assert_eq!(judge(&golden, &trail).len(), 1);
        assert_eq!(judge(&golden, &[make("a-1-0"), make("a-1-0")]).len(), 1);
    }

    #[test]
    fn a_creation_that_was_refused_does_not_count() {
        let refused = Request {
            status: Some(409),
            ..request("create", "pods", "a")
        };
        let golden = Account::of(&[request("create", "pods", "a")]);
        assert_eq!(
            judge(&golden, &[request("create", "pods", "a"), refused]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_write_without_uid_or_version_and_a_refusal_by_rights_are_wrong() {
        let blind = Request {
            version: None,
            ..request("delete", "pods", "a")
        };
        let forbidden = Request {
            status: Some(403),
            ..request("create", "pods", "a")
        };
        assert_eq!(judge(&Account::default(), &[blind, forbidden]).len(), 2);
    }
}
