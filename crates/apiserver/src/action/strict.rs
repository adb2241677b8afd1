//! Reading a request body, and nothing it does not say.

use atelier_api::actions::{GROUP, Kinded, VERSION};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// Fields that Kubernetes' clients add to all they send.
const TYPES: [&str; 2] = ["apiVersion", "kind"];

/// Reads a body. A field that is not known is refused by its name: it would be ignored, and whoever wrote it believes
/// otherwise.
pub(super) fn read<Q: Kinded + DeserializeOwned + Serialize>(bytes: &[u8]) -> Result<Q, Refusal> {
    let fields = object(bytes)?;
    types(&fields, Q::KIND)?;
    let sent = Value::Object(fields);
    let read: Q = serde_json::from_value(sent.clone()).map_err(|e| unfit(Q::KIND, &e))?;
    // What was understood is written again; what is missing then was not. This finds fields at any depth, and beside
    // flattened ones, where serde's own check does not work.
    let known = serde_json::to_value(&read)
        .map_err(|e| Refusal::internal(format!("cannot write a {}: {e}", Q::KIND)))?;
    let mut unknown = Vec::new();
    compare(&sent, &known, "", &mut unknown);
    refuse_unknown(unknown)?;
    Ok(read)
}

/// Makes sure that a body says nothing: it is empty, or an object without fields of its own.
pub(super) fn nothing(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.trim_ascii().is_empty() {
        return Ok(());
    }
    let fields = object(bytes)?;
    refuse_unknown(
        fields
            .keys()
            .filter(|key| !TYPES.contains(&key.as_str()))
            .cloned()
            .collect(),
    )
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Refusal::bad_request("the request body is no JSON object")),
        Err(error) => Err(Refusal::bad_request(format!(
            "the request body is no JSON: line {}, column {}",
            error.line(),
            error.column()
        ))),
    }
}

fn types(fields: &Map<String, Value>, kind: &str) -> Result<(), Refusal> {
    let version = format!("{GROUP}/{VERSION}");
    for (field, wanted) in TYPES.into_iter().zip([version.as_str(), kind]) {
        if fields.get(field).is_some_and(|found| found != wanted) {
            return Err(Refusal::bad_request(format!(
                "{field} of the request body is not {wanted}"
            ))
            .cause(field, "FieldValueInvalid", format!("must be {wanted}")));
        }
    }
    Ok(())
}

/// What is wrong, without the value that was sent: it may be a credential.
fn unfit(kind: &str, error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let harmless = match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None if text.starts_with("missing field ") => text,
        None => "a value does not fit".into(),
    };
    Refusal::bad_request(format!("the request body is no {kind}: {harmless}"))
}

fn refuse_unknown(unknown: Vec<String>) -> Result<(), Refusal> {
    if unknown.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = unknown.iter().map(|name| format!("{name:?}")).collect();
    let mut refusal = Refusal::bad_request(format!("unknown field {}", names.join(", ")));
    for name in unknown {
        refusal = refusal.cause(name, "FieldValueNotSupported", "unknown field");
    }
    Err(refusal)
}

/// Names what was sent and not understood. What is empty may be left out again when it is written, and means nothing.
fn compare(sent: &Value, known: &Value, at: &str, unknown: &mut Vec<String>) {
    match (sent, known) {
        (Value::Object(sent), Value::Object(known)) => {
            for (key, value) in sent {
                let at = if at.is_empty() {
                    key.clone()
                } else {
                    format!("{at}.{key}")
                };
                match known.get(key) {
                    Some(known) => compare(value, known, &at, unknown),
                    None if at == "apiVersion" || at == "kind" || is_empty(value) => {}
                    None => unknown.push(at),
                }
            }
        }
        (Value::Array(sent), Value::Array(known)) => {
            for (i, (sent, known)) in sent.iter().zip(known).enumerate() {
                compare(sent, known, &format!("{at}[{i}]"), unknown);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use atelier_api::actions::{CredentialStorage, KeyRegeneration, KeyType};

    use super::*;

    fn refused<Q: Kinded + DeserializeOwned + Serialize>(body: &str) -> String {
        let refusal = read::<Q>(body.as_bytes()).err().unwrap();
        assert_eq!(refusal.code(), 400);
        refusal.to_string()
    }

    #[test]
    fn a_body_may_name_its_kind_and_need_not() {
        for types in [
            "",
            r#""apiVersion": "actions.atelier.dev/v1alpha1", "kind": "KeyRegeneration","#,
        ] {
            let body = format!(r#"{{{types} "keyType": "Primary"}}"#);
            let read: KeyRegeneration = read(body.as_bytes()).unwrap();
            assert_eq!(read.key_type, KeyType::Primary);
        }
    }

    #[test]
    fn a_body_of_another_kind_is_refused() {
        let other = r#"{"kind": "ServiceKeys", "keyType": "Primary"}"#;
        assert_eq!(
            refused::<KeyRegeneration>(other),
            "kind of the request body is not KeyRegeneration"
        );
        let other = r#"{"apiVersion": "v1", "keyType": "Primary"}"#;
        assert_eq!(
            refused::<KeyRegeneration>(other),
            "apiVersion of the request body is not actions.atelier.dev/v1alpha1"
        );
    }

    #[test]
    fn an_unknown_field_is_refused_by_its_name() {
        let body = r#"{"keyType": "Primary", "force": true, "other": {"a": 1}}"#;
        assert_eq!(
            refused::<KeyRegeneration>(body),
            r#"unknown field "force", "other""#
        );
        assert_eq!(
            nothing(br#"{"kind": "X", "a": 1}"#)
                .unwrap_err()
                .to_string(),
            r#"unknown field "a""#
        );
        let free = r#"{"name": "s3", "data": {"any": "name", "is": "fine"}}"#;
        assert!(read::<CredentialStorage>(free.as_bytes()).is_ok());
    }

    #[test]
    fn what_was_sent_is_not_repeated() {
        let body = r#"{"name": "s3", "data": {"password": ["hunter2", ", expected x"]}}"#;
        assert_eq!(
            refused::<CredentialStorage>(body),
            "the request body is no CredentialStorage: expected a string"
        );
        assert_eq!(
            refused::<KeyRegeneration>(r#"{"keyType": "hunter2"}"#),
            "the request body is no KeyRegeneration: expected `Primary` or `Secondary`"
        );
        let missing = refused::<CredentialStorage>(r#"{"name": "s3"}"#);
        assert!(missing.ends_with("missing field `data`"), "{missing}");
        for body in ["", "[]", "{", "hunter2"] {
            assert!(!refused::<KeyRegeneration>(body).contains("hunter2"));
        }
    }

    #[test]
    fn nothing_is_an_empty_body_or_an_empty_object() {
        for body in ["", " \n", "{}", r#"{"kind": "RunCancellation"}"#] {
            assert!(nothing(body.as_bytes()).is_ok(), "{body}");
        }
        for body in ["[]", "x", "1"] {
            assert!(nothing(body.as_bytes()).is_err(), "{body}");
        }
    }
}
