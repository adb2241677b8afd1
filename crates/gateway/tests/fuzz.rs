//! What comes from outside, made up at random: nothing of it may bring a program down or get past it. Each test plays
//! the kept inputs of a folder, then a fixed number of others made of them, always the same ones.
//!
//! `make fuzz MINUTES=…` plays new ones for as long. What fails is printed: it goes into the file of kept inputs.

#[path = "fuzz/inputs.rs"]
mod inputs;
#[path = "fuzz/properties.rs"]
mod properties;

use inputs::{Inputs, kept};
use properties::{args, authn, header, path, policy, token};

/// Inputs that are made up in each of the quick tests.
const QUICK: u32 = 20_000;

#[test]
fn no_header_brings_a_credential_or_an_identity_to_the_model() {
    Inputs::of(kept(include_str!("fuzz/headers.txt"))).play(QUICK, header);
}

#[test]
fn only_exact_paths_have_a_route() {
    Inputs::of(kept(include_str!("fuzz/paths.txt"))).play(QUICK, path);
}

#[test]
fn no_header_opens_a_service_but_one_with_a_key() {
    Inputs::of(kept(include_str!("fuzz/credentials.txt"))).play(QUICK, authn);
}

#[test]
fn no_token_but_the_good_one_verifies() {
    let (good, judge) = token();
    Inputs::of(vec![good]).play(QUICK / 4, judge);
}

#[test]
fn a_policy_is_refused_or_means_what_it_says() {
    Inputs::of(kept(include_str!("fuzz/policies.txt"))).play(QUICK, policy);
}

#[test]
fn arguments_are_refused_or_safe() {
    Inputs::of(kept(include_str!("fuzz/args.txt"))).play(QUICK / 10, args);
}

#[test]
#[ignore = "runs as long as it is told to: make fuzz MINUTES=…"]
fn for_long() {
    let (good, judge) = token();
    inputs::for_long(vec![
        (kept(include_str!("fuzz/headers.txt")), Box::new(header)),
        (kept(include_str!("fuzz/paths.txt")), Box::new(path)),
        (kept(include_str!("fuzz/credentials.txt")), Box::new(authn)),
        (vec![good], Box::new(judge)),
        (kept(include_str!("fuzz/policies.txt")), Box::new(policy)),
        (kept(include_str!("fuzz/args.txt")), Box::new(args)),
    ]);
}
