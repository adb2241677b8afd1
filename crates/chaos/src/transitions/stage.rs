//! A namespace with one object under test, and what it needs beside it.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::ApiResource;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::standing::{Standing, standing};
use super::subject::{HERE, Subject};
use crate::user::User;

/// What the API server says to a change.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is taken.
    Accepted,
    /// Such a value may be there from the beginning, but not come later.
    Fixed(String),
    /// Such a value may never be there.
    Invalid,
}

/// A namespace with one object under test.
pub struct Stage<'a> {
    /// Which kind, and what else is there.
    pub subject: &'a Subject,
    /// Who acts there.
    pub user: User,
}

impl<'a> Stage<'a> {
    /// Makes the namespace, and everything in it but the object under test and what comes after it.
    pub async fn open(
        subject: &'a Subject,
        client: Client,
        namespace: &str,
    ) -> anyhow::Result<Self> {
        let user = User::in_new_namespace(client, namespace).await?;
        for secret in &subject.secrets {
            user.create::<Secret>(serde_json::to_value(secret)?).await?;
        }
        let this = Self { subject, user };
        for manifest in &subject.before {
            this.make(manifest).await?;
        }
        for manifest in &subject.before {
            this.settle(manifest).await?;
        }
        Ok(this)
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let kinds = crate::transitions::kinds();
        let of = kinds.iter().find(|one| one.kind == kind);
        let resource: &ApiResource = of.unwrap_or(&kinds[0]);
        Api::namespaced_with(self.user.client.clone(), &self.user.namespace, resource)
    }

    /// The API of the object under test.
    pub fn own(&self) -> Api<DynamicObject> {
        self.api(self.subject.kind)
    }

    /// A manifest of the object under test, in this namespace.
    fn manifest(&self, name: &str, spec: &Value) -> anyhow::Result<DynamicObject> {
        let manifest = json!({"apiVersion": "atelier.dev/v1alpha1", "kind": self.subject.kind,
            "metadata": {"name": name}, "spec": self.localized(spec)});
        Ok(serde_json::from_value(manifest)?)
    }

    /// The value with this namespace's name in it.
    pub fn localized(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => json!(text.replace(HERE, &self.user.namespace)),
            Value::Array(items) => items.iter().map(|item| self.localized(item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), self.localized(value)))
                .collect(),
            other => other.clone(),
        }
    }

    async fn make(&self, manifest: &Value) -> anyhow::Result<()> {
        let object: DynamicObject = serde_json::from_value(manifest.clone())?;
        let api = self.api(manifest["kind"].as_str().unwrap_or_default());
        api.create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("create {}", object.name_any()))?;
        Ok(())
    }

    /// Creates the object under test and what comes after it, and waits until all stands still.
    pub async fn begin(&self, spec: &Value) -> anyhow::Result<Standing> {
        let object = self.manifest(self.subject.name, spec)?;
        self.own()
            .create(&PostParams::default(), &object)
            .await
            .context("create the object under test")?;
        // A target that cannot have a machine never lets a run begin: its own state is what counts.
        let stands = if self.subject.after.is_empty() {
            None
        } else {
            Some(self.stand().await?)
        };
        for manifest in &self.subject.after {
            let (kind, name) = of(manifest);
            if self.api(kind).get_opt(name).await?.is_none() {
                self.make(manifest).await?;
            }
        }
        match stands {
            Some(bad @ Standing::Bad(_)) => Ok(bad),
            _ => self.stand().await,
        }
    }

    /// Deletes the object under test and makes another with this `spec` under the same name.
    pub async fn begin_again(&self, spec: &Value) -> anyhow::Result<Standing> {
        if self.subject.renew {
            self.clear_after().await?;
        }
        self.remove(self.subject.kind, self.subject.name).await?;
        self.begin(spec).await
    }

    /// Deletes what comes after the object under test.
    pub async fn clear_after(&self) -> anyhow::Result<()> {
        for manifest in &self.subject.after {
            let (kind, name) = of(manifest);
            self.remove(kind, name).await?;
        }
        Ok(())
    }

    /// Makes what comes after the object under test, again.
    pub async fn renew_after(&self) -> anyhow::Result<()> {
        self.clear_after().await?;
        for manifest in &self.subject.after {
            self.make(manifest).await?;
        }
        Ok(())
    }

    async fn remove(&self, kind: &str, name: &str) -> anyhow::Result<()> {
        let api = self.api(kind);
        let Some(object) = api.get_opt(name).await? else {
            return Ok(());
        };
        api.delete(name, &DeleteParams::background()).await?;
        let sentence = format!("{kind} {name} is gone");
        self.user
            .until(&sentence, async || {
                match api.get_opt(name).await.map_err(|e| e.to_string())? {
                    None => Ok(()),
                    Some(_) => Err("it is there".to_owned()),
                }
            })
            .await?;
        // The laboratory's machines take pods away by their names: one that comes too soon would go with its predecessor.
        let (pods, uid) = (self.user.api::<Pod>(), object.uid());
        let sentence = format!("the pods of {kind} {name} are gone");
        self.user
            .until(&sentence, async || {
                let all = pods.list(&ListParams::default()).await;
                let all = all.map_err(|e| e.to_string())?;
                let of_it = |pod: &&Pod| {
                    pod.owner_references()
                        .iter()
                        .any(|o| Some(&o.uid) == uid.as_ref())
                };
                match all.iter().find(of_it) {
                    None => Ok(()),
                    Some(pod) => Err(format!("{} is there", pod.name_any())),
                }
            })
            .await
    }

    /// Asks the API server what it would say to another `spec`.
    pub async fn ask(&self, spec: &Value) -> anyhow::Result<Answer> {
        let dry = PostParams {
            dry_run: true,
            field_manager: None,
        };
        let Err(refusal) = self.send(spec, &dry).await? else {
            return Ok(Answer::Accepted);
        };
        // What may stand in a new object, but not come to an old one, is fixed.
        let twin = self.manifest("twin", spec)?;
        match self.own().create(&dry, &twin).await {
            Ok(_) => Ok(Answer::Fixed(refusal)),
            Err(kube::Error::Api(_)) => Ok(Answer::Invalid),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes the whole `spec`. The inner result is what the API server says.
    pub async fn change(&self, spec: &Value) -> anyhow::Result<Result<(), String>> {
        self.send(spec, &PostParams::default()).await
    }

    async fn send(&self, spec: &Value, how: &PostParams) -> anyhow::Result<Result<(), String>> {
        loop {
            let mut live = self.own().get(self.subject.name).await?;
            live.data["spec"] = self.localized(spec);
            match self.own().replace(self.subject.name, how, &live).await {
                Ok(_) => return Ok(Ok(())),
                // The operator wrote a status meanwhile.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(kube::Error::Api(status)) => return Ok(Err(status.message.clone())),
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn settle(&self, manifest: &Value) -> anyhow::Result<()> {
        let (kind, name) = of(manifest);
        match standing(&self.api(kind), name).await? {
            Standing::Good => Ok(()),
            other => anyhow::bail!("{kind} {name}: {other:?}"),
        }
    }

    /// Waits until the object under test, and what comes after it, stands still. The worst of them counts.
    pub async fn stand(&self) -> anyhow::Result<Standing> {
        let own = standing(&self.own(), self.subject.name).await?;
        if !matches!(own, Standing::Good) {
            return Ok(own);
        }
        for manifest in &self.subject.after {
            let (kind, name) = of(manifest);
            if self.api(kind).get_opt(name).await?.is_none() {
                continue;
            }
            let stands = standing(&self.api(kind), name).await?;
            if !matches!(stands, Standing::Good) {
                return Ok(stands.of(kind, name));
            }
        }
        Ok(Standing::Good)
    }
}

/// Kind and name.
fn of(manifest: &Value) -> (&str, &str) {
    let text = |pointer| manifest.pointer(pointer).and_then(Value::as_str);
    (
        text("/kind").unwrap_or_default(),
        text("/metadata/name").unwrap_or_default(),
    )
}
