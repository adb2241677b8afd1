//! Which regional identities there are to be: pure.

use std::collections::{BTreeMap, BTreeSet};

use atelier_api::labels;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;

use super::identity_name;

/// Says of a ServiceAccount that it is a regional identity, and of which location.
pub const LOCATION: &str = "atelier.dev/location";

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make it.
    Make(ServiceAccount),
    /// Put this in its place, on exactly its version.
    Mend(ServiceAccount),
    /// Remove exactly this one: no workspace is there any more.
    Remove(ServiceAccount),
}

/// Decides by the locations that have a workspace and the ServiceAccounts of our namespace.
pub fn decide(
    namespace: &str,
    locations: &BTreeSet<String>,
    accounts: &[ServiceAccount],
) -> Vec<Step> {
    let by_name: BTreeMap<_, _> = accounts.iter().map(|a| (a.name_any(), a)).collect();
    let wanted = locations
        .iter()
        .map(|location| account(namespace, location));
    let kept = wanted.filter_map(|wanted| match by_name.get(&wanted.name_any()) {
        None => Some(Step::Make(wanted)),
        Some(live) if live.metadata.deletion_timestamp.is_some() => None,
        Some(live) => mended(live, &wanted).map(Step::Mend),
    });
    let surplus = accounts.iter().filter(|account| {
        let location = account.labels().get(LOCATION);
        location.is_some_and(|l| !locations.contains(l) && account.name_any() == identity_name(l))
            && account.metadata.deletion_timestamp.is_none()
    });
    kept.chain(surplus.cloned().map(Step::Remove)).collect()
}

/// The identity of a location. It is mounted nowhere.
fn account(namespace: &str, location: &str) -> ServiceAccount {
    let pairs = [
        (labels::NAME, "atelier"),
        (labels::PART_OF, "atelier"),
        (labels::MANAGED_BY, labels::MANAGER),
        (labels::COMPONENT, "region"),
        (LOCATION, location),
    ];
    ServiceAccount {
        metadata: ObjectMeta {
            name: Some(identity_name(location)),
            namespace: Some(namespace.into()),
            labels: Some(pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()),
            ..ObjectMeta::default()
        },
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// What others noted on it stays; what it must not have goes. `None` if it is right.
fn mended(live: &ServiceAccount, wanted: &ServiceAccount) -> Option<ServiceAccount> {
    let mut mended = live.clone();
    let ours = wanted.labels().clone();
    mended.metadata.labels.get_or_insert_default().extend(ours);
    mended.automount_service_account_token = wanted.automount_service_account_token;
    mended.secrets = None;
    mended.image_pull_secrets = None;
    (mended != *live).then_some(mended)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locations(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn each_location_with_a_workspace_has_one_and_no_other_has() {
        let steps = decide("a", &locations(&["here", "there"]), &[account("a", "gone")]);
        let made = [account("a", "here"), account("a", "there")].map(Step::Make);
        assert_eq!(steps[..2], made);
        assert_eq!(steps[2..], [Step::Remove(account("a", "gone"))]);
        let settled = [account("a", "here")];
        assert_eq!(decide("a", &locations(&["here"]), &settled), []);
    }

    #[test]
    fn what_others_did_to_it_is_mended_and_what_they_noted_stays() {
        let mut live = account("a", "here");
        live.automount_service_account_token = Some(true);
        live.labels_mut().insert("theirs".into(), "x".into());
        live.labels_mut().remove(LOCATION);
        let steps = decide("a", &locations(&["here"]), &[live]);
        let [Step::Mend(mended)] = steps.as_slice() else {
            panic!("{steps:?}");
        };
        assert_eq!(mended.automount_service_account_token, Some(false));
        assert_eq!(
            mended.labels().get(LOCATION).map(String::as_str),
            Some("here")
        );
        assert!(mended.labels().contains_key("theirs"));
    }

    #[test]
    fn a_serviceaccount_that_only_says_so_is_not_ours_to_remove() {
        let mut foreign = account("a", "gone");
        foreign.metadata.name = Some("theirs".into());
        assert_eq!(decide("a", &locations(&[]), &[foreign]), []);
    }
}
