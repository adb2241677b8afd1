//! What of a message's header passes, in both directions: pure.

use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// What belongs to one connection, or is set anew for the next.
const ONE_CONNECTION: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    EXPECT,
];

/// What is between the caller and the API server, and what the API server adds on the way.
const NOT_THE_MODELS: [&str; 4] = ["impersonate-", "x-remote-", "x-forwarded-", "x-atelier-"];

/// Leaves of a request what the model is to see.
pub fn clean_request(headers: &mut HeaderMap) {
    for name in [HOST, CONTENT_LENGTH, AUTHORIZATION, COOKIE] {
        headers.remove(name);
    }
    headers.remove("audit-id");
    off_the_connection(headers);
    let ours = |name: &&HeaderName| {
        let dashed = name.as_str().replace('_', "-");
        NOT_THE_MODELS.iter().any(|start| dashed.starts_with(start))
    };
    for name in headers.keys().filter(ours).cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// Leaves of an answer what the caller is to see.
pub fn clean_response(headers: &mut HeaderMap) {
    off_the_connection(headers);
    // The caller would keep it for the API server.
    headers.remove(SET_COOKIE);
}

fn off_the_connection(headers: &mut HeaderMap) {
    let named = headers.get_all(CONNECTION).iter();
    let named = named.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let named = named.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
    let named: Vec<_> = named.collect();
    for name in named.iter().chain(&ONE_CONNECTION) {
        headers.remove(name);
    }
}
