//! What is to be said of a way from outside: pure.

use atelier_api::conditions::reasons;
use atelier_api::v1alpha1::{Expose, ParentRef};

use crate::kit::children::{ParentView, RouteView};

/// How far the way from outside is, for the condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// Whether it is there; `None` while that is not known.
    pub there: Option<bool>,
    /// Why it is as it is.
    pub reason: &'static str,
    /// The same as a sentence.
    pub message: String,
}

/// The cluster has no Gateway API.
pub fn missing() -> Exposure {
    Exposure {
        there: Some(false),
        reason: reasons::GATEWAY_API_MISSING,
        message: "the cluster has no Gateway API of version 1.4 or later (HTTPRoute and BackendTLSPolicy in v1): an \
                  administrator installs it; the service is reached inside the cluster as ever"
            .to_owned(),
    }
}

/// Nobody knows yet whom a Gateway is to trust.
pub fn untrusted() -> Exposure {
    Exposure {
        there: None,
        reason: reasons::NO_AUTHORITY,
        message: "the authority that signs the service's certificate is not known yet, and so a Gateway could not tell \
                  the service from another; the operator's log says what keeps it from being made"
            .to_owned(),
    }
}

/// A Gateway has said nothing yet; `None` while the route itself is not there.
pub fn pending(gateway: Option<&str>) -> Exposure {
    let message = match gateway {
        Some(gateway) => format!(
            "Gateway {gateway} has said nothing of the route: is there one of that name, and a controller for its class?"
        ),
        None => "the route is being made".to_owned(),
    };
    Exposure {
        there: None,
        reason: reasons::ROUTE_PENDING,
        message,
    }
}

/// What the Gateways come to, by what they say of the route. `own` is the service's namespace. A refusal counts for more
/// than silence.
pub fn verdict(expose: &Expose, own: &str, told: Option<&RouteView>) -> Exposure {
    let Some(route) = told else {
        return pending(None);
    };
    let mut silent = None;
    for asked in &expose.parent_refs {
        let name = name(asked, own);
        let of = route.parents.iter();
        // What was said of an earlier route says nothing of this one.
        let of = of.filter(|told| told.generation >= route.generation);
        let mut of = of.filter(|told| speaks_of(told, asked, own)).peekable();
        if of.peek().is_none() {
            silent.get_or_insert(name);
            continue;
        }
        if let Some(refusal) = of.find(|told| !told.accepted) {
            return Exposure {
                there: Some(false),
                reason: reasons::ROUTE_REFUSED,
                message: format!("Gateway {name} does not take the route: {}", refusal.why),
            };
        }
    }
    if let Some(name) = silent {
        return pending(Some(&name));
    }
    Exposure {
        there: Some(true),
        reason: reasons::ROUTE_ACCEPTED,
        message: format!("reached from outside as {}", expose.hostnames.join(", ")),
    }
}

fn name(asked: &ParentRef, own: &str) -> String {
    let namespace = asked.namespace.as_deref().unwrap_or(own);
    match &asked.section_name {
        Some(section) => format!("{namespace}/{} ({section})", asked.name),
        None => format!("{namespace}/{}", asked.name),
    }
}

fn speaks_of(told: &ParentView, asked: &ParentRef, own: &str) -> bool {
    let namespace = |name: &Option<String>| name.as_deref().unwrap_or(own).to_owned();
    told.name == asked.name
        && namespace(&told.namespace) == namespace(&asked.namespace)
        && told.section == asked.section_name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(section: Option<&str>) -> Expose {
        let to = |name: &str| ParentRef {
            name: name.into(),
            namespace: Some("infra".into()),
            section_name: section.map(Into::into),
        };
        Expose {
            parent_refs: vec![to("one"), to("two")],
            hostnames: vec!["model.example.com".into()],
        }
    }

    fn says(name: &str, accepted: bool) -> ParentView {
        ParentView {
            namespace: Some("infra".into()),
            name: name.into(),
            section: None,
            generation: 1,
            accepted,
            why: "not by me".into(),
        }
    }

    fn route(parents: Vec<ParentView>) -> RouteView {
        RouteView {
            generation: 1,
            parents,
        }
    }

    #[test]
    fn every_gateway_has_to_take_the_route_and_a_refusal_counts_for_more_than_silence() {
        let judged = |told: Vec<ParentView>| {
            let judged = verdict(&asked(None), "n", Some(&route(told)));
            (judged.there, judged.reason)
        };
        let taken = vec![says("one", true), says("two", true)];
        assert_eq!(judged(taken), (Some(true), reasons::ROUTE_ACCEPTED));
        for (told, there, reason) in [
            (vec![], None, reasons::ROUTE_PENDING),
            (vec![says("one", true)], None, reasons::ROUTE_PENDING),
            (
                vec![says("two", false)],
                Some(false),
                reasons::ROUTE_REFUSED,
            ),
            (
                vec![says("one", true), says("other", true)],
                None,
                reasons::ROUTE_PENDING,
            ),
        ] {
            assert_eq!(judged(told), (there, reason));
        }
        assert_eq!(verdict(&asked(None), "n", None).there, None);
        let mut earlier = says("one", false);
        earlier.generation = 0;
        let told = vec![earlier, says("two", true)];
        assert_eq!(judged(told), (None, reasons::ROUTE_PENDING));
        // Another listener of the same Gateway is another place.
        let elsewhere = route(vec![says("one", true), says("two", true)]);
        assert_eq!(
            verdict(&asked(Some("https")), "n", Some(&elsewhere)).there,
            None
        );
        let refused = route(vec![says("one", false)]);
        let refused = verdict(&asked(None), "n", Some(&refused));
        assert!(refused.message.contains("infra/one") && refused.message.contains("not by me"));
    }
}
