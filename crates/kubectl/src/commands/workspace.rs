//! The workspace that is meant when none is named.

use serde_json::Value;

use crate::client::{Cluster, WORKSPACES};
use crate::failure::Failure;
use crate::names::Name;

/// The workspace named, or the only one of the namespace.
pub async fn named_or_only(cluster: &Cluster, named: Option<Name>) -> Result<Name, Failure> {
    if let Some(name) = named {
        return Ok(name);
    }
    let list = cluster.read(WORKSPACES, None).await?;
    only(&list, cluster.namespace())
}

fn only(list: &Value, namespace: &str) -> Result<Name, Failure> {
    let items = list["items"]
        .as_array()
        .ok_or_else(|| Failure::Answer("a list without items".into()))?;
    let names: Vec<_> = (items.iter())
        .filter_map(|item| item["metadata"]["name"].as_str())
        .collect();
    match names.as_slice() {
        [] => Err(Failure::Ambiguous(format!(
            "there is no workspace in namespace {namespace}; choose another with -n"
        ))),
        [name] => name
            .parse()
            .map_err(|_| Failure::Answer("a workspace without a proper name".into())),
        names => Err(Failure::Ambiguous(format!(
            "there are {} workspaces in namespace {namespace}; name one of them: {}",
            names.len(),
            names.join(", "),
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Result<Name, String> {
        let items: Vec<_> = (names.iter())
            .map(|name| serde_json::json!({"metadata": {"name": name}}))
            .collect();
        let list = serde_json::json!({"items": items});
        only(&list, "vision").map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_only_workspace_needs_no_name() {
        assert_eq!(found(&["vision"]).unwrap().to_string(), "vision");
        assert_eq!(
            found(&[]).unwrap_err(),
            "error: there is no workspace in namespace vision; choose another with -n"
        );
        assert_eq!(
            found(&["a", "b"]).unwrap_err(),
            "error: there are 2 workspaces in namespace vision; name one of them: a, b"
        );
        assert!(only(&Value::Null, "vision").is_err());
    }
}
