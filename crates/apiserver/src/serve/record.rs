//! The log line of an action.

use std::time::Instant;

use http::StatusCode;
use tracing::info;

use crate::action::{ActionInfo, Call, ObjectRef};

/// What is written once the answer has ended. No query, no body and no header: any of them may hold a credential.
pub(super) struct Record {
    begun: Instant,
    user: String,
    action: String,
    verb: &'static str,
    object: ObjectRef,
    audit_id: Option<String>,
    status: Option<StatusCode>,
}

impl Record {
    pub(super) fn new(info: &ActionInfo, call: &Call) -> Self {
        Self {
            begun: Instant::now(),
            user: call.caller.user.clone(),
            action: info.full_name(),
            verb: call.verb.as_str(),
            object: call.object.clone(),
            audit_id: call.audit_id.clone(),
            status: None,
        }
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        info!(
            user = self.user,
            action = self.action,
            verb = self.verb,
            namespace = self.object.namespace,
            name = self.object.name,
            // None: the client went away before there was an answer.
            code = self.status.map(|status| status.as_u16()),
            duration_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            audit_id = self.audit_id,
            "action"
        );
    }
}
