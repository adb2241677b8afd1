//! Many rotations, second by second: whoever read within the overlap gets on with whoever read within the overlap.

use std::collections::VecDeque;

use rustls::sign::CertifiedKey;

use super::world::{PERIODS, World, wish_elsewhere};
use super::*;
use crate::verify;

/// What could be read in the last seconds, and was different from what was read before.
struct Window<T> {
    /// Until when somebody may still have it, the latest last.
    held: VecDeque<(u64, Vec<u8>, T)>,
}

impl<T> Window<T> {
    fn new() -> Self {
        Self {
            held: VecDeque::new(),
        }
    }

    fn read(&mut self, second: u64, raw: Vec<u8>, value: impl FnOnce() -> T) {
        let overlap = PERIODS.overlap.as_secs();
        match self.held.iter_mut().find(|held| held.1 == raw) {
            Some(held) => held.0 = second + overlap,
            None => self.held.push_back((second + overlap, raw, value())),
        }
        self.held.retain(|held| held.0 >= second);
    }
}

/// Goes through `seconds`, in each of which at most one write is done. Returns how many steps there were of each kind.
/// Others look at what they keep as often as they like.
fn simulate(seconds: u64, disturb: impl Fn(&mut World, u64)) -> (usize, usize, usize) {
    simulate_from(World::new(), seconds, disturb)
}

fn simulate_from(
    mut world: World,
    seconds: u64,
    disturb: impl Fn(&mut World, u64),
) -> (usize, usize, usize) {
    world.settle();
    let mut wishes = world.keeper.config.leaves.clone();
    wishes.extend((0..2).map(wish_elsewhere));
    let mut shown: Vec<Window<CertifiedKey>> = wishes.iter().map(|_| Window::new()).collect();
    let mut read = Window::new();
    let (mut made, mut promoted, mut dropped, mut wider) = (0, 0, 0, 0);
    for second in 0..seconds {
        // What everybody else goes by.
        let now = world.now;
        disturb(&mut world, second);
        match world.step() {
            Some(Step::MakeNext) => made += 1,
            Some(Step::Promote) => promoted += 1,
            Some(Step::DropPrevious) => dropped += 1,
            Some(Step::MakeFirst | Step::Mend) => panic!("an emergency at {second}"),
            _ => {}
        }
        world.now = now;
        // One of those who keep others is slower than the overlap.
        for (which, every) in [3, 11].into_iter().enumerate() {
            if second.is_multiple_of(every) {
                world.look_elsewhere(which);
            }
        }
        let here = (0..2).map(|leaf| Some(world.shown(leaf)));
        let elsewhere = (0..2).map(|which| world.shown_elsewhere(which));
        for (seen, window) in here.chain(elsewhere).zip(&mut shown) {
            if let Some((raw, pair)) = seen {
                window.read(second, raw, || pair);
            }
        }
        for bundle in world.bundles() {
            read.read(second, bundle.clone(), || verify::roots(&bundle).unwrap());
        }
        for (wish, window) in wishes.iter().zip(&shown) {
            for (_, _, pair) in &window.held {
                for (_, _, roots) in &read.held {
                    wider += usize::from(window.held.len() * read.held.len() > 1);
                    let verdict = verify::accepted(pair, wish, roots, now);
                    verdict.unwrap_or_else(|error| panic!("at {second}: {error}"));
                }
            }
        }
        world.pass(Duration::from_secs(1));
    }
    // Else there was nothing to get wrong.
    assert!(wider > promoted * 10, "{wider}");
    (made, promoted, dropped)
}

#[tokio::test]
async fn nobody_is_refused_in_forty_rotations() {
    let (made, promoted, dropped) = simulate(2450, |_, _| {});
    assert!((38..=41).contains(&promoted), "{promoted}");
    assert!(made - promoted <= 1 && promoted - dropped <= 1);
}

/// The same without the wait: the window is wide enough to see that it is needed.
#[tokio::test]
#[should_panic(expected = "UnknownIssuer")]
async fn somebody_is_refused_if_nobody_waits_for_those_that_others_keep() {
    let mut world = World::new();
    if let Some(others) = &mut world.keeper.config.elsewhere {
        others.all_current = std::sync::Arc::new(|| true);
    }
    simulate_from(world, 2450, |_, _| {});
}

#[tokio::test]
async fn nor_when_the_leader_changes_and_its_clock_is_wrong() {
    let (_, promoted, _) = simulate(2450, |world, second| {
        if second % 13 == 0 {
            world.keeper.forget_settled();
        }
        // Up to three seconds late or early.
        let offset = i64::try_from(second / 7 % 7).unwrap() - 3;
        world.now += jiff::SignedDuration::from_secs(offset);
    });
    assert!(promoted > 25, "{promoted}");
}

#[tokio::test]
async fn nor_when_others_write_the_target_all_the_time() {
    let (_, promoted, _) = simulate(1200, |world, second| {
        if second % 45 == 0 {
            let live = world.keeper.seen(super::objects::Slot::Target(0)).object();
            let mut object = serde_json::to_value(live.unwrap()).unwrap();
            // A new version that has to be looked at, with the old bundle in it.
            object["metadata"]["labels"] = serde_json::json!({"a": second.to_string()});
            world.set(super::objects::Slot::Target(0), object);
        }
    });
    assert!(promoted > 12, "{promoted}");
}
