//! Every secret value that ever was, in all the forms in which it could leak.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;
use tokio::task::JoinSet;

/// What is shorter stands anywhere by chance.
const SHORTEST: usize = 12;

/// Ends of the names of entries that are no secret: certificates, notes about them, a uid.
const PUBLIC: [&str; 3] = [".crt", "certificate.json", ".goes"];

/// A text that must not be found, and where it is from, which may be told.
#[derive(Clone, Debug)]
pub struct Needle {
    /// Where it is from.
    pub from: String,
    /// The text.
    pub text: String,
}

/// The values of all Secrets that there ever were, by value.
#[derive(Clone, Default)]
pub struct Values(Arc<Mutex<BTreeMap<Vec<u8>, String>>>);

impl Values {
    /// Learns a value.
    pub fn learn(&self, value: Vec<u8>, from: String) {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        values.entry(value).or_insert(from);
    }

    /// Learns an entry of a Secret, unless it is none: certificates are shown to whoever connects.
    fn learn_entry(&self, entry: &str, value: Vec<u8>, secret: &str) {
        if !PUBLIC.iter().any(|end| entry.ends_with(end)) {
            self.learn(value, format!("{entry} of Secret {secret}"));
        }
    }

    /// Learns what a Secret in JSON holds.
    pub fn learn_secret(&self, secret: &Value) {
        let name = secret.pointer("/metadata/name").and_then(Value::as_str);
        let data = secret.get("data").and_then(Value::as_object);
        for (entry, value) in data.into_iter().flatten() {
            let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
            bytes
                .into_iter()
                .for_each(|bytes| self.learn_entry(entry, bytes, name.unwrap_or_default()));
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All forms of all values.
    pub fn needles(&self) -> Vec<Needle> {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = values.iter().flat_map(|(value, from)| forms(value, from));
        all.filter(|needle| needle.text.len() >= SHORTEST).collect()
    }
}

fn forms(value: &[u8], from: &str) -> Vec<Needle> {
    let needle = |form: &str, text: String| Needle {
        from: format!("{from}, {form}"),
        text,
    };
    let hex = value.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        // Without the end, which depends on what comes after it.
        needle(
            "base64",
            STANDARD.encode(value).trim_end_matches('=').to_owned(),
        ),
        needle("hexadecimal", hex),
        needle(
            "list of bytes",
            format!("{value:?}").trim_matches(['[', ']']).to_owned(),
        ),
    ];
    if let Ok(text) = str::from_utf8(value) {
        let quoted = Value::from(text).to_string();
        let quoted = quoted.trim_matches('"').to_owned();
        if quoted != text {
            forms.push(needle("text in JSON", quoted));
        }
        forms.push(needle("text", text.to_owned()));
        // A key in PEM leaks by any of its lines.
        let lines = text
            .lines()
            .filter(|line| text.starts_with("-----") && !line.starts_with("-----"));
        forms.extend(lines.map(|line| needle("a line", line.to_owned())));
    }
    forms
}

/// Learns all Secrets of the cluster, for as long as what is returned lives.
pub fn learn_all(client: &Client, values: &Values) -> JoinSet<()> {
    let (api, values) = (Api::<Secret>::all(client.clone()), values.clone());
    let mut task = JoinSet::new();
    task.spawn(async move {
        let events = watcher(api, watcher::Config::default()).default_backoff();
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            if let Ok(Event::Apply(secret) | Event::InitApply(secret)) = event {
                let name = secret.name_any();
                for (entry, value) in secret.data.unwrap_or_default() {
                    values.learn_entry(&entry, value.0, &name);
                }
            }
        }
    });
    task
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_in_all_its_forms_and_a_short_one_in_none() {
        let values = Values::default();
        values.learn(b"atl_0123456789".to_vec(), "a key".into());
        let texts: Vec<_> = values
            .needles()
            .into_iter()
            .map(|needle| needle.text)
            .collect();
        assert!(texts.contains(&"atl_0123456789".to_owned()));
        assert!(texts.contains(&"YXRsXzAxMjM0NTY3ODk".to_owned()));
        assert!(texts.contains(&"61746c5f30313233343536373839".to_owned()));
        let short = Values::default();
        short.learn(b"a".to_vec(), "nothing".into());
        assert!(short.needles().is_empty());
    }
}
