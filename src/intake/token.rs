//! What a token says of itself, not verified. It tells whom to look for, so that the API server is asked about pods only
//! that we know.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 4096;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Namespace of pod and ServiceAccount.
    pub namespace: String,
    /// Name of the ServiceAccount.
    pub account: String,
    /// Name of the pod.
    pub pod: String,
    /// Uid of the pod.
    pub uid: String,
    /// When it is over.
    pub expires: Timestamp,
}

#[derive(Deserialize)]
struct Payload {
    exp: i64,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Bound,
}

#[derive(Deserialize)]
struct Bound {
    namespace: String,
    pod: Named,
    serviceaccount: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    uid: String,
}

/// Reads a token of a pod; `None` if it is none.
pub fn claim(token: &str) -> Option<Claim> {
    if token.len() > LONGEST {
        return None;
    }
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let payload: Payload = serde_json::from_slice(&payload).ok()?;
    let bound = payload.kubernetes;
    Some(Claim {
        namespace: bound.namespace,
        account: bound.serviceaccount.name,
        pod: bound.pod.name,
        uid: bound.pod.uid,
        expires: Timestamp::from_second(payload.exp).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn token(payload: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload.to_string()))
    }

    fn payload() -> Value {
        json!({"exp": 100, "aud": ["atelier"], "kubernetes.io": {"namespace": "n",
            "pod": {"name": "p", "uid": "u"}, "serviceaccount": {"name": "s-gateway", "uid": "v"}}})
    }

    #[test]
    fn a_token_of_a_pod_says_which() {
        let claim = claim(&token(&payload())).expect("one");
        assert_eq!((claim.namespace.as_str(), claim.pod.as_str()), ("n", "p"));
        assert_eq!(
            (claim.account.as_str(), claim.uid.as_str()),
            ("s-gateway", "u")
        );
    }

    #[test]
    fn what_is_none_says_nothing() {
        let mut of_nobody = payload();
        of_nobody["kubernetes.io"]["pod"] = Value::Null;
        for bad in [
            String::new(),
            "a.b".into(),
            "a.b.c".into(),
            format!("{}.d", token(&payload())),
            token(&of_nobody),
            token(&json!({})),
            "a".repeat(LONGEST + 1),
        ] {
            assert_eq!(claim(&bad), None, "{bad}");
        }
    }
}
