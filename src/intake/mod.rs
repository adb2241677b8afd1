//! The intake: where gateways tell the operator what they are to tell (docs/design/autoscaling.md).
//!
//! Every replica has one, leader or not, over TLS with the certificate that it serves everything by. Who reports shows
//! the token of its pod, and is believed of that pod only. Whoever is on the other side may be an enemy who owns all of
//! their own namespace: what they can make us do or keep is bounded by what we see there ourselves.

mod places;
mod review;
mod serve;
mod token;

use std::sync::Arc;
use std::time::Duration;

use atelier_api::archive::{self, PART_LONGEST, Part};
use atelier_api::report::{LOAD_LONGEST, LOAD_PATH, Load};
use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use kube::Client;
use tokio::time::{Instant, timeout};

use crate::archive::{Archive, Turn};
use crate::kit::child::{ChildKey, ChildKind};
use crate::kit::children::Children;
use crate::kit::metrics::Metrics;
use crate::web_service::gateway_secret_name;
use crate::web_service::scale::Scaler;
use review::{Reviews, Verdict};
pub use serve::serve;
pub use token::{Claim, claim};

/// How long storing a part may take: gateways wait for a little longer.
const STORE: Duration = Duration::from_secs(25);

/// A pod that reports, as far as it was proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// Its namespace.
    pub namespace: String,
    /// The web service whose pod it is.
    pub service: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
}

/// Why a report is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such path.
    NotFound,
    /// Only POST is known.
    Method,
    /// The body is too long.
    TooLong,
    /// The body is no report.
    Malformed,
    /// There is no token, or it is not what it says.
    Token,
    /// There is no such pod, it is none of a gateway, or nobody wants a report of it.
    Unwanted,
    /// The pod asks too often to be recognised.
    TooOften,
    /// The API server does not answer.
    Unavailable,
    /// Too many send at the moment.
    Busy,
    /// It could not be stored, for this reason.
    NotStored(String),
}

impl Refused {
    /// What the gateway is told.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Unwanted => StatusCode::FORBIDDEN,
            Self::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable | Self::Busy | Self::NotStored(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// When the gateway is to come again, where that is worth saying.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy => Some(Duration::from_secs(1)),
            Self::NotStored(_) => Some(Duration::from_secs(5)),
            _ => None,
        }
    }

    /// What it is told besides.
    pub fn sentence(self) -> String {
        match self {
            Self::NotStored(why) => why,
            _ => String::new(),
        }
    }

    /// The label it has in metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NotFound | Self::Method => "NotFound",
            Self::TooLong | Self::Malformed => "Malformed",
            Self::Token => "Token",
            Self::Unwanted => "Unwanted",
            Self::TooOften => "TooOften",
            Self::Unavailable => "Unavailable",
            Self::Busy => "Busy",
            Self::NotStored(_) => "NotStored",
        }
    }
}

/// What can be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// How much there is to do.
    Load,
    /// A part of what is kept.
    Part(archive::Kind, Part),
}

impl Kind {
    /// What a path stands for.
    pub fn of(path: &str) -> Option<Self> {
        if path == LOAD_PATH {
            return Some(Self::Load);
        }
        archive::Kind::part(path).map(|(kind, part)| Self::Part(kind, part))
    }

    /// The longest body, in bytes.
    pub fn longest(self) -> usize {
        match self {
            Self::Load => LOAD_LONGEST,
            Self::Part(..) => PART_LONGEST,
        }
    }
}

/// Recognises who reports, and takes what they say.
pub struct Intake {
    children: Arc<Children>,
    scaler: Arc<Scaler>,
    archive: Arc<Archive>,
    reviews: Reviews,
    metrics: Metrics,
}

impl Intake {
    /// One that has heard of nobody.
    pub fn new(
        client: Client,
        children: Arc<Children>,
        scaler: Arc<Scaler>,
        archive: Arc<Archive>,
        metrics: Metrics,
    ) -> Self {
        Self {
            children,
            scaler,
            archive,
            reviews: Reviews::new(client, metrics.clone()),
            metrics,
        }
    }

    /// Who shows this token, if somebody wants to hear of them. The API server is asked for pods that we know only.
    async fn recognise(&self, kind: Kind, token: &str) -> Result<Reporter, Refused> {
        let claim = token::claim(token).ok_or(Refused::Token)?;
        let reporter = self.known(&claim).ok_or(Refused::Unwanted)?;
        let wanted = match kind {
            Kind::Load => self.scaler.wants(&reporter.namespace, &reporter.service),
            Kind::Part(..) => self.archive.wants(&reporter.namespace, &reporter.service),
        };
        if !wanted {
            return Err(Refused::Unwanted);
        }
        let (now, at) = (Timestamp::now(), Instant::now());
        match self.reviews.judge(token, &claim, now, at).await {
            Verdict::Good => Ok(reporter),
            Verdict::Bad => Err(Refused::Token),
            Verdict::TooOften => Err(Refused::TooOften),
            Verdict::Unavailable => Err(Refused::Unavailable),
        }
    }

    /// The pod of a claim, if it is one of a gateway's, by our own view.
    fn known(&self, claim: &Claim) -> Option<Reporter> {
        let key = ChildKey::new(ChildKind::Pod, &claim.namespace, &claim.pod);
        let seen = self.children.get(&key)?;
        let pod = seen.pod()?;
        let service = pod.instance.as_ref()?;
        let is_one = seen.uid == claim.uid
            && pod.component.as_deref() == Some("webservice")
            && claim.account == gateway_secret_name(service);
        is_one.then(|| Reporter {
            namespace: claim.namespace.clone(),
            service: service.clone(),
            pod: claim.pod.clone(),
            uid: seen.uid.clone(),
        })
    }

    /// A turn to send something long, which is in memory while it is taken. Nothing where the body is short.
    fn turn(&self, kind: Kind, reporter: &Reporter) -> Result<Option<Turn>, Refused> {
        match kind {
            Kind::Load => Ok(None),
            Kind::Part(kind, _) => {
                let turn = self.archive.turn(kind, &reporter.namespace);
                turn.map(Some).ok_or(Refused::Busy)
            }
        }
    }

    /// Takes a report.
    async fn take(&self, kind: Kind, reporter: &Reporter, body: Bytes) -> Result<(), Refused> {
        match kind {
            Kind::Load => {
                let load: Load = serde_json::from_slice(&body).map_err(|_| Refused::Malformed)?;
                self.scaler.report(reporter, load, Instant::now());
                Ok(())
            }
            Kind::Part(kind, part) => {
                let put = timeout(STORE, self.archive.put(reporter, kind, &part, body)).await;
                let put = put.map_err(|_| "it is not stored in time".to_owned());
                let put = put.and_then(|put| put.map_err(|trouble| trouble.to_string()));
                put.map_err(Refused::NotStored)
            }
        }
    }
}
