//! What is kept of a service in the workspace's storage: its records, by `webservices/log?archive=true`, and what was
//! asked and answered, by `webservices/data`, which is another right.

use std::time::Duration;

use atelier_api::WebService;
use atelier_api::actions::CONTINUE;
use atelier_api::archive::Kind;
use atelier_apiserver::{Body, Call, Refusal};
use http::{HeaderValue, Request, Response};
use jiff::{SignedDuration, Timestamp};

use super::Deps;
use super::logs::{number, streamed};
use super::object::get;
use crate::archive::{Cursor, Span};
use crate::workspace::storage::Trouble;

/// How far back is read where nothing is said, and at most.
const DAY: i64 = 24 * 3600;
const MOST_DAYS: i64 = 366;

const GZIP: &str = "application/gzip";

/// The records of a service that its archive has, as they lie there: gzip.
pub async fn records(
    deps: &Deps,
    call: &Call,
    service: &WebService,
) -> Result<Response<Body>, Refusal> {
    let span = span(call, (deps.clock)())?;
    let parts = deps.archive.read(service, span).await;
    let parts = parts.map_err(|trouble| unreadable("the archive", trouble))?;
    Ok(streamed(parts, GZIP))
}

/// Inputs and predictions that were collected of a service, as they lie there: gzip. What is more than a page is told by
/// the header `x-atelier-continue`, whose value is asked for as `continue`.
pub async fn data(deps: Deps, call: Call, _: Request<Body>) -> Result<Response<Body>, Refusal> {
    let service: WebService = get(&deps.client, &call).await?;
    let span = span(&call, (deps.clock)())?;
    let after = call.query_value("continue").filter(|text| !text.is_empty());
    let after = after.map(|text| text.parse::<Cursor>()).transpose();
    let after = after.map_err(|why| Refusal::bad_request(format!("continue: {why}")))?;
    let page = deps.archive.page(Kind::Data, &service, span, after).await;
    let (parts, next) = page.map_err(|trouble| unreadable("collected data", trouble))?;
    let mut response = streamed(parts, GZIP);
    let next = next.map(|next| HeaderValue::try_from(next.to_string()));
    if let Some(next) = next.transpose().map_err(|_| foreign())? {
        response.headers_mut().insert(CONTINUE, next);
    }
    Ok(response)
}

fn foreign() -> Refusal {
    Refusal::conflict(
        "an object among the collected data has a name that no gateway gives: take it away",
    )
}

fn unreadable(what: &str, trouble: Trouble) -> Refusal {
    let message = format!("{what} cannot be read: {trouble}");
    match trouble {
        Trouble::Problem(_) => Refusal::conflict(message),
        Trouble::Untried(_) => Refusal::unavailable(message, Duration::from_secs(1)),
    }
}

/// From when to when, as a log's `sinceTime` and `sinceSeconds`, and `untilTime`.
fn span(call: &Call, now: Timestamp) -> Result<Span, Refusal> {
    let time = |name: &str| match call.query_value(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => text.parse::<Timestamp>().map(Some).map_err(|_| {
            Refusal::bad_request(format!("{name} is a time, as 2026-01-04T04:00:00Z"))
        }),
    };
    let back = number(call, "sinceSeconds")?.unwrap_or(DAY);
    let until = time("untilTime")?.unwrap_or(now).min(now);
    let since = match time("sinceTime")? {
        Some(since) => since,
        None => now - SignedDuration::from_secs(back.min(MOST_DAYS * DAY)),
    };
    if until.duration_since(since) > SignedDuration::from_secs(MOST_DAYS * DAY) {
        let message = format!(
            "{MOST_DAYS} days are read at most at a time; ask for fewer, by sinceTime and untilTime"
        );
        return Err(Refusal::bad_request(message));
    }
    Ok(Span { since, until })
}
