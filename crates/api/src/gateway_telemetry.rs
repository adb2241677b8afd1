//! The document by which the operator tells a gateway where its records go, beside stdout.
//!
//! It is the entry [`TELEMETRY_KEY`] of the Secret `<service>-gateway`, beside the policy and not in it: who may call
//! must not depend on whether a gateway understands where records go. Headers that hold a credential are an entry of
//! their own, [`HEADERS_KEY`], which is no document that anybody keeps. Without the first entry nothing is exported.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The entry of the Secret that holds the document.
pub const TELEMETRY_KEY: &str = "telemetry.json";

/// The entry of the Secret that holds the headers of requests to a collector: a JSON object of names and values.
pub const HEADERS_KEY: &str = "telemetry.headers";

/// The only version of the document so far. A reader refuses any other.
pub const TELEMETRY_VERSION: u32 = 1;

/// Headers that one may bring at most.
const MOST_HEADERS: usize = 16;

/// Bytes that the value of a header may have.
const LONGEST_VALUE: usize = 4096;

/// Where records go, beside stdout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GatewayTelemetry {
    version: Version,
    /// A collector that speaks OTLP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp: Option<OtlpTarget>,
}

impl GatewayTelemetry {
    /// To these places.
    #[must_use]
    pub fn to(otlp: Option<OtlpTarget>) -> Self {
        Self {
            version: Version,
            otlp,
        }
    }

    /// Reads the document.
    ///
    /// # Errors
    /// Not JSON, an unknown or repeated field, an unknown version, or an endpoint that cannot be one.
    pub fn from_json(document: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(document)
    }

    /// Writes the document, always the same bytes for the same places.
    ///
    /// # Errors
    /// None in practice: the document has no map.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// A collector that speaks OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OtlpTarget {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Whether what is sent is compressed by gzip.
    #[serde(default)]
    pub gzip: bool,
    /// Who signs its certificate, where that is not one of the public authorities: PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
struct Version;

impl TryFrom<u32> for Version {
    type Error = &'static str;

    fn try_from(version: u32) -> Result<Self, Self::Error> {
        match version {
            TELEMETRY_VERSION => Ok(Self),
            _ => Err("the version of the telemetry is not one this program knows"),
        }
    }
}

impl From<Version> for u32 {
    fn from(Version: Version) -> Self {
        TELEMETRY_VERSION
    }
}

/// The base URL of a collector: `http` or `https`, a host, and if wanted a port and a path. Never on loopback: in a
/// gateway's pod that is the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(String);

impl Endpoint {
    /// Whether it is reached over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// The URL of one signal: `/v1/logs` or `/v1/traces` below the base, as the specification of OTLP's exporters has
    /// it for an endpoint of all signals.
    #[must_use]
    pub fn url(&self, signal: &str) -> String {
        format!("{}{signal}", self.0.trim_end_matches('/'))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.0
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(url: String) -> Result<Self, Self::Error> {
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"))
            .ok_or("an endpoint begins with https:// or http://")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if !path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/._~-".contains(&b))
        {
            return Err("the path of an endpoint has letters, digits and /._~- only".into());
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or("an address lacks its ]")?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port_ok = port
            .strip_prefix(':')
            .map(|port| port.parse().is_ok_and(|port: u16| port > 0));
        if !port.is_empty() && port_ok != Some(true) {
            return Err("the port of an endpoint is a number from 1 to 65535".into());
        }
        check_host(host, authority.starts_with('['))?;
        Ok(Self(url))
    }
}

fn check_host(host: &str, bracketed: bool) -> Result<(), String> {
    const LOOPBACK: &str = "the endpoint is on the pod's own loopback, where the model is; name a collector outside the pod";
    if let Ok(address) = host.parse::<IpAddr>() {
        return match (address.is_ipv6() == bracketed, is_local(address)) {
            (false, _) => Err("the host of an endpoint is a name or an address".into()),
            (true, true) => Err(LOOPBACK.into()),
            (true, false) => Ok(()),
        };
    }
    let label = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !label.is_empty() && label.bytes().all(inner)
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    // What ends in a number is an address to resolvers, in one of the old ways to write one: 127.1, 0x7f000001.
    let number = last.starts_with(|first: char| first.is_ascii_digit());
    if bracketed || host.len() > 253 || !name.split('.').all(label) || number {
        return Err("the host of an endpoint is a name or an address".into());
    }
    match last.eq_ignore_ascii_case("localhost") {
        true => Err(LOOPBACK.into()),
        false => Ok(()),
    }
}

/// Whether an address is this machine itself, or this pod.
#[must_use]
pub fn is_local(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let nowhere = match address {
        // All of 0.0.0.0/8 is this host (RFC 1122, section 3.2.1.3).
        IpAddr::V4(address) => address.octets()[0] == 0,
        IpAddr::V6(address) => address.is_unspecified(),
    };
    address.is_loopback() || nowhere
}

/// Headers of requests to a collector, credentials among them. Their values never show in debug output.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TelemetryHeaders(BTreeMap<String, String>);

impl TelemetryHeaders {
    /// Takes the entries of a Secret for headers: each name is one, in lower case, and each value, without the end of
    /// a line behind it.
    ///
    /// # Errors
    /// Why an entry cannot be a header. It quotes no value.
    pub fn of<'a>(entries: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, String> {
        let mut headers = BTreeMap::new();
        for (name, value) in entries {
            let value =
                std::str::from_utf8(value).map(|value| value.trim_end_matches(['\r', '\n']));
            let value = value.map_err(|_| format!("the value of {name} is no text"))?;
            check_header(name, value)?;
            if headers
                .insert(name.to_ascii_lowercase(), value.to_owned())
                .is_some()
            {
                return Err(format!("{name} is there twice, in capitals and without"));
            }
        }
        match headers.len() {
            0 => Err("it has no entry: each is a header, as authorization".into()),
            1..=MOST_HEADERS => Ok(Self(headers)),
            _ => Err(format!("it has more than {MOST_HEADERS} entries")),
        }
    }

    /// Reads the entry of a gateway's Secret.
    ///
    /// # Errors
    /// As [`Self::of`], or what is no JSON.
    pub fn from_json(document: &[u8]) -> Result<Self, String> {
        // The reason could quote a value.
        let headers: BTreeMap<String, String> =
            serde_json::from_slice(document).map_err(|_| "it is no JSON object of strings")?;
        Self::of(
            headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes())),
        )
    }

    /// Writes the entry, always the same bytes for the same headers.
    ///
    /// # Errors
    /// None in practice: names and values are strings.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&self.0)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for TelemetryHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Headers that say how a message is framed or what is in it. Those are the gateway's to write.
const TAKEN: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn check_header(name: &str, value: &str) -> Result<(), String> {
    // What both a header's name (RFC 9110, section 5.6.2) and an entry of a Secret may have.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if name.is_empty() || name.len() > 128 || !name.bytes().all(plain) {
        return Err("an entry has a name that no header has".into());
    }
    if TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
        return Err(format!("{name} is a header that the gateway writes itself"));
    }
    let visible = |b: u8| (b' '..=b'~').contains(&b);
    let trimmed = value.trim().len() == value.len();
    if value.is_empty() || value.len() > LONGEST_VALUE || !trimmed || !value.bytes().all(visible) {
        return Err(format!(
            "the value of {name} is no header's: 1 to {LONGEST_VALUE} visible ASCII characters"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_written_as_it_was_read_and_refused_if_it_is_not_exactly_right() {
        for text in [
            r#"{"version":1}"#,
            r#"{"version":1,"otlp":{"endpoint":"https://otel.example:4318","gzip":true,"caBundle":"x"}}"#,
        ] {
            let read = GatewayTelemetry::from_json(text.as_bytes()).expect(text);
            assert_eq!(read.to_json().expect("writable"), text);
        }
        for bad in [
            "",
            "{}",
            r#"{"version":2}"#,
            r#"{"version":1,"more":1}"#,
            r#"{"version":1,"otlp":{}}"#,
            r#"{"version":1,"otlp":{"endpoint":"https://h","headers":{}}}"#,
        ] {
            assert!(
                GatewayTelemetry::from_json(bad.as_bytes()).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_endpoint_is_a_url_that_leads_out_of_the_pod() {
        let endpoint = |url: &str| Endpoint::try_from(url.to_owned());
        for (good, logs) in [
            (
                "http://collector.ns.svc:4318",
                "http://collector.ns.svc:4318/v1/logs",
            ),
            ("https://otel.example.", "https://otel.example./v1/logs"),
            ("https://10.0.0.7/otlp/", "https://10.0.0.7/otlp/v1/logs"),
            ("http://[fd00::1]:4318", "http://[fd00::1]:4318/v1/logs"),
            ("http://4318.example", "http://4318.example/v1/logs"),
        ] {
            assert_eq!(endpoint(good).expect(good).url("/v1/logs"), logs);
        }
        for bad in [
            "otel.example:4318",
            "ftp://otel.example",
            "grpc://otel.example",
            "http://",
            "http://:4318",
            "http://user@otel.example",
            "http://otel.example/?a=b",
            "http://otel.example/#a",
            "http://otel.example:",
            "http://otel.example:0",
            "http://otel.example:65536",
            "http://otel..example",
            "http://fd00::1",
            "http://[10.0.0.7]",
            "http://[fd00::1",
            "http://localhost:4318",
            "http://LocalHost.",
            "http://a.localhost",
            "http://127.0.0.1:4318",
            "http://127.9.9.9",
            "http://127.1",
            "http://2130706433",
            "http://0x7f000001",
            "http://0.0.0.0",
            "http://0.1.2.3",
            "http://[::1]:4318",
            "http://[::]",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_entries_of_a_secret_are_headers_or_refused_without_a_word_of_their_values() {
        let of = |entries: &[(&'static str, &'static str)]| {
            TelemetryHeaders::of(entries.iter().map(|(n, v)| (*n, v.as_bytes())))
        };
        let headers = of(&[("Authorization", "Bearer s3cret\n"), ("x-scope", "a b")]);
        let headers = headers.expect("good");
        let json = headers.to_json().expect("writable");
        assert_eq!(json, r#"{"authorization":"Bearer s3cret","x-scope":"a b"}"#);
        assert_eq!(
            TelemetryHeaders::from_json(json.as_bytes()),
            Ok(headers.clone())
        );
        assert!(!format!("{headers:?}").contains("s3cret"));
        for bad in [
            &[][..],
            &[("host", "s3cret")],
            &[("Content-Type", "s3cret")],
            &[("a", "s3cret"), ("A", "s3cret")],
            &[("a", "")],
            &[("a", " s3cret")],
            &[("a", "s3cret\r\nb: c")],
            &[("a", "s3crét")],
            &[("a b", "s3cret")],
        ] {
            let error = of(bad).expect_err("bad");
            assert!(!error.contains("s3c"), "{error}");
        }
    }
}
