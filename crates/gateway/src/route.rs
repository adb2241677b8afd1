//! Which request means what. Pure: method and path in, a route or a refusal out.
//!
//! Paths are compared byte by byte with what the client sent, undecoded: those bytes are the ones
//! that are forwarded, so what is exempt here cannot be something else for the model.

use std::{fmt, str::FromStr};

use http::Method;

use crate::respond::Refusal;

/// Where the model's description is.
pub const SWAGGER_PATH: &str = "/swagger.json";

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `GET /`: is anybody there? The only route without a credential.
    Health,
    /// The score path.
    Score,
    /// `GET /swagger.json`.
    Swagger,
}

/// Finds the route of a request.
///
/// # Errors
/// [`Refusal::NotFound`] for another path, [`Refusal::MethodNotAllowed`] for another method.
pub fn route(method: &Method, path: &str, score_path: &ScorePath) -> Result<Route, Refusal> {
    let Some((route, allow)) = known(path, score_path) else {
        // The target of CONNECT is no path, so no path can be unknown.
        return Err(match *method {
            Method::CONNECT => Refusal::MethodNotAllowed { allow: SCORE },
            _ => Refusal::NotFound,
        });
    };
    if allow.split(", ").any(|allowed| allowed == method.as_str()) {
        Ok(route)
    } else {
        Err(Refusal::MethodNotAllowed { allow })
    }
}

/// The methods of a path, as a header lists them, if a page in a browser may ask for it with a credential.
#[must_use]
pub fn methods(path: &str, score_path: &ScorePath) -> Option<&'static str> {
    let (route, methods) = known(path, score_path)?;
    (route != Route::Health).then_some(methods)
}

const SCORE: &str = "POST, GET, OPTIONS";

/// What is at a path, and its methods.
fn known(path: &str, score_path: &ScorePath) -> Option<(Route, &'static str)> {
    match path {
        _ if path == score_path.as_str() => Some((Route::Score, SCORE)),
        SWAGGER_PATH => Some((Route::Swagger, "GET")),
        "/" => Some((Route::Health, "GET")),
        _ => None,
    }
}

/// The path that scores: absolute, plain, and none of the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScorePath(String);

impl ScorePath {
    /// The path as clients send it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ScorePath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&b);
        if text == "/" || text == SWAGGER_PATH {
            return Err("this path is the gateway's own");
        }
        let segments_ok = text
            .split('/')
            .skip(1)
            .all(|segment| !matches!(segment, "" | "." | ".."));
        if text.starts_with('/') && text.len() <= 256 && segments_ok && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "a score path is like /score: from the root, without empty or dotted segments, escapes or a query",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_paths_and_methods_have_a_route() {
        const NOT_FOUND: Result<Route, Refusal> = Err(Refusal::NotFound);
        let not_allowed = |allow| Err(Refusal::MethodNotAllowed { allow });
        let score_path: ScorePath = "/score".parse().expect("valid");
        for (method, path, expected) in [
            ("POST", "/score", Ok(Route::Score)),
            ("GET", "/score", Ok(Route::Score)),
            ("OPTIONS", "/score", Ok(Route::Score)),
            ("PUT", "/score", not_allowed("POST, GET, OPTIONS")),
            ("HEAD", "/score", not_allowed("POST, GET, OPTIONS")),
            ("post", "/score", not_allowed("POST, GET, OPTIONS")),
            ("GET", "/", Ok(Route::Health)),
            ("POST", "/", not_allowed("GET")),
            ("GET", "/swagger.json", Ok(Route::Swagger)),
            ("POST", "/swagger.json", not_allowed("GET")),
            ("CONNECT", "", not_allowed("POST, GET, OPTIONS")),
            ("OPTIONS", "*", NOT_FOUND),
            ("POST", "/score/", NOT_FOUND),
            ("POST", "//score", NOT_FOUND),
            ("POST", "/Score", NOT_FOUND),
            ("POST", "/score;x", NOT_FOUND),
            ("POST", "/%73core", NOT_FOUND),
            ("POST", "/a/../score", NOT_FOUND),
            ("GET", "//", NOT_FOUND),
            ("GET", "/./", NOT_FOUND),
            ("GET", "/%2e", NOT_FOUND),
        ] {
            let method = Method::from_bytes(method.as_bytes()).expect("a token");
            assert_eq!(
                route(&method, path, &score_path),
                expected,
                "{method} {path}"
            );
        }
    }

    #[test]
    fn a_score_path_is_plain_and_from_the_root() {
        for good in ["/score", "/api/v1/service/iris/score", "/a.b"] {
            assert!(good.parse::<ScorePath>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "score",
            "/",
            "/swagger.json",
            "//score",
            "/score/",
            "/a/../b",
            "/a?b",
            "/a#b",
            "/a%20b",
            "/a b",
            "/é",
        ] {
            assert!(bad.parse::<ScorePath>().is_err(), "{bad}");
        }
    }
}
