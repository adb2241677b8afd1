//! Conditions: built anew on each pass, keeping the time of the last transition.

use atelier_api::conditions::{DRIFT_CONTESTED, reasons};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::contest::Contested;

/// Longest message that is written; longer ones end in an ellipsis.
const LONGEST: usize = 1000;

/// All of a condition but its type and times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// `None` for `Unknown`.
    pub status: Option<bool>,
    /// Why.
    pub reason: &'a str,
    /// The same as a sentence.
    pub message: String,
}

/// Builds the list of conditions of one status.
pub struct Conditions<'a> {
    before: &'a [Condition],
    generation: Option<i64>,
    now: Timestamp,
    after: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// Begins with what stood in the status before.
    pub fn new(before: &'a [Condition], generation: Option<i64>, now: Timestamp) -> Self {
        Self {
            before,
            generation,
            now,
            after: vec![],
        }
    }

    /// Sets a condition: `Some(true)`, `Some(false)`, or `None` for `Unknown`.
    #[must_use]
    pub fn set(mut self, type_: &str, status: Option<bool>, reason: &str, message: &str) -> Self {
        let status = match status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let same = self
            .before
            .iter()
            .find(|c| c.type_ == type_ && c.status == status);
        self.after.push(Condition {
            type_: type_.into(),
            status: status.into(),
            reason: reason.into(),
            message: shortened(message),
            observed_generation: self.generation,
            last_transition_time: same.map_or(Time(whole_second(self.now)), |c| {
                c.last_transition_time.clone()
            }),
        });
        self
    }

    /// Sets a condition that is there only while true.
    #[must_use]
    pub fn set_while(self, holds: bool, type_: &str, reason: &str, message: &str) -> Self {
        if holds {
            self.set(type_, Some(true), reason, message)
        } else {
            self
        }
    }

    /// Sets a condition of which the rest is known, or leaves it out.
    #[must_use]
    pub fn told(self, type_: &str, told: Option<&Told>) -> Self {
        match told {
            Some(told) => self.set(type_, told.status, told.reason, &told.message),
            None => self,
        }
    }

    /// Leaves a condition as it was, if it was there.
    #[must_use]
    pub fn keep(mut self, type_: &str) -> Self {
        let before = of_type(self.before, type_);
        self.after.extend(before.cloned());
        self
    }

    /// Tells of somebody who insists on changing a child, while there is such a one.
    #[must_use]
    pub fn contested(self, contested: Option<&Contested>) -> Self {
        match contested {
            Some(told) => self.set(
                DRIFT_CONTESTED,
                Some(true),
                reasons::CONTESTED,
                &told.message,
            ),
            None => self,
        }
    }

    /// The list.
    pub fn build(self) -> Vec<Condition> {
        self.after
    }
}

/// The condition of this type, if there is one: there is never a second.
pub fn of_type<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|told| told.type_ == type_)
}

/// What a condition said before, for as long as nothing else is known.
pub fn kept<'a>(before: &'a [Condition], type_: &str) -> Option<(Option<bool>, &'a str, &'a str)> {
    let told = of_type(before, type_)?;
    let status = match told.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    };
    Some((status, &told.reason, &told.message))
}

/// Kubernetes keeps whole seconds; what is compared with what was read must be one too.
pub fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// At most [`LONGEST`] bytes, cut between characters.
pub fn shortened(message: &str) -> String {
    if message.len() <= LONGEST {
        return message.to_owned();
    }
    let mut end = LONGEST;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_changes_with_the_status_only() {
        let (t1, t2) = (
            Timestamp::from_second(100).expect("valid"),
            Timestamp::from_second(200).expect("valid"),
        );
        let first = Conditions::new(&[], Some(1), t1)
            .set("Ready", Some(false), "A", "a")
            .build();
        let second = Conditions::new(&first, Some(2), t2)
            .set("Ready", Some(false), "B", "b")
            .build();
        assert_eq!(
            (second[0].last_transition_time.0, second[0].reason.as_str()),
            (t1, "B")
        );
        let third = Conditions::new(&second, Some(2), t2)
            .set("Ready", Some(true), "C", "c")
            .build();
        assert_eq!(third[0].last_transition_time.0, t2);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let cut = shortened(&"é".repeat(900));
        assert!(cut.len() <= LONGEST + "…".len() && cut.ends_with('…'));
    }
}
