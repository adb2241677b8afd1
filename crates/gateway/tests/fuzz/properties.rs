//! What has to hold, whatever the input.

use std::ffi::OsString;

use atelier_api::gateway_policy::{GatewayPolicy, KeyDigest, KeySlot, KeySlots, Revoked};
use atelier_gateway::{
    args::Args,
    authn::authenticate,
    headers::{check, clean_request},
    ids::RequestIds,
    policy::InForce,
    route::{ScorePath, route},
};
use atelier_testkit::tokens::Issuer;
use clap::Parser as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// Lines of `name: value`, as far as they can be a header.
fn header_of(input: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts
            .next()
            .and_then(|name| HeaderName::from_bytes(name).ok());
        let value = parts.next().unwrap_or_default().trim_ascii();
        if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

/// Nothing reaches the model that is the gateway's or one connection's, and there is one id of each name.
pub fn header(input: &[u8]) {
    let headers = header_of(input);
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        let checked = check(version, &Uri::from_static("/score"), &headers);
        let codings = headers.get_all("transfer-encoding").iter().count();
        let hosts = headers.get_all("host").iter().count();
        assert!(
            checked.is_err() || (codings <= 1 && hosts <= 1),
            "{headers:?}"
        );
    }
    let ids = RequestIds::read(&headers, || "made".to_owned());
    let plain =
        |id: &str| (1..=100).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    assert!(plain(ids.request_id()) && ids.client_request_id().is_none_or(plain));
    let mut cleaned = headers.clone();
    clean_request(&mut cleaned);
    for (name, value) in &cleaned {
        let taken = name.as_str().replace('_', "-");
        assert!(
            !taken.starts_with("x-atelier-")
                && ![
                    "authorization",
                    "x-api-key",
                    "proxy-authorization",
                    "connection",
                    "keep-alive",
                    "te",
                    "proxy-connection",
                    "trailer",
                    "transfer-encoding",
                    "content-length",
                    "upgrade",
                    "expect",
                    "http2-settings",
                    "x-request-id",
                    "x-ms-request-id",
                    "x-ms-client-request-id",
                ]
                .contains(&taken.as_str()),
            "{name}"
        );
        assert!(headers.get_all(name).iter().any(|sent| sent == value));
    }
    assert_eq!(headers.contains_key("host"), cleaned.contains_key("host"));
    ids.write(&mut cleaned);
    for name in ["x-request-id", "x-ms-request-id"] {
        let mut values = cleaned.get_all(name).iter();
        assert!(values.next().is_some_and(|id| id == ids.request_id()) && values.next().is_none());
    }
}

/// A method and a target have a route if they are one of five, byte by byte.
pub fn path(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (method, target) = text.split_once(' ').unwrap_or(("GET", &text));
    let score: ScorePath = "/score".parse().expect("a path");
    if let (Ok(method), Ok(target)) = (Method::from_bytes(method.as_bytes()), target.parse::<Uri>())
    {
        let known = matches!(
            (method.as_str(), target.path()),
            ("POST" | "GET" | "OPTIONS", "/score") | ("GET", "/" | "/swagger.json")
        );
        assert_eq!(
            route(&method, target.path(), &score).is_ok(),
            known,
            "{method} {target}"
        );
    }
    if let Ok(path) = text.parse::<ScorePath>() {
        let uri: Uri = text.parse().expect("a score path is a target");
        assert!(uri.path() == path.as_str() && uri.query().is_none());
        assert!(route(&Method::GET, "/", &path).is_ok() && path.as_str() != "/");
    }
}

/// A header opens a service only if it holds one of the two keys, and no other credential.
pub fn authn(input: &[u8]) {
    let slot = |key: &str| KeySlot {
        generation: 1,
        sha256: KeyDigest::new(Sha256::digest(key.as_bytes()).into()),
    };
    let keys = KeySlots {
        primary: slot("atl_one"),
        secondary: slot("atl_two"),
    };
    let headers = header_of(input);
    let policy = InForce::new(GatewayPolicy::Key { keys });
    if authenticate(&policy, &headers, Timestamp::UNIX_EPOCH).is_ok() {
        for name in ["authorization", "x-api-key"] {
            let mut values = headers.get_all(name).iter();
            let value = values.next().map(|value| value.to_str().expect("ASCII"));
            let key = value.map(|value| {
                value
                    .get(7..)
                    .filter(|_| name == "authorization")
                    .unwrap_or(value)
            });
            assert!(
                key.is_none_or(|key| ["atl_one", "atl_two"].contains(&key)),
                "{headers:?}"
            );
            assert!(values.next().is_none(), "{headers:?}");
        }
    }
}

/// A good token, and the judge of all others. It is another one in each run: keys are.
pub fn token() -> (Vec<u8>, impl Fn(&[u8])) {
    let issuer = Issuer::new();
    let good = issuer.token().into_bytes();
    let verifier = issuer.verifier(Revoked::default());
    let (now, same) = (issuer.now, good.clone());
    let judge = move |input: &[u8]| {
        let verdict = verifier.verify(input, now);
        assert_eq!(verdict.is_ok(), input == same, "{verdict:?}");
    };
    (good, judge)
}

/// A policy that is read is written, and read again, as the same; no digest shows in its debug output.
pub fn policy(input: &[u8]) {
    let Ok(policy) = GatewayPolicy::from_json(input) else {
        return;
    };
    let text = policy.to_json().expect("writable");
    let again = GatewayPolicy::from_json(text.as_bytes()).expect("readable");
    assert!(again == policy, "{text}");
    if let Some(keys) = policy.keys() {
        let shown = format!("{keys:?}");
        for slot in [&keys.primary, &keys.secondary] {
            assert!(
                !shown.contains(&String::from(slot.sha256.clone())),
                "{shown}"
            );
        }
    }
}

/// Arguments that are taken name a model on loopback and a path that is not the gateway's own.
pub fn args(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let line = "atelier-gateway --namespace ml --service iris --workspace ws --replica iris-0";
    let line = line.split(' ').chain(text.split('\n')).map(OsString::from);
    if let Ok(args) = Args::try_parse_from(line) {
        assert!(args.model.ip().to_canonical().is_loopback(), "{args:?}");
        let path = args.score_path.as_str();
        assert!(
            path.starts_with('/') && !["/", "/swagger.json"].contains(&path),
            "{args:?}"
        );
        assert!(!args.timeout_ms.is_zero(), "{args:?}");
    }
}
