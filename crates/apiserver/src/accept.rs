//! What a client wants to be answered in.

use http::HeaderMap;
use http::header::ACCEPT;

/// One thing a client takes: a media type and its parameters, in lower case and without quality.
#[derive(Debug, PartialEq)]
pub(crate) struct Wanted {
    media: String,
    parameters: Vec<(String, String)>,
}

impl Wanted {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
        let media = parts.next().filter(|media| !media.is_empty())?;
        let parameters = parts
            .filter_map(|part| {
                let (name, value) = part.split_once('=')?;
                Some((name.to_owned(), value.trim_matches('"').to_owned()))
            })
            .collect();
        Some(Self { media, parameters })
    }

    fn get(&self, name: &str) -> &str {
        let found = self.parameters.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value)
    }

    fn is_refused(&self) -> bool {
        self.get("q").parse() == Ok(0.0)
    }

    /// Plain JSON, or anything.
    pub(crate) fn is_json(&self) -> bool {
        matches!(
            self.media.as_str(),
            "application/json" | "application/*" | "*/*"
        ) && self.get("as").is_empty()
    }

    /// JSON of another shape: `as`, in a version of a group.
    pub(crate) fn is_json_as(&self, kind: &str, group: &str, version: &str) -> bool {
        self.media == "application/json"
            && self.get("as").eq_ignore_ascii_case(kind)
            && self.get("g") == group
            && self.get("v") == version
    }
}

/// What a client wants, in its order. Kubernetes' clients put first what they like best and send no quality.
pub(crate) fn wanted(headers: &HeaderMap) -> Vec<Wanted> {
    let values = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|v| v.to_str().ok());
    let mut wanted: Vec<_> = values
        .flat_map(|value| value.split(','))
        .filter_map(Wanted::parse)
        .collect();
    if wanted.is_empty() {
        wanted.extend(Wanted::parse("*/*"));
    }
    wanted.retain(|w| !w.is_refused());
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &str) -> Vec<Wanted> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        wanted(&headers)
    }

    #[test]
    fn kubectls_wish_for_a_table_is_understood() {
        let all =
            of("application/json;as=Table;v=v1;g=meta.k8s.io,application/json;q=0.5, text/x;q=0");
        assert_eq!(all.len(), 2);
        assert!(all[0].is_json_as("Table", "meta.k8s.io", "v1") && !all[0].is_json());
        assert!(all[1].is_json());
    }

    #[test]
    fn whoever_says_nothing_takes_anything() {
        assert!(wanted(&HeaderMap::new())[0].is_json());
        assert!(!of("application/vnd.kubernetes.protobuf")[0].is_json());
    }
}
