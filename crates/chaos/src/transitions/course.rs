//! The course of a walk: which change follows which. Pure; a seed decides.

use serde_json::Value;

use super::schema::{Leaf, Place, Step, leaves};
use super::subject::{Subject, stands};
use super::values::{Change, changes};
use crate::random::Random;

/// One change of a walk.
#[derive(Clone, Debug)]
pub struct Turn {
    /// The leaf.
    pub place: Place,
    /// What is done to it.
    pub change: Change,
}

/// All changes of a kind, in rounds: each round has one change of each leaf, so that a course that is cut off was fair.
/// The last changes of a leaf are: deleted, and the good value again.
pub fn course(subject: &Subject, only: Option<&str>, seed: u64) -> anyhow::Result<Vec<Turn>> {
    let mut random = Random::new(seed);
    let mut all: Vec<(Leaf, Vec<Change>)> = vec![];
    for leaf in leaves(subject.kind)? {
        let place = leaf.place.to_string();
        if !stands(&place) || only.is_some_and(|only| place != only) {
            continue;
        }
        let mut changes = changes(subject.kind, &leaf, at(&subject.good, &leaf.place));
        let values = changes.len().saturating_sub(2);
        if let Some(values) = changes.get_mut(..values) {
            random.shuffle(values);
        }
        all.push((leaf, changes));
    }
    let rounds = all.iter().map(|(_, changes)| changes.len()).max();
    let mut turns = vec![];
    for round in 0..rounds.unwrap_or_default() {
        let mut these: Vec<_> = all
            .iter()
            .filter_map(|(leaf, changes)| {
                Some(Turn {
                    place: leaf.place.clone(),
                    change: changes.get(round)?.clone(),
                })
            })
            .collect();
        random.shuffle(&mut these);
        turns.extend(these);
    }
    Ok(turns)
}

/// What stands at a place.
pub fn at<'a>(spec: &'a Value, place: &Place) -> Option<&'a Value> {
    place.0.iter().try_fold(spec, |at, step| match step {
        Step::Field(name) => at.get(name),
        Step::Item => at.get(0),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::edit::Edit;
    use super::super::subject::subjects;
    use super::*;

    #[test]
    fn every_leaf_is_set_altered_and_deleted() {
        for subject in subjects() {
            let turns = course(&subject, None, 1).unwrap();
            let leaves = leaves(subject.kind).unwrap();
            for leaf in leaves.iter().filter(|leaf| stands(&leaf.place.to_string())) {
                let of: Vec<_> = turns
                    .iter()
                    .filter(|turn| turn.place == leaf.place)
                    .collect();
                let puts = of.iter().filter(|t| matches!(t.change.edit, Edit::Put(_)));
                let name = format!("{} {}", subject.kind, leaf.place);
                assert!(puts.count() >= 2, "{name}");
                assert!(of.iter().any(|t| t.change.edit == Edit::Delete), "{name}");
                assert!(
                    at(&subject.good, &leaf.place).is_some(),
                    "{name}: no good value"
                );
            }
        }
    }

    #[test]
    fn a_seed_decides_the_course_and_every_beginning_of_it_is_fair() {
        let service = &subjects()[4];
        let text = |seed| format!("{:?}", course(service, None, seed).unwrap());
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
        let leaves = leaves(service.kind).unwrap();
        let all = leaves.iter().filter(|leaf| stands(&leaf.place.to_string()));
        let all = all.count();
        let turns = course(service, None, 7).unwrap();
        let first: BTreeSet<_> = turns[..all]
            .iter()
            .map(|turn| turn.place.to_string())
            .collect();
        assert_eq!(first.len(), all);
    }
}
