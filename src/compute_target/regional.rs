//! Placeholders are made and removed by the identity of the location, not by the operator's own.

use atelier_api::Workspace;
use kube::ResourceExt as _;

use super::MANAGER;
use crate::ctx::Ctx;
use crate::kit::Error;
use crate::kit::access::Question;
use crate::kit::apply::{Decision, decide};
use crate::kit::child::{ChildKey, Desired};
use crate::kit::children::Seen;
use crate::region::identity_name;

/// The identity of a workspace's location, at work in its namespace.
pub struct Regional<'a> {
    ctx: &'a Ctx,
    location: &'a str,
    question: Question,
}

impl<'a> Regional<'a> {
    /// The identity of the location where the workspace is.
    pub fn new(ctx: &'a Ctx, workspace: &'a Workspace) -> Self {
        let location = workspace.spec.location.as_str();
        let question = Question {
            account_namespace: ctx.settings.namespace.clone(),
            account: identity_name(location),
            verb: "create",
            group: "",
            resource: "pods",
            subresource: "",
            namespace: workspace.namespace().unwrap_or_default(),
        };
        Self {
            ctx,
            location,
            question,
        }
    }

    /// Sees that a placeholder is there and right.
    pub async fn hold(&mut self, placeholder: &Desired) -> Result<(), Error> {
        let seen = self.ctx.children.get(&placeholder.key);
        // Most are: nothing has to be asked then.
        if decide(placeholder, seen.as_ref()) == Decision::Keep {
            return Ok(());
        }
        let client = self.client().await?;
        let applier = self.ctx.applier_by(client, MANAGER);
        applier.apply(placeholder).await.map(drop)
    }

    /// Removes exactly this placeholder.
    pub async fn release(&mut self, key: &ChildKey, seen: &Seen) -> Result<(), Error> {
        let client = self.client().await?;
        self.ctx.applier_by(client, MANAGER).delete(key, seen).await
    }

    /// Its binding was made a moment ago, or somebody has just deleted it and it is about to be put back.
    async fn client(&self) -> Result<&'a kube::Client, Error> {
        let (ctx, question) = (self.ctx, &self.question);
        match ctx.access.soon_allowed(&ctx.client, question).await? {
            true => ctx.regions.client(self.location),
            false => Err(Error::Stale(format!("the binding of {}", question.account))),
        }
    }
}
