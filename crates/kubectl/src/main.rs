//! kubectl atelier.

fn main() {}
