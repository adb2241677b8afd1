//! Who may pass. Pure: policy and header in, a [`Permit`] or a [`Denied`] out.

use atelier_api::gateway_policy::{AuthMode, GatewayPolicy};
use atelier_api::subject;
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelValue;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::policy::InForce;

/// The header that carries a key where `Authorization` is taken or awkward.
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The header that says who the caller is: to the model always, and from the operator on its own
/// listener. Elsewhere it says nothing.
pub const SUBJECT: HeaderName = HeaderName::from_static("x-atelier-subject");

/// Proof that a request may pass. Only [`authenticate`] and [`vouched`] make one, and forwarding
/// takes one: a way around does not type-check.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    subject: Option<HeaderValue>,
}

impl Permit {
    /// Who the caller is, where somebody vouches for it.
    #[must_use]
    pub fn subject(&self) -> Option<&HeaderValue> {
        self.subject.as_ref()
    }
}

/// Why a request may not pass. Counted by reason; the client learns none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Denied {
    /// No credential.
    Missing,
    /// A credential in a form that is not accepted.
    Malformed,
    /// Two credentials that differ, or one header twice.
    Ambiguous,
    /// A credential that is neither of the two keys, or a token by none of the service's keys.
    Wrong,
    /// A token for another service.
    Foreign,
    /// A token whose time has not come.
    Early,
    /// A token whose time is over.
    Expired,
    /// A token that is revoked, or whose caller is.
    Revoked,
}

/// Decides whether the bearer of these headers may pass.
///
/// # Errors
/// The reason, for the metrics.
pub fn authenticate(
    in_force: &InForce,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Permit, Denied> {
    let subject = match &in_force.policy {
        GatewayPolicy::None { .. } => None,
        GatewayPolicy::Token { .. } => {
            let tokens = in_force.tokens.as_ref().ok_or(Denied::Wrong)?;
            Some(tokens.judge(credential(headers)?, now)?)
        }
        GatewayPolicy::Key { keys } => {
            let presented: [u8; 32] = Sha256::digest(credential(headers)?).into();
            // Both, always, and joined without a branch: the time taken says nothing about
            // which slot a guess came close to.
            let primary = presented.ct_eq(keys.primary.sha256.as_bytes());
            let secondary = presented.ct_eq(keys.secondary.sha256.as_bytes());
            if !bool::from(primary | secondary) {
                return Err(Denied::Wrong);
            }
            None
        }
    };
    Ok(Permit { subject })
}

/// Lets a request pass whose caller the operator vouches for. Only for requests that are known to
/// come from the operator: this believes the header.
///
/// # Errors
/// The header is missing, twice there, or no name: visible ASCII, the rest percent-encoded.
pub fn vouched(headers: &HeaderMap) -> Result<Permit, Denied> {
    let name = single(headers, &SUBJECT)?.ok_or(Denied::Missing)?;
    let is_name =
        (1..=subject::LONGEST).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic);
    let subject = HeaderValue::from_bytes(name).ok().filter(|_| is_name);
    match subject {
        Some(subject) => Ok(Permit {
            subject: Some(subject),
        }),
        None => Err(Denied::Malformed),
    }
}

/// What the record has for a mode where the operator vouches for the caller.
pub const VOUCHED: &str = "Action";

/// The mode's name, for the record.
#[must_use]
pub fn mode_name(mode: AuthMode) -> &'static str {
    match mode {
        AuthMode::None => "None",
        AuthMode::Key => "Key",
        AuthMode::Token => "Token",
    }
}

/// The one credential of a request.
fn credential(headers: &HeaderMap) -> Result<&[u8], Denied> {
    let bearer = single(headers, &AUTHORIZATION)?
        .map(bearer_token)
        .transpose()?;
    let key = single(headers, &API_KEY)?;
    match (bearer, key) {
        (None, None) => Err(Denied::Missing),
        (Some(value), None) | (None, Some(value)) if value.is_empty() => Err(Denied::Malformed),
        (Some(value), None) | (None, Some(value)) => Ok(value),
        // Both come from the client, so comparing them leaks nothing.
        (Some(one), Some(other)) if one == other => Ok(one),
        (Some(_), Some(_)) => Err(Denied::Ambiguous),
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Denied> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Denied::Ambiguous),
        (value, None) => Ok(value.map(HeaderValue::as_bytes)),
    }
}

/// The token of `Bearer <token>`; the scheme in any case, then exactly one space.
fn bearer_token(value: &[u8]) -> Result<&[u8], Denied> {
    match value.split_at_checked(7) {
        Some((scheme, token))
            if scheme.eq_ignore_ascii_case(b"Bearer ") && !token.contains(&b' ') =>
        {
            Ok(token)
        }
        _ => Err(Denied::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use atelier_api::gateway_policy::{KeyDigest, KeySlot, KeySlots};

    use super::*;

    fn keys(primary: &str, secondary: &str) -> KeySlots {
        let slot = |key: &str| KeySlot {
            generation: 1,
            sha256: KeyDigest::new(Sha256::digest(key.as_bytes()).into()),
        };
        KeySlots {
            primary: slot(primary),
            secondary: slot(secondary),
        }
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(*name, value.parse().expect("a header value"));
                map
            })
    }

    fn judged(policy: GatewayPolicy, lines: &[(&'static str, &str)]) -> Result<Permit, Denied> {
        authenticate(
            &InForce::new(policy),
            &headers(lines),
            Timestamp::UNIX_EPOCH,
        )
    }

    #[test]
    fn in_mode_key_only_a_single_unambiguous_right_key_passes() {
        let policy = GatewayPolicy::Key {
            keys: keys("atl_one", "atl_two"),
        };
        for (lines, expected) in [
            (&[("authorization", "Bearer atl_one")][..], Ok(())),
            (&[("authorization", "bearer atl_two")], Ok(())),
            (&[("x-api-key", "atl_one")], Ok(())),
            (
                &[
                    ("authorization", "Bearer atl_one"),
                    ("x-api-key", "atl_one"),
                ],
                Ok(()),
            ),
            (
                &[
                    ("authorization", "Bearer atl_one"),
                    ("x-api-key", "atl_two"),
                ],
                Err(Denied::Ambiguous),
            ),
            (
                &[
                    ("authorization", "Bearer atl_one"),
                    ("authorization", "Bearer atl_one"),
                ],
                Err(Denied::Ambiguous),
            ),
            (
                &[("x-api-key", "atl_one"), ("x-api-key", "atl_one")],
                Err(Denied::Ambiguous),
            ),
            (
                &[("authorization", "Basic atl_one"), ("x-api-key", "atl_one")],
                Err(Denied::Malformed),
            ),
            (&[], Err(Denied::Missing)),
            (&[("cookie", "atl_one")], Err(Denied::Missing)),
            (&[("authorization", "")], Err(Denied::Malformed)),
            (&[("authorization", "atl_one")], Err(Denied::Malformed)),
            (&[("authorization", "Bearer")], Err(Denied::Malformed)),
            (&[("authorization", "Bearer ")], Err(Denied::Malformed)),
            (
                &[("authorization", "Bearer  atl_one")],
                Err(Denied::Malformed),
            ),
            (
                &[("authorization", "Bearer atl_one x")],
                Err(Denied::Malformed),
            ),
            (
                &[("authorization", "Bearer\tatl_one")],
                Err(Denied::Malformed),
            ),
            (&[("authorization", "Basic YTpi")], Err(Denied::Malformed)),
            (&[("x-api-key", "")], Err(Denied::Malformed)),
            (&[("x-api-key", "Bearer atl_one")], Err(Denied::Wrong)),
            (&[("x-api-key", "atl_on")], Err(Denied::Wrong)),
            (&[("x-api-key", "atl_onee")], Err(Denied::Wrong)),
            (&[("x-api-key", "ATL_ONE")], Err(Denied::Wrong)),
        ] {
            let verdict = judged(policy.clone(), lines).map(|_permit| ());
            assert_eq!(verdict, expected, "{lines:?}");
        }
    }

    #[test]
    fn in_mode_none_everybody_passes_whatever_they_present() {
        let policy = GatewayPolicy::None {
            keys: Some(keys("a", "b")),
        };
        for lines in [
            &[][..],
            &[("authorization", "Bearer x")],
            &[("x-api-key", "1"), ("x-api-key", "2")],
        ] {
            assert!(judged(policy.clone(), lines).is_ok(), "{lines:?}");
        }
    }

    #[test]
    fn the_operator_vouches_for_exactly_one_caller() {
        let subject = |lines: &[(&'static str, &str)]| {
            let permit = vouched(&headers(lines))?;
            let subject = permit.subject().expect("a subject");
            Ok(subject.to_str().expect("ASCII").to_owned())
        };
        let long = "a".repeat(subject::LONGEST + 1);
        for (lines, expected) in [
            (&[("x-atelier-subject", "rita")][..], Ok("rita".to_owned())),
            (
                &[("x-atelier-subject", "j%C3%BCrgen"), ("x-api-key", "x")],
                Ok("j%C3%BCrgen".to_owned()),
            ),
            (&[], Err(Denied::Missing)),
            (&[("authorization", "Bearer x")], Err(Denied::Missing)),
            (
                &[("x-atelier-subject", "rita"), ("x-atelier-subject", "root")],
                Err(Denied::Ambiguous),
            ),
            (&[("x-atelier-subject", "")], Err(Denied::Malformed)),
            (
                &[("x-atelier-subject", "two words")],
                Err(Denied::Malformed),
            ),
            (&[("x-atelier-subject", &long)], Err(Denied::Malformed)),
        ] {
            assert_eq!(subject(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_policy_believes_no_name() {
        let policy = GatewayPolicy::None { keys: None };
        let permit = judged(policy, &[("x-atelier-subject", "root")]);
        assert_eq!(permit.expect("let in").subject(), None);
    }
}
