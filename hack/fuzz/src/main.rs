//! Generated inputs against oracles: `make fuzz`, or `vertex-injector-fuzz ORACLE INPUTS [SEED]`.
//!
//! Each oracle takes so many inputs that it makes itself, the same for the same seed, and ends at the first difference with the
//! input. Everything is bounded by the number of inputs.
#![allow(
    clippy::expect_used,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a program for tests fails by panicking, and prints what it found"
)]

mod json;
mod make;
mod patch;
mod url;
mod yaml;

use fastrand::Rng;
use std::process::ExitCode;
use std::time::Instant;

/// Makes inputs and compares what comes of each; the number of those that both sides took.
type Oracle = fn(&mut Rng, u64) -> Result<u64, String>;

const ORACLES: [(&str, Oracle); 4] = [
    ("json", json::compare),
    ("url", url::compare),
    ("patch", patch::compare),
    ("yaml", yaml::compare),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| arguments.get(i).map(|text| text.parse::<u64>());
    let (name, inputs, seed) = match (arguments.first(), number(1), number(2)) {
        (Some(name), Some(Ok(inputs)), None) => (name, inputs, 1),
        (Some(name), Some(Ok(inputs)), Some(Ok(seed))) => (name, inputs, seed),
        _ => {
            let names = ORACLES.map(|(name, _)| name).join("|");
            eprintln!("usage: vertex-injector-fuzz {names}|all INPUTS [SEED]");
            return ExitCode::from(2);
        }
    };
    let chosen: Vec<_> = ORACLES
        .into_iter()
        .filter(|(known, _)| name == "all" || name == known)
        .collect();
    if chosen.is_empty() {
        eprintln!("error: no oracle is called {name:?}");
        return ExitCode::from(2);
    }
    for (name, compare) in chosen {
        let began = Instant::now();
        match compare(&mut Rng::with_seed(seed), inputs) {
            Ok(taken) => println!(
                "{name}: {inputs} inputs, {taken} taken by both, no difference ({:.0?})",
                began.elapsed()
            ),
            Err(difference) => {
                println!("{name}: a difference (seed {seed}): {difference}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
