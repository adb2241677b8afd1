//! Calls out of pages in browsers: which origins may read an answer (the Fetch standard, "CORS protocol"). Pure.
//!
//! A credential is no cookie here but a header that the page itself sets, so none is ever "allowed with credentials".

use std::str::FromStr;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Uri,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

/// Seconds for which a browser need not ask again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// What else of an answer's header a page may read.
const EXPOSED: HeaderValue = HeaderValue::from_static("x-request-id, x-ms-request-id, retry-after");

/// On what the answer to a preflight depends.
const VARIES: HeaderValue = HeaderValue::from_static(
    "origin, access-control-request-method, access-control-request-headers",
);

/// Whose pages may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Everybody's.
    Any,
    /// Those of one scheme, host and port, as browsers write them.
    One(HeaderValue),
}

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "an origin is like https://app.example.com: a scheme and a host, in lower case, without a path";
        if text == "*" {
            return Ok(Self::Any);
        }
        let uri: Uri = text.parse().map_err(|_| WRONG)?;
        let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or(WRONG)?;
        // Compared byte by byte with what a browser sends: what could never be equal is a mistake.
        if text == format!("{scheme}://{authority}")
            && !text
                .bytes()
                .any(|byte| byte.is_ascii_uppercase() || byte == b'@')
        {
            HeaderValue::from_str(text)
                .map(Self::One)
                .map_err(|_| WRONG)
        } else {
            Err(WRONG)
        }
    }
}

/// The origins whose pages may call. Without any nothing is said, and browsers let no page read an answer, unless the
/// model itself says something.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    origins: Vec<Origin>,
}

impl Cors {
    /// Lets these in.
    #[must_use]
    pub fn new(origins: Vec<Origin>) -> Self {
        Self { origins }
    }

    /// What an origin is told that it may be, if it may.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        self.origins.iter().find_map(|allowed| match allowed {
            Origin::Any => Some(HeaderValue::from_static("*")),
            Origin::One(one) => (one == origin).then(|| one.clone()),
        })
    }

    /// The answer to a browser that asks whether a page may call, if that is what is asked. `methods` are those that
    /// the path has.
    #[must_use]
    pub fn preflight(
        &self,
        method: &Method,
        headers: &HeaderMap,
        methods: &'static str,
    ) -> Option<Response<Bytes>> {
        let origin = headers.get(ORIGIN)?;
        headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        if self.origins.is_empty() || *method != Method::OPTIONS {
            return None;
        }
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        if self.allowed(origin).is_some() {
            let methods = HeaderValue::from_static(methods);
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            // Those that nobody may set are taken off in any case.
            if let Some(wanted) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
            }
            answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        answer.insert(VARY, VARIES);
        Some(response)
    }

    /// Lets the page that has asked read the answer, if it may. Whatever the model says of that does not count.
    pub fn allow(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        answer.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
        if answer.get(VARY) != Some(&VARIES) {
            answer.append(VARY, HeaderValue::from_static("origin"));
        }
        if let Some(allowed) = request.get(ORIGIN).and_then(|origin| self.allowed(origin)) {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str]) -> Cors {
        Cors::new(origins.iter().map(|o| o.parse().expect("one")).collect())
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            let value = HeaderValue::from_static(value);
            (http::HeaderName::from_static(name), value)
        };
        lines.iter().map(line).collect()
    }

    const ASKS: [(&str, &str); 3] = [
        ("origin", "https://app.example.com"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization, x-mine"),
    ];

    #[test]
    fn an_origin_is_what_a_browser_writes() {
        for good in [
            "*",
            "https://app.example.com",
            "http://localhost:3000",
            "https://[::1]:8443",
        ] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "null",
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/a",
            "https://App.example.com",
            "https://u@app.example.com",
            "https://a b",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_preflight_of_an_allowed_page_is_granted() {
        let (cors, asks) = (cors(&["https://app.example.com"]), headers(&ASKS));
        let answer = cors.preflight(&Method::OPTIONS, &asks, "POST, GET");
        let mut answer = answer.expect("an answer");
        cors.allow(&asks, answer.headers_mut());
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let headers = answer.headers();
        assert_eq!(
            headers[ACCESS_CONTROL_ALLOW_ORIGIN],
            "https://app.example.com"
        );
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], "POST, GET");
        assert_eq!(
            headers[ACCESS_CONTROL_ALLOW_HEADERS],
            "authorization, x-mine"
        );
        assert_eq!(headers.get_all(VARY).iter().count(), 1);
    }

    #[test]
    fn another_page_is_told_nothing() {
        let (cors, asks) = (cors(&["https://other.example.com"]), headers(&ASKS));
        let mut answer = cors
            .preflight(&Method::OPTIONS, &asks, "POST")
            .expect("an answer");
        cors.allow(&asks, answer.headers_mut());
        let names = answer.headers().keys().map(http::HeaderName::as_str);
        assert_eq!(names.collect::<Vec<_>>(), ["vary"]);
        // What the model says does not count either.
        let mut of_model = headers(&[("access-control-allow-origin", "*")]);
        cors.allow(&asks, &mut of_model);
        assert!(!of_model.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    }

    #[test]
    fn only_a_preflight_is_one() {
        let cors = cors(&["*"]);
        let asks = headers(&ASKS);
        assert!(cors.preflight(&Method::POST, &asks, "POST").is_none());
        for missing in 0..2 {
            let lines = ASKS.iter().enumerate().filter(|(n, _)| *n != missing);
            let lines: Vec<_> = lines.map(|(_, line)| *line).collect();
            let part = headers(&lines);
            assert!(cors.preflight(&Method::OPTIONS, &part, "POST").is_none());
        }
        // Nobody has asked for any of it.
        let none = Cors::default();
        assert!(none.preflight(&Method::OPTIONS, &asks, "POST").is_none());
        let mut of_model = headers(&[("access-control-allow-origin", "*")]);
        none.allow(&asks, &mut of_model);
        assert_eq!(of_model.len(), 1);
    }
}
