//! What the gateway's parts cost by themselves, and the tokens that `make bench` calls it with.
//!
//! ```text
//! gateway tokens DIR COUNT   policies, tokens and their public keys, for all proxies alike
//! gateway parts              time and allocations of the checks, as JSON
//! gateway requests DIR       allocations of whole requests, as JSON; it runs a gateway, whose records are on stdout
//! ```

#![allow(clippy::print_stderr, missing_docs)]

use std::{env, error::Error, path::Path};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

mod parts;
mod requests;
mod tokens;

/// Counts what is allocated. Only here: what ships has the system's allocator.
#[global_allocator]
static ALLOCATIONS: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tokens", dir, count] => tokens::write(Path::new(dir), count.parse()?),
        ["parts"] => parts::measure(),
        ["requests", dir] => requests::measure(Path::new(dir)),
        // `cargo bench` alone has nothing to compare with.
        ["--bench"] => Ok(()),
        _ => Err("usage: gateway tokens DIR COUNT | parts | requests DIR".into()),
    }
}
