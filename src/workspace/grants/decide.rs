//! What becomes of a grant: pure.

use atelier_api::v1alpha1::GrantState;
use k8s_openapi::api::rbac::v1::{RoleBinding, Subject};
use kube::ResourceExt as _;

/// What there is of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// The object is not there, or is somebody else's.
    Absent,
    /// It gives the identity what the grant says.
    Gives,
    /// It is ours and gives the identity something else, or nothing.
    Altered,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// See that it is there and gives nobody else anything. Then it is granted.
    Give,
    /// It was taken away: take what is left of it away, too, and leave it so.
    Leave {
        /// Whether something is left.
        remains: bool,
    },
}

/// Decides. What is recorded as granted and is not there was taken away by somebody, and stays away until a resync.
pub fn decide(recorded: Option<GrantState>, live: Live, resync: bool) -> Step {
    match (recorded, live) {
        _ if resync => Step::Give,
        (None, _) | (Some(GrantState::Granted), Live::Gives) => Step::Give,
        (_, live) => Step::Leave {
            remains: live != Live::Absent,
        },
    }
}

/// What a binding that is there is to a grant. Labels, and whom else it gives the right, are drift and no revocation.
pub fn live(binding: Option<&RoleBinding>, wanted: &RoleBinding) -> Live {
    let Some(binding) = binding else {
        return Live::Absent;
    };
    let owner = |b: &RoleBinding| b.owner_references().first().map(|o| o.uid.clone());
    if owner(binding) != owner(wanted) || binding.metadata.deletion_timestamp.is_some() {
        return Live::Absent;
    }
    let has = |subject: &Subject| binding.subjects.iter().flatten().any(|s| s == subject);
    let whole = wanted.subjects.iter().flatten().all(has);
    match whole && binding.role_ref == wanted.role_ref {
        true => Live::Gives,
        false => Live::Altered,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const GRANTED: Option<GrantState> = Some(GrantState::Granted);
    const REVOKED: Option<GrantState> = Some(GrantState::Revoked);

    #[test]
    fn what_was_never_given_is_given_and_what_was_taken_away_stays_away() {
        assert_eq!(decide(None, Live::Absent, false), Step::Give);
        assert_eq!(decide(None, Live::Altered, false), Step::Give);
        assert_eq!(decide(GRANTED, Live::Gives, false), Step::Give);
        let gone = Step::Leave { remains: false };
        assert_eq!(decide(GRANTED, Live::Absent, false), gone);
        assert_eq!(decide(REVOKED, Live::Absent, false), gone);
    }

    #[test]
    fn who_edits_a_grant_revokes_it_and_who_puts_it_back_does_not_restore_it() {
        let rest = Step::Leave { remains: true };
        assert_eq!(decide(GRANTED, Live::Altered, false), rest);
        assert_eq!(decide(REVOKED, Live::Altered, false), rest);
        assert_eq!(decide(REVOKED, Live::Gives, false), rest);
    }

    #[test]
    fn a_resync_gives_everything_back() {
        for recorded in [None, GRANTED, REVOKED] {
            for live in [Live::Absent, Live::Gives, Live::Altered] {
                assert_eq!(decide(recorded, live, true), Step::Give);
            }
        }
    }

    fn binding(edit: impl FnOnce(&mut Value)) -> RoleBinding {
        let mut binding = json!({
            "metadata": {"name": "team-identity", "ownerReferences": [
                {"apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace", "name": "team", "uid": "u"}]},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "atelier-identity"},
            "subjects": [{"kind": "ServiceAccount", "name": "team", "namespace": "n"}],
        });
        edit(&mut binding);
        serde_json::from_value(binding).expect("a binding")
    }

    #[test]
    fn another_subject_more_is_no_revocation_and_one_less_is() {
        let wanted = binding(|_| {});
        let also =
            json!({"kind": "User", "name": "mallory", "apiGroup": "rbac.authorization.k8s.io"});
        let more = binding(|b| b["subjects"].as_array_mut().expect("a list").push(also));
        assert_eq!(live(Some(&more), &wanted), Live::Gives);
        let labelled = binding(|b| b["metadata"]["labels"] = json!({"a": "b"}));
        assert_eq!(live(Some(&labelled), &wanted), Live::Gives);
        let less = binding(|b| b["subjects"] = json!([]));
        assert_eq!(live(Some(&less), &wanted), Live::Altered);
        let weaker = binding(|b| b["roleRef"]["name"] = json!("view"));
        assert_eq!(live(Some(&weaker), &wanted), Live::Altered);
    }

    #[test]
    fn somebody_elses_object_of_that_name_is_not_the_grant() {
        let foreign = binding(|b| b["metadata"]["ownerReferences"] = json!([]));
        assert_eq!(live(Some(&foreign), &binding(|_| {})), Live::Absent);
        assert_eq!(live(None, &binding(|_| {})), Live::Absent);
    }
}
