//! What is granted, taken apart into atoms, and what nobody may be granted.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::audit::Asked;

/// The verb that lets its holder bind a role without having its rights.
const BIND: &str = "bind";
/// Verbs by which one becomes somebody else, or more.
const NEVER_VERBS: [&str; 2] = ["escalate", "impersonate"];
/// Resources that are a way around everything, whatever the verb.
const NEVER_RESOURCES: [&str; 3] = ["serviceaccounts/token", "nodes/proxy", "nodes"];
const READS: [&str; 3] = ["get", "list", "watch"];

/// The smallest thing that can be granted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Atom {
    /// The role that grants it.
    pub role: String,
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
                    atoms.extend(names.into_iter().map(|name| Atom {
                        role: role.into(),
                        group: group.clone(),
                        resource: resource.clone(),
                        verb: verb.clone(),
                        name,
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
        if self.verb == BIND {
            let reference = |field: &str| asked.sent.pointer(&format!("/roleRef/{field}"));
            let binds = asked.verb == "create" && asked.resource == "rolebindings";
            return let_through
                && binds
                && reference("kind").is_some_and(|kind| kind == "ClusterRole")
                && reference("name").and_then(|name| name.as_str()) == self.name.as_deref();
        }
        let_through
            && asked.verb == self.verb
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
            if writes && is_admission(resource) {
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
    fn what_nobody_may_have_is_found() {
        let admission = "admissionregistration.k8s.io";
        for (group, resource, verb, names, everywhere) in [
            ("", "*", "get", &[][..], false),
            ("", "pods", "impersonate", &[], false),
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
        ] {
            let rules = [rule(group, resource, &[verb], names)];
            assert_eq!(
                dangers("r", &rules, everywhere).len(),
                1,
                "{resource} {verb}"
            );
        }
        assert!(dangers("r", &[rule("", "secrets", &["get"], &[])], false).is_empty());
    }
}
