//! One action: who asks, what for, may they, and what comes of it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use http::{HeaderName, HeaderValue, Request, Response};
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, timeout_at};

use super::record::Record;
use super::router::App;
use super::stream::Stream;
use crate::action::{Action, Call, Verb};
use crate::body::Body;
use crate::caller::Caller;
use crate::path::ActionPath;
use crate::refusal::{Reason, Refusal};
use crate::reply;
use crate::review::review;

/// When a server that has just started knows whom to believe.
const SOON: Duration = Duration::from_secs(1);
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

impl App {
    /// Answers what follows `/apis/{group}/{version}` in a path.
    pub(super) async fn act(
        &self,
        chain: &[CertificateDer<'static>],
        path: &str,
        mut request: Request<Body>,
    ) -> Response<Body> {
        // First of all: whatever else is wrong is told only to whom the API server let through.
        let Some(caller) = self.front_proxy.caller(chain, request.headers()) else {
            return reply::refuse(&self.stranger());
        };
        // An action that passes headers on must not pass these on.
        self.front_proxy.strip(request.headers_mut());
        let audit_id = request.headers().get(AUDIT_ID).cloned();
        let mut response = self.known(caller, path, request).await;
        if let Some(id) = audit_id {
            response.headers_mut().insert(AUDIT_ID, id);
        }
        response
    }

    /// What is told to whoever is not believed. A server that has just started knows nobody: to tell the API server's
    /// proxy that its caller is nobody would be wrong, and it would be passed on.
    fn stranger(&self) -> Refusal {
        match self.front_proxy.is_known() {
            true => Refusal::new(Reason::Unauthorized, "Unauthorized"),
            false => Refusal::unavailable("just started; ask again", SOON),
        }
    }

    /// A request of a caller who is known.
    async fn known(&self, caller: Caller, path: &str, request: Request<Body>) -> Response<Body> {
        let found = ActionPath::parse(path).and_then(|path| {
            let action = self.actions.find(path.resource, path.subresource)?;
            (path.rest.is_empty() || action.info.rest).then_some((path, action))
        });
        let Some((path, action)) = found else {
            return reply::refuse(&reply::nowhere());
        };
        let verb = Verb::of(request.method()).filter(|verb| action.info.verbs.contains(verb));
        let Some(verb) = verb else {
            return reply::method_not_allowed(&action.info.methods());
        };
        let call = Call {
            caller,
            object: path.object,
            verb,
            rest: path.rest.to_owned(),
            query: request.uri().query().map(str::to_owned),
            audit_id: request
                .headers()
                .get(AUDIT_ID)
                .and_then(audit_id)
                .map(str::to_owned),
        };
        self.run(action, call, request).await
    }

    async fn run(&self, action: &Action, call: Call, request: Request<Body>) -> Response<Body> {
        let ordinary = !action.info.long_running;
        let deadline = ordinary.then(|| Instant::now() + self.limit);
        let running = ordinary.then(|| self.phases.requests.token());
        // Dropped with the answer's last byte, or before if the client goes away; then it writes the log line.
        let mut record = Record::new(&action.info, &call);
        let answer = async {
            review(
                &self.client,
                &call.caller,
                call.verb,
                &action.info,
                &call.object,
            )
            .await?;
            let handled = AssertUnwindSafe((action.handler)(call, request)).catch_unwind();
            handled
                .await
                .unwrap_or_else(|_| Err(Refusal::internal("a defect of the action")))
        };
        let answer = match deadline {
            Some(deadline) => timeout_at(deadline, answer).await.unwrap_or_else(|_| {
                let message = format!("not done within {:?}", self.limit);
                Err(Refusal::new(Reason::Timeout, message))
            }),
            None => answer.await,
        };
        let response = answer.unwrap_or_else(|refusal| reply::refuse(&refusal));
        record.answered(response.status());
        response.map(|body| {
            // A long-running answer is cut off when we go: it must not look as if it were complete.
            let cut = match deadline {
                Some(_) => self.phases.killed.clone(),
                None => self.phases.cut.clone(),
            };
            Stream::new(body, deadline, cut, (record, running)).boxed()
        })
    }
}

/// An audit id, if it is one that may stand in a log.
fn audit_id(value: &HeaderValue) -> Option<&str> {
    value
        .to_str()
        .ok()
        .filter(|id| (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic()))
}
