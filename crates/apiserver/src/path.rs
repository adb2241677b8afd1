//! Paths of actions.

use crate::action::ObjectRef;

/// What a path of an action says.
#[derive(Debug, PartialEq)]
pub(crate) struct ActionPath<'a> {
    pub(crate) object: ObjectRef,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    /// What follows, with its slash: empty or more.
    pub(crate) rest: &'a str,
}

impl<'a> ActionPath<'a> {
    /// Reads what follows the version: `/namespaces/{namespace}/{resource}/{name}/{subresource}` and perhaps more. Names
    /// are taken as they stand: none of ours needs an encoding, and the API server asks for rights on the decoded ones.
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        let mut parts = path.strip_prefix("/namespaces/")?.splitn(4, '/');
        let namespace = parts.next().filter(|name| is_label(name))?;
        let resource = parts.next().filter(|name| is_label(name))?;
        let name = parts.next().filter(|name| is_subdomain(name))?;
        let action = parts.next()?;
        let (subresource, rest) = action.split_at(action.find('/').unwrap_or(action.len()));
        is_label(subresource).then(|| Self {
            object: ObjectRef {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            },
            resource,
            subresource,
            rest,
        })
    }
}

/// A name as RFC 1123 has it.
fn is_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Several such names, with dots between them.
fn is_subdomain(name: &str) -> bool {
    let inner = |part: &str| {
        let byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !part.is_empty() && part.bytes().all(byte) && !part.starts_with('-') && !part.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_an_object_and_an_action() {
        let path = ActionPath::parse("/namespaces/vision/workspaces/v.1/proxy/a/%2e?").unwrap();
        assert_eq!(
            (
                path.object.namespace.as_str(),
                path.resource,
                path.object.name.as_str()
            ),
            ("vision", "workspaces", "v.1")
        );
        assert_eq!((path.subresource, path.rest), ("proxy", "/a/%2e?"));
        let path = ActionPath::parse("/namespaces/v/runs/a/why").unwrap();
        assert_eq!((path.subresource, path.rest), ("why", ""));
    }

    #[test]
    fn names_are_names() {
        for path in [
            "",
            "/",
            "/namespaces/v/runs/a",
            "/namespaces/v/runs/a/",
            "/namespaces//runs/a/why",
            "/namespaces/v/runs/../why",
            "/namespaces/v/runs/%61/why",
            "/namespaces/v.w/runs/a/why",
            "/namespaces/V/runs/a/why",
            "/namespaces/v/runs/a./why",
            "/namespaces/v/runs/-a/why",
            "/namespaces/v/runs/a/w%68y",
            "/runs/a/why",
        ] {
            assert_eq!(ActionPath::parse(path), None, "{path}");
        }
    }
}
