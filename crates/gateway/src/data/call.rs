//! A call while it is collected, and once it waits to be written.

use std::sync::{Arc, Mutex, Weak};

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;

use super::{
    budget::{Budget, Hold},
    content::Skipped,
    line::Taken,
    locked,
    side::Side,
};
use crate::ids::RequestIds;

/// Bytes that each call takes beside its bodies: ids, content types, and what holds them.
const BASE: usize = 1024;

/// A call in the queue, with the room it takes.
#[derive(Debug)]
pub struct Held {
    /// What is to be written of it.
    pub taken: Taken,
    _room: Hold,
}

impl Held {
    /// Bytes of its bodies, and what it takes beside them.
    pub fn bytes(&self) -> usize {
        BASE + self.taken.input.bytes.len() + self.taken.prediction.bytes.len()
    }
}

/// A call that is being collected.
#[derive(Debug)]
pub struct Call {
    /// Shared with the request's body, which is read by whoever sends it to the model.
    input: Arc<Mutex<Side>>,
    prediction: Option<Side>,
    most: usize,
    /// Nothing where there was none.
    room: Option<Hold>,
    budget: Arc<Budget>,
}

/// Where the input of a call is copied to, for as long as the call is one to collect.
#[derive(Clone, Debug)]
pub struct Input(Weak<Mutex<Side>>);

impl Input {
    /// Copies what passes.
    pub fn take(&self, data: &[u8]) {
        self.edit(|side| side.take(data));
    }

    /// Notes that it has passed to its end.
    pub fn end(&self) {
        self.edit(Side::end);
    }

    fn edit(&self, change: impl FnOnce(&mut Side)) {
        if let Some(side) = self.0.upgrade() {
            change(&mut locked(&side));
        }
    }
}

impl Call {
    /// One whose input comes after this header, with bodies of at most so many bytes. Without room nothing of it is
    /// copied, and whether it is a loss shows at its end.
    pub(super) fn new(headers: &HeaderMap, most: usize, budget: &Arc<Budget>) -> Self {
        let mut room = Hold::new(budget);
        let room = room.grow(BASE).then_some(room);
        let of_input = if room.is_some() { most } else { 0 };
        Self {
            input: Arc::new(Mutex::new(Side::new(headers, of_input, budget))),
            prediction: None,
            most,
            room,
            budget: Arc::clone(budget),
        }
    }

    /// For the input.
    #[must_use]
    pub fn input(&self) -> Input {
        Input(Arc::downgrade(&self.input))
    }

    /// Notes the header of the answer. False if there is nothing to collect of it.
    pub fn answered(&mut self, status: StatusCode, headers: &HeaderMap) -> bool {
        self.prediction = Some(Side::new(headers, self.most, &self.budget));
        status.as_u16() < 400
    }

    /// Copies what passes of the answer.
    pub fn predicted(&mut self, data: &[u8]) {
        if let (Some(prediction), Some(_)) = (&mut self.prediction, &self.room) {
            prediction.take(data);
        }
    }

    /// What there is to write of it; nothing where there was no room for it.
    pub(super) fn finish(self, time: Timestamp, ids: &RequestIds) -> Option<Held> {
        let (room, mut prediction) = (self.room?, self.prediction?);
        // What is read of it from now on is not the model's to go by.
        let spare = Side::new(&HeaderMap::new(), 0, &self.budget);
        let mut input = std::mem::replace(&mut *locked(&self.input), spare);
        input.close();
        prediction.end();
        let is_lost = |side: &Side| side.form == Err(Skipped::NoRoom);
        if is_lost(&input) || is_lost(&prediction) {
            return None;
        }
        let taken = Taken {
            time,
            request_id: ids.request_id().to_owned(),
            client_request_id: ids.client_request_id().map(str::to_owned),
            input,
            prediction,
        };
        Some(Held { taken, _room: room })
    }
}
