//! Who may do what, by asking the API server.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::cluster::{Cluster, OPERATOR, SYSTEM};

/// Somebody whom the API server knows.
#[derive(Clone, Debug)]
pub struct Subject {
    /// User name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
}

impl Subject {
    /// A user who is in no group but that of all users.
    pub fn user(name: &str) -> Self {
        Self::member(name, &[])
    }

    /// A user who is in some groups.
    pub fn member(name: &str, groups: &[&str]) -> Self {
        let groups = groups
            .iter()
            .chain(&["system:authenticated"])
            .map(|g| (*g).to_owned())
            .collect();
        Self {
            name: name.into(),
            groups,
        }
    }

    /// A ServiceAccount.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let all = format!("system:serviceaccounts:{namespace}");
        Self::member(
            &format!("system:serviceaccount:{namespace}:{name}"),
            &["system:serviceaccounts", &all],
        )
    }

    /// The operator.
    pub fn operator() -> Self {
        let subject = Self::service_account(SYSTEM, "atelier-operator");
        assert_eq!(subject.name, OPERATOR);
        subject
    }

    /// A client that acts as the subject.
    pub fn client(&self, cluster: &Cluster) -> Client {
        cluster.as_user(
            &self.name,
            &self.groups.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    }

    /// Whether the API server would let the subject do something. `resource` is `group/plural` or `group/plural/sub`,
    /// with nothing before the first slash for the core group; an empty namespace means all of them.
    pub async fn can(
        &self,
        cluster: &Cluster,
        verb: &str,
        resource: &str,
        name: &str,
        namespace: &str,
    ) -> bool {
        let given = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        let (group, plural) = resource.split_once('/').unwrap();
        let (plural, sub) = plural.split_once('/').unwrap_or((plural, ""));
        let attributes = ResourceAttributes {
            verb: given(verb),
            group: given(group),
            resource: given(plural),
            subresource: given(sub),
            name: given(name),
            namespace: given(namespace),
            ..ResourceAttributes::default()
        };
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(self.name.clone()),
                groups: Some(self.groups.clone()),
                resource_attributes: Some(attributes),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(cluster.client.clone());
        let answer = api.create(&PostParams::default(), &review).await.unwrap();
        answer.status.unwrap().allowed
    }
}
