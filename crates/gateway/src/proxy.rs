//! A request from header to answer. Asks the pure parts in their order and acts on what they say.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, EXPECT},
    request::Parts,
};
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::{
    authn::{self, Denied, Permit},
    body::{ReplyBody, RequestBody},
    cors::Cors,
    headers,
    ids::RequestIds,
    limits::{Limits, Turn},
    loopback::gate::Gate,
    model::{Model, ModelBody},
    policy::Store,
    record::Outcome,
    respond::{self, Refusal},
    route::{self, Route, ScorePath, route},
    server::Handler,
    telemetry::trace::Trace,
    ticket::{Reporter, Ticket},
};

/// The gateway of one replica of one web service.
#[derive(Debug)]
pub struct Gateway {
    /// The path that scores.
    pub score_path: ScorePath,
    /// The service's name, for its generic description.
    pub service: String,
    /// Who may call.
    pub policy: Arc<Store>,
    /// From which pages.
    pub cors: Cors,
    /// Whether the gateway is the only way in.
    pub gate: Arc<Gate>,
    /// How much at once, how large, how long.
    pub limits: Limits,
    /// The largest header, in bytes, where it was not limited while it was read.
    pub max_header: usize,
    /// The model.
    pub model: Model,
    /// Where accounts of requests go.
    pub reporter: Arc<Reporter>,
}

/// When and by which way a request came in.
#[derive(Clone, Copy)]
struct Arrival {
    at: Instant,
    origin: Origin,
}

/// A request that may go to the model, with all that is needed for it.
struct Admitted {
    permit: Permit,
    turn: Turn,
    route: Route,
}

/// What the client gets.
enum Answer {
    Own(Response<Bytes>),
    Model(Response<ModelBody>, Turn),
}

/// By which way a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The public listener, by whomever.
    Public,
    /// The operator's listener, by the operator.
    Operator,
    /// The operator's listener, by somebody who is not the operator any more.
    Stranger,
}

impl Handler for Gateway {
    async fn handle(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        self.answer(Origin::Public, request).await
    }

    fn failed(&self, error: &hyper::Error) {
        self.unreadable(error);
    }
}

impl Gateway {
    /// Answers a request.
    pub async fn answer(&self, origin: Origin, request: Request<Incoming>) -> Response<ReplyBody> {
        let at = Instant::now();
        let (head, incoming) = request.into_parts();
        let route = route(&head.method, head.uri.path(), &self.score_path);
        let only_way_in = self.gate.confirm(at).await;
        let mut response = if route == Ok(Route::Health) && only_way_in.is_ok() {
            respond::healthy().map(ReplyBody::unrecorded)
        } else {
            let arrival = Arrival { at, origin };
            self.handle_recorded(arrival, &head, incoming, only_way_in.and(route))
                .await
        };
        if head.version == Version::HTTP_2 {
            // It has no such header: a connection ends by a message of its own.
            response.headers_mut().remove(CONNECTION);
        } else if self.reporter.lifecycle.is_draining() {
            response.headers_mut().insert(CONNECTION, respond::CLOSE);
        }
        response
    }

    /// Accounts for a connection that failed, most often on what is no HTTP.
    pub fn unreadable(&self, error: &hyper::Error) {
        tracing::debug!(%error, "a client's connection failed");
        // hyper has answered already, with these statuses; what it could not read cannot be recorded.
        if error.is_parse() {
            let (status, outcome) = if error.is_parse_too_large() {
                (
                    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                    Outcome::HeaderTooLarge,
                )
            } else {
                (StatusCode::BAD_REQUEST, Outcome::BadRequest)
            };
            let nothing = Request::new(()).into_parts().0;
            let ids = RequestIds::read(&nothing.headers, || Uuid::now_v7().to_string());
            let mut ticket = Ticket::open(
                &self.reporter,
                &nothing,
                &ids,
                Timestamp::now(),
                Instant::now(),
            );
            ticket.unreadable();
            ticket.answered(status);
            ticket.close(outcome);
        }
    }

    async fn handle_recorded(
        &self,
        arrival: Arrival,
        head: &Parts,
        incoming: Incoming,
        route: Result<Route, Refusal>,
    ) -> Response<ReplyBody> {
        let ids = RequestIds::read(&head.headers, || Uuid::now_v7().to_string());
        let mut ticket = Ticket::open(&self.reporter, head, &ids, Timestamp::now(), arrival.at);
        let awaits_leave = head.headers.contains_key(EXPECT);
        let mut body = RequestBody::new(
            incoming,
            self.limits.max_body,
            ticket.passed(),
            awaits_leave,
        );
        let deadline = arrival.at + self.limits.timeout;
        let answer = match self.check(head, &ids) {
            Err(refusal) => Err(refusal),
            Ok(Some(own)) => Ok(Answer::Own(own)),
            Ok(None) => match self.admit(arrival, head, &body, route, &mut ticket).await {
                Ok(admitted) => {
                    // A preflight that the model answers is no call.
                    if admitted.route == Route::Score && head.method != Method::OPTIONS {
                        body.collect(ticket.collect(&head.headers));
                    }
                    let forwarding = self.forward(admitted, head, body, &ids, ticket.trace());
                    match timeout_at(deadline, forwarding).await {
                        Ok(answer) => answer,
                        Err(_elapsed) => Err(Refusal::TimedOut),
                    }
                }
                Err(refusal) => Err(refusal),
            },
        };
        let mut response = match answer {
            Ok(Answer::Model(response, turn)) => {
                ticket.answered_by_model(response.status(), response.headers());
                response.map(|incoming| ReplyBody::model(incoming, turn, deadline, ticket))
            }
            Ok(Answer::Own(response)) => {
                ticket.answered(response.status());
                response.map(|bytes| ReplyBody::own(bytes, ticket, Outcome::Completed))
            }
            Err(refusal) => {
                ticket.answered(refusal.status());
                respond::refuse(refusal, ids.request_id())
                    .map(|bytes| ReplyBody::own(bytes, ticket, refusal.outcome()))
            }
        };
        ids.write(response.headers_mut());
        self.cors.allow(&head.headers, response.headers_mut());
        response
    }

    /// Whether a header is one. Answers a browser that only asks whether it may ask: it does so without a credential,
    /// and the model is not to decide.
    fn check(&self, head: &Parts, ids: &RequestIds) -> Result<Option<Response<Bytes>>, Refusal> {
        headers::check_size(head, self.max_header)?;
        headers::check(head.version, &head.uri, &head.headers)?;
        ids.check()?;
        let methods = route::methods(head.uri.path(), &self.score_path);
        Ok(methods.and_then(|methods| self.cors.preflight(&head.method, &head.headers, methods)))
    }

    /// Decides on a request by its header alone, and waits for its turn.
    async fn admit(
        &self,
        arrival: Arrival,
        head: &Parts,
        body: &RequestBody,
        route: Result<Route, Refusal>,
        ticket: &mut Ticket,
    ) -> Result<Admitted, Refusal> {
        let route = route?;
        let permit = self.authenticate(arrival.origin, &head.headers, ticket)?;
        self.limits.check_announced(body)?;
        let turn = self.limits.turn(arrival.at).await?;
        let now = Instant::now();
        ticket.forwarded(now - arrival.at, now);
        Ok(Admitted {
            permit,
            turn,
            route,
        })
    }

    /// Who asks, and may they? By the policy on the public listener; by the operator's word on its own.
    fn authenticate(
        &self,
        origin: Origin,
        headers: &HeaderMap,
        ticket: &mut Ticket,
    ) -> Result<Permit, Refusal> {
        let (judged, refusal): (_, fn(Denied) -> Refusal) = match origin {
            Origin::Public => {
                let live = self.policy.current().ok_or(Refusal::NotReady)?;
                ticket.judged(authn::mode_name(live.policy.mode()));
                let judged = authn::authenticate(&live, headers, Timestamp::now());
                (judged, Refusal::Denied)
            }
            Origin::Operator | Origin::Stranger => {
                ticket.judged(authn::VOUCHED);
                let judged = match origin {
                    Origin::Operator => authn::vouched(headers),
                    _ => Err(Denied::Wrong),
                };
                (judged, Refusal::Unvouched)
            }
        };
        let permit = judged.map_err(|denied| {
            self.reporter.metrics.denied(denied);
            refusal(denied)
        })?;
        if let Some(subject) = permit.subject() {
            ticket.called_by(subject);
        }
        Ok(permit)
    }

    async fn forward(
        &self,
        admitted: Admitted,
        head: &Parts,
        body: RequestBody,
        ids: &RequestIds,
        trace: Option<Trace>,
    ) -> Result<Answer, Refusal> {
        let Admitted {
            permit,
            turn,
            route,
        } = admitted;
        let mut to_model = head.headers.clone();
        headers::clean_request(&mut to_model);
        headers::translate(head.version, &head.uri, &mut to_model);
        ids.write(&mut to_model);
        if let Some(trace) = trace {
            trace.write(&mut to_model);
        }
        if let Some(subject) = permit.subject() {
            to_model.insert(authn::SUBJECT, subject.clone());
        }
        let mut response = self
            .model
            .send(permit, head.method.clone(), &head.uri, to_model, body)
            .await?;
        if route == Route::Swagger && response.status() == StatusCode::NOT_FOUND {
            return Ok(Answer::Own(respond::generic_openapi(
                &self.service,
                self.score_path.as_str(),
            )));
        }
        headers::clean_response(response.headers_mut());
        Ok(Answer::Model(response, turn))
    }
}
