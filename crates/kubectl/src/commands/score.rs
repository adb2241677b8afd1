//! `score`: a request to a model, by way of the cluster's API.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueHint};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Request, StatusCode};

use crate::answer::{self, Answer};
use crate::args::GlobalArgs;
use crate::client::{Cluster, SERVICES};
use crate::failure::Failure;
use crate::input;
use crate::names::Name;
use crate::output;

/// Arguments of `score`.
#[derive(Args)]
#[command(
    group(ArgGroup::new("body").required(true).args(["file", "data"])),
    after_help = "The body goes to the service's score path as it is, and the answer to standard output as it \
        comes.\nAn answer with a status other than 2xx goes to standard error, and the exit code is 1.\n\n\
        Examples:\n  \
        # Score what is in a file\n  \
        kubectl atelier score digits -f examples/score.json\n\n  \
        # Score what another command prints\n  \
        prepare | kubectl atelier score digits -f -\n\n  \
        # Score an image\n  \
        kubectl atelier score digits -f seven.png --content-type image/png"
)]
pub struct ScoreArgs {
    /// The web service.
    pub service: Name,
    /// The body: a file, or - for standard input.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// The body itself.
    #[arg(long, value_name = "STRING", allow_hyphen_values = true)]
    pub data: Option<String>,
    /// A header of the request; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Type of the body; without it or a header, application/json.
    #[arg(long, value_name = "TYPE")]
    pub content_type: Option<String>,
}

// Bodies and headers may hold what is nobody else's business.
impl std::fmt::Debug for ScoreArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScoreArgs")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

/// Does what the arguments say.
pub async fn run(args: ScoreArgs, global: &GlobalArgs) -> Result<(), Failure> {
    let headers = headers(&args.headers, args.content_type.as_deref())?;
    let body = match (args.data, args.file) {
        (Some(data), _) => data.into_bytes(),
        (None, Some(file)) => input::file_or_stdin(&file)?,
        (None, None) => Vec::new(),
    };
    let cluster = Cluster::open(global).await?;
    let mut request = Request::post(cluster.action(SERVICES, &args.service, "score")).body(body)?;
    *request.headers_mut() = headers;
    let mut answer = cluster.send(request).await?;
    if !answer.status().is_success() {
        return Err(refused(answer).await?);
    }
    while let Some(piece) = answer.piece().await? {
        output::bytes(&piece)?;
    }
    Ok(())
}

/// Prints what the service said, unless it was the cluster that spoke.
async fn refused(answer: Answer) -> Result<Failure, Failure> {
    let (code, group) = (answer.status(), answer.group().to_owned());
    let body = answer.whole().await?;
    if let Some(failure) = answer::refusal(code, &body) {
        return Ok(failure);
    }
    if is_the_clusters(code, &body) {
        return Ok(answer::unspoken(code, &body, &group));
    }
    if body.is_empty() {
        output::aside(&format!("the service answered {code}, without a body"));
    } else {
        output::aside_bytes(&body);
    }
    Ok(Failure::Printed)
}

/// What a cluster says that has nobody to ask. A model that says the same, word for word, is mistaken for it.
fn is_the_clusters(code: StatusCode, body: &[u8]) -> bool {
    match code {
        StatusCode::NOT_FOUND => body == b"404 page not found\n",
        StatusCode::SERVICE_UNAVAILABLE => body.trim_ascii() == b"service unavailable",
        _ => false,
    }
}

/// The headers of the request.
fn headers(given: &[String], content_type: Option<&str>) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for line in given {
        let (name, value) = header(line)?;
        if belongs_to_the_connection(&name) {
            return Err(Failure::Usage(format!(
                "the header {name} belongs to the connection with the cluster"
            )));
        }
        headers.append(name, value);
    }
    if let Some(kind) = content_type {
        let value = HeaderValue::from_str(kind)
            .map_err(|_| Failure::Usage("--content-type is no header's value".into()))?;
        headers.insert(CONTENT_TYPE, value);
    }
    let json = HeaderValue::from_static("application/json");
    headers.entry(CONTENT_TYPE).or_insert(json);
    let anything = HeaderValue::from_static("*/*");
    headers.entry(ACCEPT).or_insert(anything);
    Ok(headers)
}

/// A header as curl takes them. What is wrong with it is said without its value.
fn header(line: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| Failure::Usage("a header is NAME: VALUE".into()))?;
    let name: HeaderName = (name.trim().parse())
        .map_err(|_| Failure::Usage("a header's name holds only letters, digits and -".into()))?;
    let value = HeaderValue::from_str(value.trim())
        .map_err(|_| Failure::Usage(format!("the value of header {name} cannot be sent")))?;
    Ok((name, value))
}

/// Headers that say who asks and how the request is carried. Those of another are set with flags, or not at all.
fn belongs_to_the_connection(name: &HeaderName) -> bool {
    let name = name.as_str();
    let exact = [
        "authorization",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let begins = ["impersonate-", "proxy-", "x-remote-"];
    exact.contains(&name) || begins.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(lines: &[&str], content_type: Option<&str>) -> Result<HeaderMap, Failure> {
        let lines: Vec<_> = lines.iter().map(|&line| line.to_owned()).collect();
        headers(&lines, content_type)
    }

    #[test]
    fn a_body_is_json_unless_something_else_is_said() {
        assert_eq!(given(&[], None).unwrap()[CONTENT_TYPE], "application/json");
        let said = given(&["Content-Type: image/png"], None).unwrap();
        assert_eq!(said[CONTENT_TYPE], "image/png");
        let said = given(&["content-type: image/png"], Some("text/csv")).unwrap();
        assert_eq!(said.get_all(CONTENT_TYPE).iter().count(), 1);
        assert_eq!(said[CONTENT_TYPE], "text/csv");
    }

    #[test]
    fn headers_are_taken_as_curl_takes_them() {
        let headers = given(&["X-A: b: c", "x-a:d"], None).unwrap();
        let values: Vec<_> = headers.get_all("x-a").iter().collect();
        assert_eq!(values, ["b: c", "d"]);
    }

    #[test]
    fn a_header_cannot_change_who_asks_and_its_value_is_not_repeated() {
        for line in [
            "Authorization: Bearer s3cret",
            "Impersonate-User: s3cret",
            "Host: s3cret",
            "s3cret",
            "X-A: s3cret\n",
            "X A: s3cret",
            "X-A: s3cret\u{7f}",
        ] {
            match given(&[line], None) {
                Err(failure) => assert!(!failure.to_string().contains("s3cret"), "{line}"),
                Ok(headers) => assert_eq!(headers["x-a"], "s3cret", "{line}"),
            }
        }
    }
}
