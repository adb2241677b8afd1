//! What others may do, asked of the API server.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::error::Error;

/// How long a yes is relied on.
const KEPT: Duration = Duration::from_secs(10);
/// How many answers are kept at most: then all are asked for again.
const MOST: usize = 10_000;
/// A right that was just given is in force some milliseconds after it was written: how long that is waited for, and
/// how often it is asked for meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);
const FIRST: Duration = Duration::from_millis(10);

/// A ServiceAccount that wants to do something with the resources of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// The ServiceAccount's namespace.
    pub account_namespace: String,
    /// The ServiceAccount's name.
    pub account: String,
    /// What it wants to do: `create`, `get`, ….
    pub verb: &'static str,
    /// The API group of what it wants to do it with; empty for the core group.
    pub group: &'static str,
    /// With what: `pods`, ….
    pub resource: &'static str,
    /// With which part of that; empty for all of it.
    pub subresource: &'static str,
    /// Where.
    pub namespace: String,
}

impl Question {
    fn review(&self) -> SubjectAccessReview {
        let everybody = "system:authenticated".to_owned();
        let some = |text: &'static str| (!text.is_empty()).then(|| text.to_owned());
        let accounts = "system:serviceaccounts".to_owned();
        let neighbours = format!("{accounts}:{}", self.account_namespace);
        SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user(&self.account_namespace, &self.account)),
                groups: Some(vec![accounts, neighbours, everybody]),
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(self.namespace.clone()),
                    verb: Some(self.verb.into()),
                    group: some(self.group),
                    resource: Some(self.resource.into()),
                    subresource: some(self.subresource),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        }
    }
}

/// The name by which the API server knows a ServiceAccount.
pub fn user(namespace: &str, account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}

/// Asks, and keeps each yes for ten seconds. A no is never kept: the next look asks again.
#[derive(Default)]
pub struct Access(Mutex<HashMap<Question, Instant>>);

impl Access {
    /// Whether it may.
    pub async fn allowed(&self, client: &Client, question: &Question) -> Result<bool, Error> {
        if self.is_known(question, Instant::now()) {
            return Ok(true);
        }
        let asked = Instant::now();
        let api: Api<SubjectAccessReview> = Api::all(client.clone());
        let what = || format!("ask whether {} may {}", question.account, question.verb);
        let review = question.review();
        let answer = api.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(Error::api(what()))?;
        let allowed = answer.status.is_some_and(|status| status.allowed);
        if allowed {
            self.learn(question.clone(), asked);
        }
        Ok(allowed)
    }

    /// Whether it may, where it was given the right a moment ago.
    pub async fn soon_allowed(&self, client: &Client, question: &Question) -> Result<bool, Error> {
        let (begun, mut pause) = (Instant::now(), FIRST);
        loop {
            if self.allowed(client, question).await? {
                return Ok(true);
            }
            if begun.elapsed() >= PATIENCE {
                return Ok(false);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// Forgets what is known of a namespace: somebody has just changed it.
    pub fn forget(&self, namespace: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|question, _| question.namespace != namespace);
    }

    fn is_known(&self, question: &Question, now: Instant) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = known.get(question);
        asked.is_some_and(|asked| now.saturating_duration_since(*asked) < KEPT)
    }

    fn learn(&self, question: Question, asked: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(question, asked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(namespace: &str) -> Question {
        Question {
            account_namespace: "n".into(),
            account: "team".into(),
            verb: "create",
            group: "",
            resource: "pods",
            subresource: "",
            namespace: namespace.into(),
        }
    }

    #[test]
    fn a_yes_is_relied_on_for_ten_seconds_and_in_its_own_namespace() {
        let (access, asked) = (Access::default(), Instant::now());
        access.learn(question("n"), asked);
        assert!(access.is_known(&question("n"), asked + Duration::from_millis(9_900)));
        assert!(!access.is_known(&question("n"), asked + KEPT));
        assert!(!access.is_known(&question("other"), asked));
    }

    #[test]
    fn a_change_is_not_overlooked_because_of_an_older_answer() {
        let (access, asked) = (Access::default(), Instant::now());
        access.learn(question("n"), asked);
        access.learn(question("other"), asked);
        access.forget("n");
        assert!(!access.is_known(&question("n"), asked));
        assert!(access.is_known(&question("other"), asked));
    }
}
