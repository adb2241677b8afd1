//! What is granted, taken apart into atoms, and what nobody may be granted.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::audit::Asked;

/// The verb that lets its holder bind a role without having its rights.
const BIND: &str = "bind";
/// The verb that lets its holder act as somebody else: as regional identities only, by their names.
const IMPERSONATE: &str = "impersonate";
const REGIONAL: &str = "aml-";
/// The verb by which one becomes more.
const NEVER_VERBS: [&str; 1] = ["escalate"];
/// Resources that are a way around everything, whatever the verb.
const NEVER_RESOURCES: [&str; 3] = ["serviceaccounts/token", "nodes/proxy", "nodes"];
const READS: [&str; 3] = ["get", "list", "watch"];

/// The smallest thing that can be granted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Atom {
    /// The role that grants it.
    pub role: String,
    /// Where it is granted, if that is one place for good.
    pub place: Option<String>,
    /// Whether the same rule lets its holder list and watch the same names.
    pub listed_by_name: bool,
    /// To whom it is granted, if not to the operator: part of the name that it acts as.
    pub holder: Option<&'static str>,
    /// API group; empty for the core.
    pub group: String,
    /// Plural, with the subresource after a slash.
    pub resource: String,
    /// Verb.
    pub verb: String,
    /// The only name that it is for.
    pub name: Option<String>,
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            role,
            group,
            resource,
            verb,
            name,
            ..
        } = self;
        let dot = if group.is_empty() { "" } else { "." };
        let name = name
            .as_ref()
            .map_or(String::new(), |name| format!("/{name}"));
        write!(f, "{verb} {resource}{dot}{group}{name} by {role}")
    }
}

/// The atoms of a role. One that is bound to names counts once for each of them with `bind`, where each is another
/// right; else the names only narrow what is one right.
pub fn atoms(role: &str, rules: &[PolicyRule]) -> BTreeSet<Atom> {
    let mut atoms = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    let names = rule.resource_names.iter().flatten();
                    let names: Vec<_> = match verb == BIND {
                        true => names.map(|name| Some(name.clone())).collect(),
                        false => vec![None],
                    };
                    atoms.extend(names.into_iter().map(|name| {
                        Atom {
                            role: role.into(),
                            place: None,
                            listed_by_name: rule.resource_names.iter().flatten().next().is_some()
                                && READS
                                    .iter()
                                    .all(|read| rule.verbs.iter().any(|v| v == read)),
                            holder: None,
                            group: group.clone(),
                            resource: resource.clone(),
                            verb: verb.clone(),
                            name,
                        }
                    }));
                }
            }
        }
    }
    atoms
}

impl Atom {
    /// Whether a request that was let through made use of it.
    pub fn is_used_by(&self, asked: &Asked) -> bool {
        let let_through = asked.code != 403;
        if self.verb == IMPERSONATE {
            return let_through && asked.acts_as.contains(REGIONAL);
        }
        let by_holder = match self.holder {
            Some(holder) => asked.acts_as.contains(holder),
            None => asked.acts_as.is_empty(),
        };
        let in_place = self.place.as_ref().is_none_or(|p| *p == asked.namespace);
        if !by_holder || !in_place {
            return false;
        }
        if self.verb == BIND {
            let reference = |field: &str| asked.sent.pointer(&format!("/roleRef/{field}"));
            let binds = asked.verb == "create" && asked.resource == "rolebindings";
            return let_through
                && binds
                && reference("kind").is_some_and(|kind| kind == "ClusterRole")
                && reference("name").and_then(|name| name.as_str()) == self.name.as_deref();
        }
        // What may be listed and watched by its name may be got: that is asked for after a conflict only.
        let verb = match self.verb.as_str() {
            "get" if self.listed_by_name => "list",
            verb => verb,
        };
        let_through
            && (asked.verb == verb || asked.verb == self.verb)
            && asked.resource == self.resource
            && asked.group == self.group
    }
}

/// All that a role may never grant. `everywhere`: whether it is bound in the whole cluster.
pub fn dangers(role: &str, rules: &[PolicyRule], everywhere: bool) -> Vec<String> {
    let mut dangers = vec![];
    for rule in rules {
        let lists = [&rule.api_groups, &rule.resources];
        let mut words = lists
            .into_iter()
            .flatten()
            .flatten()
            .chain(&rule.verbs)
            .chain(rule.non_resource_urls.iter().flatten());
        if words.any(|word| word.contains('*')) {
            dangers.push(format!("{role} has a wildcard: {rule:?}"));
        }
        for verb in &rule.verbs {
            if NEVER_VERBS.contains(&verb.as_str()) {
                dangers.push(format!("{role} has {verb}"));
            }
            let names = || rule.resource_names.iter().flatten();
            let regional = !everywhere
                && rule
                    .resources
                    .iter()
                    .flatten()
                    .all(|r| r == "serviceaccounts")
                && names().next().is_some()
                && names().all(|name| name.starts_with(REGIONAL));
            if verb == IMPERSONATE && !regional {
                dangers.push(format!("{role} may act as others than regional identities"));
            }
            if verb == BIND && rule.resource_names.iter().flatten().next().is_none() {
                dangers.push(format!("{role} may bind any role"));
            }
        }
        for resource in rule.resources.iter().flatten() {
            if NEVER_RESOURCES.contains(&resource.as_str()) {
                dangers.push(format!("{role} has {resource}"));
            }
            if everywhere && resource == "secrets" {
                dangers.push(format!("{role} has secrets in the whole cluster"));
            }
            let writes = rule
                .verbs
                .iter()
                .any(|verb| !READS.contains(&verb.as_str()));
            // It may tell the API server whom to trust, in its own configuration.
            let names = rule.resource_names.iter().flatten();
            let own = names.eq(["atelier-operator"]) && !rule.verbs.iter().any(|v| v == "update");
            if writes && is_admission(resource) && !own {
                dangers.push(format!("{role} may change {resource}"));
            }
        }
    }
    dangers
}

fn is_admission(resource: &str) -> bool {
    resource.ends_with("webhookconfigurations") || resource.starts_with("validatingadmissionpolic")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rule(group: &str, resource: &str, verbs: &[&str], names: &[&str]) -> PolicyRule {
        let value = json!({"apiGroups": [group], "resources": [resource], "verbs": verbs, "resourceNames": names});
        serde_json::from_value(value).unwrap()
    }

    fn asked(verb: &str, resource: &str, code: i64, sent: Value) -> Asked {
        Asked {
            verb: verb.into(),
            group: "rbac.authorization.k8s.io".into(),
            resource: resource.into(),
            acts_as: String::new(),
            namespace: "n".into(),
            name: "a".into(),
            code,
            effective: true,
            sent,
            message: String::new(),
            at: String::new(),
        }
    }

    #[test]
    fn a_role_that_may_be_bound_is_used_when_it_is() {
        let rules = [rule(
            "rbac.authorization.k8s.io",
            "clusterroles",
            &["bind"],
            &["a", "b"],
        )];
        let atoms = atoms("r", &rules);
        assert_eq!(atoms.len(), 2);
        let sent = json!({"roleRef": {"kind": "ClusterRole", "name": "b"}});
        let request = asked("create", "rolebindings", 201, sent);
        let used: Vec<_> = atoms
            .iter()
            .filter(|atom| atom.is_used_by(&request))
            .collect();
        assert_eq!(used.len(), 1);
    }

    #[test]
    fn what_was_refused_was_not_used() {
        let atoms = atoms(
            "r",
            &[rule("rbac.authorization.k8s.io", "roles", &["create"], &[])],
        );
        let atom = atoms.first().unwrap();
        assert!(atom.is_used_by(&asked("create", "roles", 409, json!({}))));
        assert!(!atom.is_used_by(&asked("create", "roles", 403, json!({}))));
        assert!(!atom.is_used_by(&asked("update", "roles", 200, json!({}))));
    }

    #[test]
    fn what_is_done_as_a_regional_identity_is_done_by_its_rights() {
        let own = atoms("operator", &[rule("", "pods", &["create"], &[])]);
        let own = own.first().unwrap();
        let regional = Atom {
            holder: Some(REGIONAL),
            ..own.clone()
        };
        let request = Asked {
            group: String::new(),
            ..asked("create", "pods", 201, json!({}))
        };
        assert!(own.is_used_by(&request) && !regional.is_used_by(&request));
        let as_region = Asked {
            acts_as: "system:serviceaccount:a:aml-local".into(),
            ..request
        };
        assert!(!own.is_used_by(&as_region) && regional.is_used_by(&as_region));
    }

    #[test]
    fn what_nobody_may_have_is_found() {
        let admission = "admissionregistration.k8s.io";
        for (group, resource, verb, names, everywhere) in [
            ("", "*", "get", &[][..], false),
            ("", "pods", "impersonate", &["aml-a"], false),
            ("", "serviceaccounts", "impersonate", &[], false),
            ("", "serviceaccounts", "impersonate", &["aml-a", "b"], false),
            ("", "serviceaccounts", "impersonate", &["aml-a"], true),
            ("", "serviceaccounts/token", "create", &[], false),
            (
                "rbac.authorization.k8s.io",
                "clusterroles",
                "bind",
                &[],
                false,
            ),
            ("", "secrets", "get", &[], true),
            (
                admission,
                "validatingwebhookconfigurations",
                "update",
                &[],
                false,
            ),
            (
                admission,
                "mutatingwebhookconfigurations",
                "patch",
                &["another"],
                true,
            ),
        ] {
            let rules = [rule(group, resource, &[verb], names)];
            assert_eq!(
                dangers("r", &rules, everywhere).len(),
                1,
                "{resource} {verb}"
            );
        }
        assert!(dangers("r", &[rule("", "secrets", &["get"], &[])], false).is_empty());
        let regional = rule("", "serviceaccounts", &["impersonate"], &["aml-a"]);
        assert!(dangers("r", &[regional], false).is_empty());
    }
}
