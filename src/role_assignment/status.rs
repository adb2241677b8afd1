//! The status of a role assignment: pure.

use atelier_api::conditions::{READY, STALLED, reasons};
use atelier_api::{RoleAssignment, RoleAssignmentStatus};
use jiff::Timestamp;

use crate::kit::Error;
use crate::kit::conditions::Conditions;
use crate::kit::contest::Contested;

/// What came of an assignment.
#[derive(Debug)]
pub enum Outcome {
    /// The principal has the role.
    Bound,
    /// Something is in the way.
    Blocked(Error),
    /// It may not be: reason and message.
    Rejected(&'static str, String),
}

/// The status that says so.
pub fn status(
    assignment: &RoleAssignment,
    outcome: &Outcome,
    contested: Option<&Contested>,
    now: Timestamp,
) -> RoleAssignmentStatus {
    let before = assignment
        .status
        .as_ref()
        .map(|s| s.conditions.as_slice())
        .unwrap_or_default();
    let spec = &assignment.spec;
    let (ready, reason, message) = match outcome {
        Outcome::Bound => {
            let message = format!(
                "{:?} {} is {:?}",
                spec.principal.kind, spec.principal.name, spec.role
            );
            (true, reasons::READY, message)
        }
        Outcome::Blocked(error) => (false, error.reason(), error.to_string()),
        Outcome::Rejected(reason, message) => (false, *reason, message.clone()),
    };
    RoleAssignmentStatus {
        observed_generation: assignment.metadata.generation,
        conditions: Conditions::new(before, assignment.metadata.generation, now)
            .set(READY, Some(ready), reason, &message)
            .set_while(!ready, STALLED, reason, &message)
            .contested(contested)
            .build(),
    }
}
