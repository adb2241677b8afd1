//! What of a message's header may pass, in both directions. Pure.

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, Version,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
    request::Parts,
};

use crate::{authn::API_KEY, ids, respond::Refusal};

/// The prefix of the headers by which the gateway speaks to the model. Nobody else may use it.
const OURS: &str = "x-atelier-";

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Says which headers belong to one connection only, or describe how a body is framed on it.
static HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    // Set again from the length of the body that is really sent.
    CONTENT_LENGTH,
];

/// What each field of a header counts for beside its bytes, where the size of a header is limited in HTTP/2
/// (RFC 9113, section 6.5.2).
const FIELD: usize = 32;

/// The size of a header by the rule of HTTP/2, in bytes. That of HTTP/1.1 was limited while it was read.
///
/// # Errors
/// [`Refusal::HeaderTooLarge`] for more than `most`.
pub fn check_size(head: &Parts, most: usize) -> Result<(), Refusal> {
    let mut left = match head.version {
        Version::HTTP_2 => most,
        _ => return Ok(()),
    };
    let target = head.uri.path_and_query().map_or(0, |at| at.as_str().len());
    let fields = head.headers.iter();
    let sizes = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD);
    for size in sizes.chain([target]) {
        left = left.checked_sub(size).ok_or(Refusal::HeaderTooLarge)?;
    }
    Ok(())
}

/// Refuses what would be read differently by two readers, and other protocols.
///
/// # Errors
/// [`Refusal::Malformed`] and [`Refusal::Upgrade`].
pub fn check(version: Version, target: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    check_host(version, target, headers)?;
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        // hyper undoes the last one, and forgets that there were others: the model would not be told of them.
        let is_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
        // hyper settles on chunks already; that it does is not left to hyper alone.
        if !is_chunked || codings.next().is_some() || headers.contains_key(CONTENT_LENGTH) {
            return Err(Refusal::Malformed);
        }
    }
    if headers.contains_key(EXPECT)
        && headers
            .get_all(EXPECT)
            .iter()
            .any(|v| !v.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    {
        return Err(Refusal::Malformed);
    }
    // An offer of h2c is a habit of some clients and may be ignored; anything else would be
    // answered with something the client did not ask for.
    let is_h2c = |v: &http::HeaderValue| v.as_bytes().eq_ignore_ascii_case(b"h2c");
    if !headers.get_all(UPGRADE).iter().all(is_h2c) {
        return Err(Refusal::Upgrade);
    }
    Ok(())
}

/// Refuses a request that is for no host, for two, or for one that is none.
fn check_host(version: Version, target: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter().map(HeaderValue::as_bytes);
    let host = hosts.next();
    // In HTTP/1.1 a target without a scheme is that of CONNECT, which is refused for what it is.
    let whole = version == Version::HTTP_2 || target.scheme().is_some();
    let authority = target.authority().filter(|_| whole);
    let authority = authority.map(|authority| authority.as_str().as_bytes());
    let named = match (authority, host) {
        (Some(authority), Some(host)) => authority.eq_ignore_ascii_case(host),
        (Some(_), None) => version != Version::HTTP_11,
        (None, Some(_)) => true,
        (None, None) => version < Version::HTTP_11,
    };
    if named && hosts.next().is_none() && authority.into_iter().chain(host).all(is_host) {
        Ok(())
    } else {
        Err(Refusal::Malformed)
    }
}

/// Whether this is a name or an address, with or without a port. A user's name is no part of it.
fn is_host(host: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%:[]".contains(byte);
    !host.is_empty() && host.iter().all(plain)
}

/// Removes from a request what the model must not see: credentials, everything that claims to
/// come from the gateway, and what concerned only the client's connection.
pub fn clean_request(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers, |name| {
        // Many servers hand headers on as variables, where `-` and `_` are the same.
        let name = name.as_str();
        if name.contains('_') {
            must_not_pass(&name.replace('_', "-"))
        } else {
            must_not_pass(name)
        }
    });
}

fn must_not_pass(name: &str) -> bool {
    let named = |names: &[HeaderName]| names.iter().any(|one| one.as_str() == name);
    name.starts_with(OURS)
        || named(&[AUTHORIZATION, API_KEY, EXPECT, HTTP2_SETTINGS])
        || named(&HOP_BY_HOP)
        // Written anew.
        || named(&ids::NAMES)
}

/// Says in HTTP/1.1 what HTTP/2 says otherwise: the host, and cookies on one line (RFC 9113, section 8.2.3).
pub fn translate(version: Version, target: &Uri, headers: &mut HeaderMap) {
    if version != Version::HTTP_2 {
        return;
    }
    if let Some(authority) = target.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.entry(HOST).or_insert(host);
    }
    let cookies = headers.get_all(COOKIE).iter();
    let cookies: Vec<_> = cookies.map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1 {
        let one = cookies.join(&b"; "[..]);
        if let Ok(one) = HeaderValue::from_bytes(&one) {
            headers.insert(COOKIE, one);
        }
    }
}

/// Removes from a response what concerned only the model's connection.
pub fn clean_response(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers, |_| false);
}

/// Removes what belongs to one connection only, and what is `doomed` besides.
fn remove_hop_by_hop(headers: &mut HeaderMap, doomed: impl Fn(&HeaderName) -> bool) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .filter_map(|option| HeaderName::from_bytes(option.trim_ascii()).ok())
        // A peer may not take away what makes the message a message.
        .filter(|name| *name != HOST)
        .collect();
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| HOP_BY_HOP.contains(name) || named.contains(name) || doomed(name))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(
                    HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                    value.parse().expect("a value"),
                );
                map
            })
    }

    fn left(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn neither_credentials_nor_forged_identities_reach_the_model() {
        let mut map = headers(&[
            ("host", "h"),
            ("Authorization", "Bearer k"),
            ("X-API-Key", "k"),
            ("x_api_key", "k"),
            ("x-atelier-subject", "root"),
            ("X-Atelier-Subject", "root"),
            ("x_atelier_subject", "root"),
            ("X_ATELIER-subject", "root"),
            ("proxy_authorization", "Basic k"),
            ("x_request_id", "1"),
            ("x-ms_client-request_id", "1"),
            ("content_length", "1"),
            ("transfer_encoding", "chunked"),
            ("x-atelierx", "kept"),
            ("x_kept", "kept"),
            ("accept", "*/*"),
        ]);
        clean_request(&mut map);
        assert_eq!(left(&map), ["accept", "host", "x-atelierx", "x_kept"]);
    }

    #[test]
    fn what_concerns_one_connection_stays_on_it() {
        let mut map = headers(&[
            ("host", "h"),
            ("connection", "close, X-Named , host,,@"),
            ("connection", "x-other"),
            ("x-named", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "AA"),
            ("expect", "100-continue"),
            ("content-type", "application/json"),
        ]);
        clean_request(&mut map);
        assert_eq!(left(&map), ["content-type", "host"]);
    }

    #[test]
    fn the_host_of_http_2_is_its_authority_or_else_its_host() {
        let by_authority = Uri::from_static("https://iris.example/score");
        let by_host = Uri::from_static("/score");
        for (target, lines, good) in [
            (&by_authority, &[][..], true),
            (&by_authority, &[("host", "iris.example")], true),
            (&by_authority, &[("host", "other.example")], false),
            (&by_host, &[("host", "iris.example")], true),
            (&by_host, &[], false),
        ] {
            let mut map = headers(lines);
            let checked = check(Version::HTTP_2, target, &map);
            assert_eq!(checked.is_ok(), good, "{target} {lines:?}");
            if good {
                translate(Version::HTTP_2, target, &mut map);
                assert_eq!(map[HOST], "iris.example");
            }
        }
    }

    #[test]
    fn a_whole_target_names_the_host_that_the_header_names() {
        for (target, host, good) in [
            ("http://h/score", "h", true),
            ("http://H/score", "h", true),
            ("http://other/score", "h", false),
            ("http://h:80/score", "h", false),
            ("http://root@h/score", "h", false),
            ("http://root@h/score", "root@h", false),
            // That of CONNECT.
            ("h:80", "h", true),
        ] {
            let map = headers(&[("host", host)]);
            let checked = check(Version::HTTP_11, &Uri::from_static(target), &map);
            assert_eq!(checked.is_ok(), good, "{target} {host}");
        }
    }

    #[test]
    fn cookies_of_http_2_come_on_one_line() {
        let mut map = headers(&[("cookie", "a=1"), ("cookie", "b=2")]);
        translate(Version::HTTP_11, &Uri::from_static("/"), &mut map);
        assert_eq!(map.get_all(COOKIE).iter().count(), 2);
        translate(Version::HTTP_2, &Uri::from_static("/"), &mut map);
        assert_eq!(map.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }

    #[test]
    fn a_header_of_http_2_has_a_size() {
        let size = |version, most| {
            let request = http::Request::get("https://h/score?q").version(version);
            let head = request.header("a", "12").body(()).expect("a request");
            check_size(&head.into_parts().0, most)
        };
        let needs = "/score?q".len() + 3 + FIELD;
        assert_eq!(size(Version::HTTP_2, needs), Ok(()));
        assert_eq!(
            size(Version::HTTP_2, needs - 1),
            Err(Refusal::HeaderTooLarge)
        );
        assert_eq!(size(Version::HTTP_11, 0), Ok(()));
    }

    #[test]
    fn a_request_that_two_readers_could_read_differently_is_refused() {
        const OK: Result<(), Refusal> = Ok(());
        const MALFORMED: Result<(), Refusal> = Err(Refusal::Malformed);
        for (version, lines, expected) in [
            (Version::HTTP_11, &[("host", "h")][..], OK),
            (Version::HTTP_10, &[], OK),
            (Version::HTTP_11, &[], MALFORMED),
            (Version::HTTP_11, &[("host", "a"), ("host", "b")], MALFORMED),
            (Version::HTTP_11, &[("host", "a"), ("host", "a")], MALFORMED),
            (Version::HTTP_10, &[("host", "a"), ("host", "b")], MALFORMED),
            (Version::HTTP_11, &[("host", "")], MALFORMED),
            (Version::HTTP_10, &[("host", "")], MALFORMED),
            (Version::HTTP_11, &[("host", "[::1]:80")], OK),
            (Version::HTTP_11, &[("host", "a, b")], MALFORMED),
            (Version::HTTP_11, &[("host", "a,b")], MALFORMED),
            (Version::HTTP_11, &[("host", "a/b")], MALFORMED),
            (Version::HTTP_11, &[("host", "root@a")], MALFORMED),
            (
                Version::HTTP_11,
                &[("host", "h"), ("transfer-encoding", "Chunked")],
                OK,
            ),
            (
                Version::HTTP_11,
                &[("host", "h"), ("transfer-encoding", "gzip, chunked")],
                MALFORMED,
            ),
            (
                Version::HTTP_11,
                &[
                    ("host", "h"),
                    ("transfer-encoding", "gzip"),
                    ("transfer-encoding", "chunked"),
                ],
                MALFORMED,
            ),
            (
                Version::HTTP_11,
                &[
                    ("host", "h"),
                    ("content-length", "1"),
                    ("transfer-encoding", "chunked"),
                ],
                MALFORMED,
            ),
            (
                Version::HTTP_11,
                &[("host", "h"), ("expect", "100-continue")],
                OK,
            ),
            (
                Version::HTTP_11,
                &[("host", "h"), ("expect", "a-miracle")],
                MALFORMED,
            ),
            (Version::HTTP_11, &[("host", "h"), ("upgrade", "h2c")], OK),
            (
                Version::HTTP_11,
                &[("host", "h"), ("upgrade", "websocket")],
                Err(Refusal::Upgrade),
            ),
            (
                Version::HTTP_11,
                &[("host", "h"), ("upgrade", "h2c"), ("upgrade", "websocket")],
                Err(Refusal::Upgrade),
            ),
        ] {
            let target = Uri::from_static("/score");
            assert_eq!(
                check(version, &target, &headers(lines)),
                expected,
                "{lines:?}"
            );
        }
    }
}
