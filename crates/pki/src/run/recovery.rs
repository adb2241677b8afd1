//! Whatever was done to it, it finds its way back.

use super::objects::Slot;
use super::world::{PERIODS, World};
use super::*;
use crate::plan::Place;

const TELL: [Step; 3] = [
    Step::Tell(Place::Target(0)),
    Step::Tell(Place::Leaf(0)),
    Step::Tell(Place::Leaf(1)),
];
const ISSUE: [Step; 2] = [Step::Issue(0), Step::Issue(1)];

/// A world that has been well for a while.
fn well() -> World {
    let mut world = World::new();
    world.settle();
    world.pass(PERIODS.overlap);
    assert_eq!(world.settle(), []);
    world
}

fn steps(parts: &[&[Step]]) -> Vec<Step> {
    parts.concat()
}

#[tokio::test]
async fn an_empty_installation_is_filled() {
    let mut world = World::new();
    let made = world.settle();
    assert_eq!(made, steps(&[&[Step::MakeFirst], &TELL[..1], &ISSUE]));
    world.check();
}

#[tokio::test]
async fn a_rotation_writes_no_more_than_it_must() {
    let mut world = well();
    world.pass(PERIODS.rotate_every - PERIODS.overlap);
    // Due for renewal as well by then.
    let renewed = world.settle();
    assert_eq!(renewed, steps(&[&ISSUE, &[Step::MakeNext], &TELL]));
    world.check();
    world.pass(PERIODS.overlap);
    assert_eq!(world.settle(), steps(&[&[Step::Promote], &ISSUE]));
    world.check();
    world.pass(PERIODS.overlap);
    assert_eq!(world.settle(), steps(&[&[Step::DropPrevious], &TELL]));
    world.check();
    world.pass(PERIODS.overlap);
    assert_eq!(world.settle(), []);
}

#[tokio::test]
async fn after_a_year_everything_is_made_anew() {
    let mut world = well();
    world.pass(Duration::from_secs(365 * 86400));
    let made = world.settle();
    assert_eq!(made, steps(&[&[Step::MakeFirst], &TELL[..1], &ISSUE]));
    world.check();
    world.pass(PERIODS.overlap);
    assert_eq!(world.settle(), steps(&[&[Step::DropPrevious], &TELL]));
    world.check();
}

#[tokio::test]
async fn a_clock_that_goes_back_is_borne_or_everything_is_made_anew() {
    let mut world = well();
    world.now -= jiff::SignedDuration::from_secs(10);
    assert_eq!(world.settle(), []);
    world.check();
    world.now -= jiff::SignedDuration::from_hours(10);
    let made = world.settle();
    assert_eq!(made, steps(&[&[Step::MakeFirst], &TELL[..1], &ISSUE]));
    world.check();
    // And forward again.
    world.now += jiff::SignedDuration::from_hours(10);
    assert_eq!(world.settle()[0], Step::MakeFirst);
    world.check();
}

#[tokio::test]
async fn an_authority_that_was_deleted_is_made_anew_and_nobody_trusts_the_old_one() {
    let mut world = well();
    let old = world.bundles()[0].clone();
    world.keeper.see(Slot::Authority, None);
    assert_eq!(world.settle()[0], Step::MakeFirst);
    world.check();
    let old = String::from_utf8(old).unwrap();
    assert!(!world.keeper.authorities.bundle().contains(&old));
}

#[tokio::test]
async fn a_damaged_authority_is_replaced_and_what_it_signed_is_trusted_for_a_while() {
    for (key, damage) in [
        ("current.key", None),
        ("current.key", Some("x")),
        ("state.json", None),
        ("state.json", Some("{")),
    ] {
        let mut world = well();
        let old = String::from_utf8(world.bundles()[0].clone()).unwrap();
        world.damage(Slot::Authority, key, damage);
        assert_eq!(world.step(), Some(Step::MakeFirst), "{key}");
        let bundle = world.keeper.authorities.bundle();
        assert!(
            bundle.starts_with(&old) && bundle.len() > old.len(),
            "{key}"
        );
        let told = world.settle();
        assert_eq!(told, steps(&[&TELL, &ISSUE]), "{key}");
        world.check();
        world.pass(PERIODS.overlap);
        assert_eq!(world.settle()[0], Step::DropPrevious);
        world.check();
    }
    let mut world = well();
    world.damage(Slot::Authority, "current.crt", Some("x"));
    assert_eq!(world.settle()[0], Step::MakeFirst);
    world.check();
}

#[tokio::test]
async fn where_the_next_one_is_there_it_steps_in() {
    let mut world = well();
    world.pass(PERIODS.rotate_every - PERIODS.overlap);
    world.settle();
    world.damage(Slot::Authority, "current.key", None);
    assert_eq!(world.settle(), steps(&[&[Step::Promote], &ISSUE]));
    world.check();
}

#[tokio::test]
async fn what_does_not_belong_there_is_taken_away() {
    let mut world = well();
    world.damage(Slot::Authority, "mine", Some("x"));
    assert_eq!(world.settle(), [Step::Mend]);
    world.damage(Slot::Authority, "next.crt", Some("x"));
    assert_eq!(world.settle(), [Step::Mend]);
}

#[tokio::test]
async fn a_certificate_that_was_deleted_or_damaged_is_made_anew() {
    let mut world = well();
    world.keeper.see(Slot::Leaf(0), None);
    assert_eq!(world.settle(), [Step::Issue(0)]);
    world.damage(Slot::Leaf(1), "tls.key", Some("x"));
    assert_eq!(world.settle(), [Step::Issue(1)]);
    world.damage(Slot::Leaf(1), "ca.crt", None);
    assert_eq!(world.settle(), [Step::Tell(Place::Leaf(1))]);
    world.check();
}

#[tokio::test]
async fn what_nobody_would_accept_is_not_written() {
    let mut world = World::new();
    world.step();
    world.keeper.config.leaves[0].dns_names = vec!["not a name".into()];
    assert!(world.keeper.prepare(Step::Issue(0), world.now).is_err());
}
