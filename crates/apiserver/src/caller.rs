//! Who asks.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};

use crate::escape::unescape;

/// Who asks, as the API server told it: the user it authenticated, or whom that user impersonates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// User name.
    pub user: String,
    /// What tells two users of the same name apart, if the API server says it.
    pub uid: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Whatever else authentication found out.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The headers that a front proxy writes.
#[derive(Debug, Default)]
pub(crate) struct IdentityHeaders {
    pub(crate) user: Vec<HeaderName>,
    pub(crate) uid: Vec<HeaderName>,
    pub(crate) groups: Vec<HeaderName>,
    /// In lower case.
    pub(crate) extra_prefixes: Vec<String>,
}

impl IdentityHeaders {
    /// Who asks. Nothing if there is no user name, or if something in the headers is no text: half an identity is none.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        let mut caller = Caller {
            user: first(headers, &self.user)??,
            uid: first(headers, &self.uid)?,
            ..Caller::default()
        };
        for name in &self.groups {
            for group in headers.get_all(name) {
                caller.groups.push(text(group)?);
            }
        }
        for prefix in &self.extra_prefixes {
            for (name, value) in headers {
                let Some(key) = name.as_str().strip_prefix(prefix.as_str()) else {
                    continue;
                };
                // A broken encoding is taken as it stands, as Kubernetes does.
                let key = unescape(key).unwrap_or_else(|| key.to_owned());
                caller.extra.entry(key).or_default().push(text(value)?);
            }
        }
        Some(caller)
    }

    /// Takes out of a header all that says who asks: an action is told by its [`crate::Call`].
    pub(crate) fn remove_from(&self, headers: &mut HeaderMap) {
        let named = [&self.user, &self.uid, &self.groups].into_iter().flatten();
        let extra = |name: &&HeaderName| {
            let mut prefixes = self.extra_prefixes.iter();
            prefixes.any(|prefix| name.as_str().starts_with(prefix.as_str()))
        };
        let extra = headers.keys().filter(extra).cloned().collect::<Vec<_>>();
        for name in named.chain(&extra) {
            headers.remove(name);
        }
    }
}

/// The first value that is not empty.
#[allow(clippy::option_option)]
fn first(headers: &HeaderMap, names: &[HeaderName]) -> Option<Option<String>> {
    for value in names.iter().flat_map(|name| headers.get_all(name)) {
        let value = text(value)?;
        if !value.is_empty() {
            return Some(Some(value));
        }
    }
    Some(None)
}

fn text(value: &http::HeaderValue) -> Option<String> {
    std::str::from_utf8(value.as_bytes())
        .ok()
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn known() -> IdentityHeaders {
        let names = |name: &'static str| vec![HeaderName::from_static(name)];
        IdentityHeaders {
            user: names("x-remote-user"),
            uid: names("x-remote-uid"),
            groups: names("x-remote-group"),
            extra_prefixes: vec!["x-remote-extra-".into()],
        }
    }

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_bytes(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn everything_the_proxy_says_is_read() {
        let headers = headers(&[
            ("x-remote-user", "jürgen".as_bytes()),
            ("x-remote-uid", b"42"),
            ("x-remote-group", b"a"),
            ("x-remote-group", b"b"),
            ("x-remote-extra-acme.com%2fproject", b"one"),
            ("x-remote-extra-acme.com%2fproject", b"two"),
            ("x-remote-extra-broken%zz", b""),
            ("x-other", b"no"),
        ]);
        let caller = known().caller(&headers).unwrap();
        assert_eq!(
            (caller.user.as_str(), caller.uid.as_deref()),
            ("jürgen", Some("42"))
        );
        assert_eq!(caller.groups, ["a", "b"]);
        assert_eq!(caller.extra["acme.com/project"], ["one", "two"]);
        assert_eq!(caller.extra["broken%zz"], [""]);
        assert_eq!(caller.extra.len(), 2);
    }

    #[test]
    fn an_action_sees_no_header_of_it() {
        let mut headers = headers(&[
            ("x-remote-user", b"a"),
            ("x-remote-uid", b"b"),
            ("x-remote-group", b"c"),
            ("x-remote-group", b"d"),
            ("x-remote-extra-scopes", b"e"),
            ("x-other", b"kept"),
        ]);
        known().remove_from(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-other"]);
    }

    #[test]
    fn half_an_identity_is_none() {
        assert_eq!(
            known().caller(&headers(&[("x-remote-group", b"system:masters")])),
            None
        );
        assert_eq!(known().caller(&headers(&[("x-remote-user", b"")])), None);
        let odd = headers(&[("x-remote-user", b"a"), ("x-remote-group", b"\xff")]);
        assert_eq!(known().caller(&odd), None);
    }

    #[test]
    fn a_uid_header_that_the_cluster_does_not_name_is_not_read() {
        let mut older = known();
        older.uid.clear();
        let headers = headers(&[("x-remote-user", b"a"), ("x-remote-uid", b"forged")]);
        assert_eq!(older.caller(&headers).unwrap().uid, None);
    }
}
