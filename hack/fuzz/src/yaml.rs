//! YAML against the reader that kubectl has (`hack/fuzz/yaml`, in Go): what is taken has the same value there, and what is refused
//! is refused there too, or is what we refuse on purpose.

use crate::make::{joined, mutated, one};
use fastrand::Rng;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use support::scalars;
use vertex_injector_core::manifest;

const PIECES: &[&str] = &[
    "0",
    "1",
    "7",
    "9",
    "_",
    ".",
    "-",
    "+",
    ":",
    "e",
    "E",
    "x",
    "o",
    "b",
    "y",
    "n",
    "Y",
    "N",
    "yes",
    "No",
    "on",
    "OFF",
    "true",
    "False",
    "~",
    "null",
    "inf",
    "nan",
    "2001-01-01",
    "T",
    "Z",
    "a",
    "é",
    "'",
    "\"",
    "#",
    " ",
    "=",
    "<<",
    "!",
    "&",
    "*",
    "%",
    "@",
    "`",
    "|",
    ">",
    "?",
    ",",
    "[",
    "]",
    "{",
    "}",
    "\\",
    "\\n",
    "\t",
];

/// Documents that are read at a time.
const BATCH: u64 = 10_000;

pub fn compare(rng: &mut Rng, inputs: u64) -> Result<u64, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml");
    let program = directory.join("reader");
    let built = Command::new("go")
        .args(["build", "-o", "reader", "."])
        .current_dir(&directory)
        .status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("the reader in Go cannot be built; it needs go".to_owned());
    }
    let mut reader = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut to = reader.stdin.take().expect("a pipe");
    let mut from = BufReader::new(reader.stdout.take().expect("a pipe")).lines();
    let (mut taken, mut left) = (0, inputs);
    while left > 0 {
        let batch: Vec<String> = (0..left.min(BATCH)).map(|_| document(rng)).collect();
        left -= batch.len() as u64;
        let lines: String = batch
            .iter()
            .map(|text| format!("{}\n", Value::from(text.as_str())))
            .collect();
        // The other end answers each line before it reads the next, so somebody has to read while this writes.
        let answers: Vec<String> = std::thread::scope(|scope| {
            let writing = scope.spawn(|| to.write_all(lines.as_bytes()).and_then(|()| to.flush()));
            let answers = from
                .by_ref()
                .take(batch.len())
                .map(|line| line.expect("a line"))
                .collect();
            writing.join().expect("no panic").expect("the reader reads");
            answers
        });
        for (text, answer) in batch.iter().zip(&answers) {
            taken += u64::from(alike(text, answer)?);
        }
    }
    drop(to);
    let _ = reader.wait();
    Ok(taken)
}

/// A document whose one interesting scalar is a key or a value, in block or flow style.
fn document(rng: &mut Rng) -> String {
    let scalar = match rng.u8(..4) {
        0 => one(rng, scalars::TRICKY).to_owned(),
        1 => {
            let tricky = one(rng, scalars::TRICKY);
            mutated(rng, tricky, PIECES)
        }
        _ => joined(rng, 5, PIECES),
    };
    match rng.u8(..6) {
        0 => format!("{scalar}: 1\n"),
        1 => format!("a: [{scalar}, b]\n"),
        2 => format!("a: {{{scalar}: 1}}\n"),
        3 => format!("a:\n- {scalar}\n- b\n"),
        _ => format!("a: {scalar}\n"),
    }
}

fn alike(text: &str, answer: &str) -> Result<bool, String> {
    let theirs: Option<Value> = serde_json::from_str(answer).ok();
    match (manifest::documents(text), theirs) {
        (Ok(ours), Some(theirs)) => match ours.as_slice() {
            [ours] if same(ours, &theirs) => Ok(true),
            // A document without anything in it is none.
            [] if theirs.is_null() => Ok(false),
            _ => Err(format!("{ours:?}, and kubectl reads {theirs}: {text:?}")),
        },
        (Ok(ours), None) => Err(format!("{ours:?}, and kubectl says {answer}: {text:?}")),
        (Err(error), Some(theirs)) if !theirs.is_object() => {
            let _ = error;
            Ok(false)
        }
        (Err(error), Some(theirs)) => Err(format!("{error}, and kubectl reads {theirs}: {text:?}")),
        (Err(_), None) => Ok(false),
    }
}

/// Numbers are compared as JavaScript has them.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => ours.as_f64() == theirs.as_f64(),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours
                    .iter()
                    .all(|(key, ours)| theirs.get(key).is_some_and(|theirs| same(ours, theirs)))
        }
        (ours, theirs) => ours == theirs,
    }
}
