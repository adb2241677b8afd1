//! The way of a part: to whichever replica of the operator takes it.

use std::{sync::Arc, time::Duration};

use atelier_api::archive::{Kind, Part};
use bytes::Bytes;
use http::StatusCode;
use tokio::{sync::Mutex, time::timeout};
use uuid::Uuid;

use crate::{
    logging::chain,
    report::way::{Answered, Connection, Way, WayError},
    telemetry::{pipe::Carry, way::Answer},
};

/// How long an answer may take: the operator writes to the workspace's storage meanwhile.
const ANSWER: Duration = Duration::from_secs(30);

/// Carries parts to the operator.
pub struct Carrier {
    kind: Kind,
    way: Arc<Way>,
    /// The one that took the last part.
    connection: Mutex<Option<Connection>>,
}

impl Carrier {
    /// Parts of this kind, by this way.
    pub fn new(kind: Kind, way: Arc<Way>) -> Self {
        Self {
            kind,
            way,
            connection: Mutex::default(),
        }
    }

    async fn post(&self, part: Part, body: Bytes) -> Result<Answered, WayError> {
        let mut kept = self.connection.lock().await;
        let mut open = match kept.take().filter(|open| self.way.is_current(open)) {
            Some(open) => open,
            None => self.connect().await?,
        };
        let path = format!("{}{part}", self.kind.path());
        let posted = self.way.post(&mut open, &path, "application/gzip", body);
        let answered = timeout(ANSWER, posted)
            .await
            .map_err(|_| WayError::Late)??;
        // One that does not take it may be another's to take.
        if answered.status.is_success() {
            *kept = Some(open);
        }
        Ok(answered)
    }

    /// To any of the replicas: the first that can be reached, beginning anywhere.
    async fn connect(&self) -> Result<Connection, WayError> {
        let mut replicas: Vec<_> = self.way.replicas().await?.into_iter().collect();
        let first = Uuid::new_v4().as_u128() as usize % replicas.len().max(1);
        replicas.rotate_left(first);
        let mut failed = WayError::Nobody;
        for address in replicas {
            match self.way.connect(address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

impl Carry for Carrier {
    type Load = (Part, Bytes);

    async fn send(&self, (part, body): (Part, Bytes)) -> Answer {
        match self.post(part, body).await {
            Ok(answered) => judge(answered),
            Err(error) => Answer::again(&chain(&error)),
        }
    }
}

/// What an answer comes to. A replica that does not know this pod yet, or its token, will.
fn judge(answered: Answered) -> Answer {
    let Answered {
        status,
        retry_after,
        said,
    } = answered;
    let said = match said.is_empty() {
        true => format!("the operator answered {status}"),
        false => format!("the operator answered {status}: {said}"),
    };
    match status {
        StatusCode::OK | StatusCode::NO_CONTENT => Answer::Taken(0, String::new()),
        StatusCode::BAD_REQUEST
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::PAYLOAD_TOO_LARGE => Answer::Refused(said),
        _ => Answer::Again(retry_after, said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_replica_will_ever_take_is_given_up_at_once() {
        let judged = |status: u16| {
            judge(Answered {
                status: StatusCode::from_u16(status).expect("a status"),
                retry_after: Some(Duration::from_secs(7)),
                said: "why".into(),
            })
        };
        for status in [200, 204] {
            assert_eq!(judged(status), Answer::Taken(0, String::new()));
        }
        for status in [401, 403, 408, 429, 500, 502, 503] {
            let wait = Some(Duration::from_secs(7));
            assert!(
                matches!(judged(status), Answer::Again(after, why) if after == wait && why.ends_with(": why")),
                "{status}"
            );
        }
        for status in [400, 404, 405, 413] {
            assert!(matches!(judged(status), Answer::Refused(_)), "{status}");
        }
    }
}
