//! What a request asks of the API server, read from its method, path and query.

use std::fmt;

use http::Method;
use serde::{Deserialize, Serialize};

/// A verb, as RBAC and the audit log name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// One object, or a path that is no resource.
    Get,
    /// All objects.
    List,
    /// Changes to objects.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH of any type.
    Patch,
    /// DELETE of one object.
    Delete,
    /// DELETE of all objects.
    DeleteCollection,
}

impl Verb {
    /// All that write.
    pub const WRITES: [Self; 5] = [
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
        Self::DeleteCollection,
    ];

    /// The word that RBAC uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// Whether it may change anything.
    pub fn is_write(self) -> bool {
        Self::WRITES.contains(&self)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a request asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is to be done.
    pub verb: Verb,
    /// API group; nothing for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural of the kind; nothing if the path is no resource.
    pub resource: String,
    /// Subresource; nothing if there is none.
    pub subresource: String,
    /// Namespace; nothing for all of them and for what has none, Namespaces included.
    pub namespace: String,
    /// Name, if the path, a field selector or the object sent has one.
    pub name: String,
    /// Field manager, if one is given.
    pub field_manager: String,
    /// `resourceVersion` of the query.
    pub resource_version: Option<String>,
    /// Whether nothing is to be stored.
    pub dry_run: bool,
    /// Path.
    pub path: String,
    /// Query, without the question mark.
    pub query: String,
}

impl Call {
    /// Reads a request's first line.
    pub fn parse(method: &Method, path: &str, query: Option<&str>) -> Self {
        let query = query.unwrap_or_default();
        let mut call = Self {
            verb: Verb::Get,
            group: String::new(),
            version: String::new(),
            resource: String::new(),
            subresource: String::new(),
            namespace: String::new(),
            name: String::new(),
            field_manager: parameter(query, "fieldManager").unwrap_or_default(),
            resource_version: parameter(query, "resourceVersion"),
            dry_run: parameter(query, "dryRun").is_some(),
            path: path.to_owned(),
            query: query.to_owned(),
        };
        call.read_path();
        if call.resource.is_empty() {
            return call;
        }
        let watch = matches!(parameter(query, "watch").as_deref(), Some("true" | "1"));
        let one = !call.name.is_empty();
        call.verb = match method.as_str() {
            "POST" => Verb::Create,
            "PUT" => Verb::Update,
            "PATCH" => Verb::Patch,
            "DELETE" if one => Verb::Delete,
            "DELETE" => Verb::DeleteCollection,
            _ if one => Verb::Get,
            _ if watch => Verb::Watch,
            _ => Verb::List,
        };
        if !one && let Some(fields) = parameter(query, "fieldSelector") {
            let name = fields
                .split(',')
                .find_map(|f| f.strip_prefix("metadata.name="));
            call.name = name.unwrap_or_default().trim_start_matches('=').to_owned();
        }
        call
    }

    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        parameter(&self.query, name)
    }

    fn read_path(&mut self) {
        let path = self.path.clone();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let rest = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => {
                self.version = (*version).to_owned();
                rest
            }
            ["apis", group, version, rest @ ..] if !rest.is_empty() => {
                self.group = (*group).to_owned();
                self.version = (*version).to_owned();
                rest
            }
            _ => return,
        };
        let rest = match rest {
            // These are subresources of the Namespace itself.
            ["namespaces", _, "status" | "finalize"] => rest,
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => {
                self.namespace = (*namespace).to_owned();
                rest
            }
            rest => rest,
        };
        let mut rest = rest.iter().map(|part| (*part).to_owned());
        self.resource = rest.next().unwrap_or_default();
        self.name = rest.next().unwrap_or_default();
        self.subresource = rest.next().unwrap_or_default();
    }
}

/// A parameter of a query, with its percent signs decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| decode(value))
    })
}

fn decode(value: &str) -> String {
    let mut bytes = value.bytes();
    let mut out = Vec::with_capacity(value.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Call, Verb};
    use http::Method;

    fn call(method: Method, path: &str) -> Call {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Call::parse(&method, path, Some(query))
    }

    fn where_to(call: &Call) -> [&str; 6] {
        [
            call.verb.as_str(),
            &call.group,
            &call.resource,
            &call.subresource,
            &call.namespace,
            &call.name,
        ]
    }

    #[test]
    fn tells_verbs_and_resources_apart() {
        for (method, path, want) in [
            (
                Method::GET,
                "/api/v1/pods",
                ["list", "", "pods", "", "", ""],
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/pods?watch=true&resourceVersion=7",
                ["watch", "", "pods", "", "a", ""],
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a/pods?fieldSelector=metadata.name%3Dx&watch=1",
                ["watch", "", "pods", "", "a", "x"],
            ),
            (
                Method::POST,
                "/apis/atelier.dev/v1alpha1/namespaces/a/runs",
                ["create", "atelier.dev", "runs", "", "a", ""],
            ),
            (
                Method::PATCH,
                "/apis/atelier.dev/v1alpha1/namespaces/a/runs/r/status?fieldManager=me",
                ["patch", "atelier.dev", "runs", "status", "a", "r"],
            ),
            (
                Method::DELETE,
                "/apis/batch/v1/namespaces/a/jobs/j",
                ["delete", "batch", "jobs", "", "a", "j"],
            ),
            (
                Method::DELETE,
                "/apis/batch/v1/namespaces/a/jobs",
                ["deletecollection", "batch", "jobs", "", "a", ""],
            ),
            (
                Method::GET,
                "/api/v1/namespaces/a",
                ["get", "", "namespaces", "", "", "a"],
            ),
            (
                Method::PUT,
                "/api/v1/namespaces/a/finalize",
                ["update", "", "namespaces", "finalize", "", "a"],
            ),
            (
                Method::POST,
                "/api/v1/namespaces/a/pods/p/eviction",
                ["create", "", "pods", "eviction", "a", "p"],
            ),
        ] {
            let read = call(method, path);
            assert_eq!(where_to(&read), want, "{path}");
        }
    }

    #[test]
    fn leaves_other_paths_alone() {
        for path in [
            "/version",
            "/apis",
            "/apis/batch/v1",
            "/api/v1",
            "/livez?verbose",
        ] {
            let read = call(Method::GET, path);
            assert_eq!(where_to(&read), ["get", "", "", "", "", ""], "{path}");
        }
    }

    #[test]
    fn reads_the_query() {
        let read = call(
            Method::PATCH,
            "/api/v1/namespaces/a/secrets/s?fieldManager=a%2Fb&dryRun=All&resourceVersion=12",
        );
        assert_eq!(read.field_manager, "a/b");
        assert_eq!(read.resource_version.as_deref(), Some("12"));
        assert!(read.dry_run);
        assert!(read.verb.is_write() && !Verb::Watch.is_write());
    }
}
