//! The keys that wrap rings: the installation's own, and those of teams.

use atelier_api::Workspace;
use atelier_api::conditions::reasons;
use atelier_api::v1alpha1::SecretRef;
use atelier_storage::keys::{Kek, KeyRing};
use atelier_storage::{Entropy as _, SystemEntropy};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use kube::ResourceExt as _;
use zeroize::Zeroizing;

use super::{DIGITS, RINGS, TRIES};
use crate::ctx::Ctx;
use crate::workspace::storage::connect::{Values, read};
use crate::workspace::storage::stored::Stored;
use crate::workspace::storage::{Problem, Trouble};

/// The Secret of the installation's own key-encryption key, and its entry.
const SERVICE_KEY: &str = "atelier-storage-key";
/// The entry of a key-encryption key, the installation's or a team's.
const KEY: &str = "key";
/// The key that was in a team's Secret before.
const PREVIOUS: &str = "previous";

/// The key that is to wrap a ring, and others that may still do so.
pub struct Keks {
    /// The one.
    pub wanted: Kek,
    /// The others.
    pub former: Vec<Kek>,
}

/// The key that the spec wants. The others are fetched only if it is not the one that wraps what is kept.
pub async fn keks(workspace: &Workspace, kept: Option<&[u8]>, ctx: &Ctx) -> Result<Keks, Trouble> {
    let namespace = workspace.namespace().unwrap_or_default();
    let wish = workspace.spec.encryption.key_ref.as_ref();
    let mut former = vec![];
    let wanted = match wish {
        Some(SecretRef { name }) => {
            let values = read(ctx, &namespace, name).await;
            let values = values.map_err(without_key)?;
            former.extend(kek(&values, name, PREVIOUS).ok());
            kek(&values, name, KEY)?
        }
        None => service_key(ctx).await?,
    };
    let wraps =
        |kek: &Kek| kept.is_none_or(|k| KeyRing::wrapped_by(k).is_ok_and(|w| w == kek.id()));
    if !wraps(&wanted) {
        let status = workspace.status.as_ref();
        let recorded = status.and_then(|s| s.storage.as_ref()?.key_ref.as_ref());
        if let Some(SecretRef { name }) = recorded.filter(|recorded| Some(*recorded) != wish)
            && let Ok(values) = read(ctx, &namespace, name).await
        {
            former.extend(kek(&values, name, KEY).ok());
        }
        if wish.is_some() {
            former.push(service_key(ctx).await?);
        }
    }
    Ok(Keks { wanted, former })
}

/// A credential that is missing is a key that is missing, here.
fn without_key(trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Problem(Problem { message, .. }) => {
            Problem::new(reasons::KEY_UNAVAILABLE, message).into()
        }
        untried => untried,
    }
}

/// A key-encryption key out of a Secret: 32 bytes, or base64 of them, since `storecredential` takes text.
fn kek(values: &Values, secret: &str, entry: &str) -> Result<Kek, Problem> {
    let lacks = |why: String| Problem::new(reasons::KEY_UNAVAILABLE, why);
    let value = values.get(entry);
    let value = value.ok_or_else(|| lacks(format!("Secret {secret} lacks {entry}")))?;
    if let Ok(kek) = Kek::from_bytes(value) {
        return Ok(kek);
    }
    let text = std::str::from_utf8(value).unwrap_or_default().trim();
    let decoded = STANDARD.decode(text).map(Zeroizing::new);
    let decoded = decoded.ok().and_then(|bytes| Kek::from_bytes(&bytes).ok());
    decoded.ok_or_else(|| {
        lacks(format!(
            "{entry} of Secret {secret} is not 32 bytes, nor base64 of them; make one by `openssl rand -base64 32`"
        ))
    })
}

/// The installation's own key, made when nothing was ever wrapped by one.
pub async fn service_key(ctx: &Ctx) -> Result<Kek, Trouble> {
    for _ in 0..TRIES {
        let stored = Stored::read(ctx, SERVICE_KEY).await?;
        if stored.exists() {
            let entries = stored.entries().into_iter();
            let values = entries.map(|(name, value)| (name, Zeroizing::new(value.0)));
            return Ok(kek(&values.collect(), SERVICE_KEY, KEY)?);
        }
        for digit in DIGITS.chars() {
            let rings = Stored::read(ctx, &format!("{RINGS}{digit}")).await?;
            if !rings.entries().is_empty() {
                let why = format!(
                    "the Secret {SERVICE_KEY} is gone from namespace {}, and the workspaces' keys are wrapped by it; put it back from a backup",
                    ctx.settings.namespace
                );
                return Err(Problem::new(reasons::KEY_UNAVAILABLE, why).into());
            }
        }
        let mut key = Zeroizing::new([0; 32]);
        let filled = SystemEntropy.fill(&mut *key);
        filled.map_err(|e| Problem::new(reasons::KEY_UNAVAILABLE, e.to_string()))?;
        let data = [(KEY.to_owned(), ByteString(key.to_vec()))].into();
        stored.put(ctx, data).await?;
    }
    let why = format!("the Secret {SERVICE_KEY} cannot be made");
    Err(Problem::new(reasons::KEY_UNAVAILABLE, why).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_or_base64_of_them() {
        let values =
            |value: &[u8]| Values::from([(KEY.to_owned(), Zeroizing::new(value.to_vec()))]);
        let raw = kek(&values(&[7; 32]), "s", KEY).expect("raw");
        let text = format!("{}\n", STANDARD.encode([7; 32]));
        let text = kek(&values(text.as_bytes()), "s", KEY).expect("base64");
        assert_eq!(raw.id(), text.id());
        for wrong in [&[7; 31][..], b"password", b""] {
            let problem = kek(&values(wrong), "s", KEY).expect_err("no key");
            assert_eq!(problem.reason, reasons::KEY_UNAVAILABLE);
        }
    }
}
