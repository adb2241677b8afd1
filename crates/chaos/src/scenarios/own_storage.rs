//! The service's own storage, on the chart's server, which the lab plays: its access key, the key that wraps rings, and the
//! ring, which is made once the server has said that it holds nothing. Somebody takes the access key away. In the end the
//! server is gone and everything forgotten: what needs no server is made anew, and a ring is not.

use std::collections::BTreeMap;
use std::sync::Mutex;

use atelier_pki::{Issuer, Leaf, Periods, Purpose};
use atelier_testkit::StorageServer;
use atelier_testkit::cluster::SYSTEM;
use atelier_testkit::wait::check;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use super::first::{forget_keys, kek};
use crate::disturber::{OWN_RING, OWN_STORAGE};
use crate::operator::BUCKET;
use crate::user::User;
use crate::{Scenario, Stage};

/// The Secret of the authority that signs the certificate of the chart's server.
const AUTHORITY: &str = "atelier-ca";
/// What is found of a storage that works.
const WORKS: &str = "Probed";

/// See above.
pub struct OwnStorage;

impl Scenario for OwnStorage {
    fn name(&self) -> &'static str {
        "own-storage"
    }

    fn has_own_storage(&self) -> bool {
        true
    }

    fn play<'a>(&'a self, stage: &'a Stage<'a>) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        play(stage).boxed_local()
    }
}

/// Access keys, by id.
type AccessKeys = BTreeMap<String, Vec<u8>>;

fn secrets(user: &User) -> Api<Secret> {
    Api::namespaced(user.client.clone(), SYSTEM)
}

/// Waits until there is another access key than these.
async fn access_key(user: &User, before: &AccessKeys) -> anyhow::Result<AccessKeys> {
    user.until("there is another access key", async || {
        let secret = secrets(user).get_opt(OWN_STORAGE).await;
        let secret = secret.map_err(|e| e.to_string())?.ok_or("no Secret")?;
        let entries = secret.data.unwrap_or_default().into_iter();
        let keys: AccessKeys = entries.map(|(id, ByteString(key))| (id, key)).collect();
        let known = keys.keys().any(|id| before.contains_key(id));
        check(keys.len() == 1 && !known, keys.keys())?;
        Ok(keys)
    })
    .await
}

/// Waits until the operator has found that the storage works, or that it does not.
async fn it_works(stage: &Stage<'_>, works: bool) -> anyhow::Result<()> {
    let sentence = format!("the storage works: {works}");
    let user = &stage.user;
    user.until(&sentence, async || {
        let found = stage.operator.own_storage_is().await;
        let found = found.ok_or("it was not tried")?;
        check((found == WORKS) == works, found)
    })
    .await
}

/// The service's ring, wrapped, if there is one.
async fn ring(user: &User) -> Result<Option<Vec<u8>>, String> {
    let all = secrets(user).list(&ListParams::default()).await;
    let all = all.map_err(|e| e.to_string())?.into_iter();
    let mut rings = all.filter_map(|secret| secret.data?.remove(OWN_RING));
    Ok(rings.next().map(|ring| ring.0))
}

/// The key that wraps the rings, and the service's ring. Both are made once.
async fn keys_are(user: &User, made: &Mutex<Option<[Vec<u8>; 2]>>) -> anyhow::Result<()> {
    let found = user
        .until("there are keys", async || {
            let kek = kek(user).await?.ok_or("none that wraps others")?;
            Ok([kek, ring(user).await?.ok_or("no ring")?])
        })
        .await?;
    let mut made = made.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
    let first = made.get_or_insert_with(|| found.clone());
    anyhow::ensure!(*first == found, "the keys were made anew");
    Ok(())
}

/// All that is kept for storages.
async fn forget(user: &User) -> anyhow::Result<()> {
    forget_keys(user).await?;
    let gone = DeleteParams::default();
    secrets(user).delete(OWN_STORAGE, &gone).await?;
    Ok(())
}

/// The server, which holds nothing and does not run yet. Its certificate is signed as that of the chart's is.
async fn server(stage: &Stage<'_>) -> anyhow::Result<StorageServer> {
    let address = stage.operator.own_storage();
    let authority = secrets(&stage.user).get(AUTHORITY).await?;
    let issuer = Issuer::of_secret(&authority, Periods::default())?;
    let leaf = Leaf {
        secret_name: OWN_STORAGE.to_owned(),
        common_name: OWN_STORAGE.to_owned(),
        dns_names: vec![],
        ips: vec![address.ip()],
        purpose: Purpose::Server,
    };
    let issued = issuer.issue(&leaf, Timestamp::now())?;
    let [certificate, key] =
        ["tls.crt", "tls.key"].map(|part| String::from_utf8_lossy(&issued[part]));
    Ok(StorageServer::new(address, BUCKET, &certificate, &key))
}

async fn play(stage: &Stage<'_>) -> anyhow::Result<()> {
    let user = &stage.user;
    let made = Mutex::default();
    let (mut server, first) = stage
        .step(
            "an installation that has kept nothing gets a server",
            async {
                let mut server = server(stage).await?;
                forget(user).await?;
                let key = access_key(user, &AccessKeys::new()).await?;
                server.let_in(&key);
                server.run();
                keys_are(user, &made).await?;
                it_works(stage, true).await?;
                Ok((server, key))
            },
        )
        .await?;
    stage.settled("made").await?;
    let last = stage
        .step("the access key is taken out, and its Secret away", async {
            let (nothing, gone) = (json!({"data": null}), DeleteParams::default());
            let params = PatchParams::default();
            secrets(user)
                .patch(OWN_STORAGE, &params, &Patch::Merge(nothing))
                .await?;
            let second = access_key(user, &first).await?;
            secrets(user).delete(OWN_STORAGE, &gone).await?;
            let third = access_key(user, &second).await?;
            // The server does not know it yet.
            it_works(stage, false).await?;
            server.kill();
            server.let_in(&third);
            server.run();
            it_works(stage, true).await?;
            keys_are(user, &made).await?;
            Ok(third)
        })
        .await?;
    stage.settled("mended").await?;
    stage
        .step("the server goes, and everything is forgotten", async {
            drop(server);
            forget(user).await?;
            access_key(user, &last).await?;
            user.until("there is a key that wraps rings", async || {
                check(kek(user).await?.is_some(), "there is none")
            })
            .await?;
            let ring = ring(user).await.map_err(anyhow::Error::msg)?;
            anyhow::ensure!(ring.is_none(), "a ring was made, and no store was asked");
            Ok(())
        })
        .await?;
    stage.settled("end").await
}
