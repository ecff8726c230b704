//! YAML against the reader that kubectl has (`hack/fuzz/yaml`, in Go): what it takes has the same value here.

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

pub(crate) fn compare(rng: &mut Rng, inputs: u64) -> Result<u64, String> {
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
    // The indicators of collections, comments, blocks, anchors and ends of lines make other documents of it.
    let scalar = scalar.replace([',', '[', ']', '{', '}', '#', '|', '>', '&', '*', '\n', '\t'], "");
    // In flow style : and - are more than characters where they stand at an end.
    let plain = scalar.trim() == scalar
        && !scalar.ends_with(':')
        && scalar != "-"
        && !scalar.contains("::")
        && !scalar.contains(": ");
    match rng.u8(..6) {
        0 => format!("{scalar}: 1\n"),
        1 | 2 if !plain => format!("a: {scalar}\n"),
        1 => format!("a: [{scalar}, b]\n"),
        2 => format!("a: {{{scalar}: 1}}\n"),
        3 => format!("a:\n- {scalar}\n- b\n"),
        _ => format!("a: {scalar}\n"),
    }
}

fn alike(text: &str, answer: &str) -> Result<bool, String> {
    if differs_on_purpose(text) {
        return Ok(false);
    }
    let theirs: Option<Value> = serde_json::from_str(answer).ok();
    match (manifest::documents(text), theirs) {
        (Ok(ours), Some(theirs)) => match ours.as_slice() {
            [ours] if same(ours, &theirs) => Ok(true),
            // A document without anything in it is none.
            [] if theirs.is_null() => Ok(false),
            _ => Err(format!("{ours:?}, and kubectl reads {theirs}: {text:?}")),
        },
        // A manifest that kubectl refuses goes nowhere, so it may mean anything.
        (_, None) => Ok(false),
        // Only objects are of interest.
        (Err(_), Some(theirs)) if !theirs.is_object() => Ok(false),
        (Err(error), Some(theirs)) => Err(format!("{error}, and kubectl reads {theirs}: {text:?}")),
    }
}

/// Numbers are compared as JavaScript has them, but for the last bit of the largest.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => match (ours.as_f64(), theirs.as_f64()) {
            (Some(ours), Some(theirs)) => (ours - theirs).abs() <= theirs.abs() * f64::EPSILON,
            (_, _) => false,
        },
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

/// Spellings that no manifest has, and that the two readers take for different things: not compared.
fn differs_on_purpose(text: &str) -> bool {
    // Ends of lines in YAML 1.1, and characters like others in 1.2, which is what we take them for.
    let ends_a_line = text.contains(['\u{85}', '\u{2028}', '\u{2029}']);
    // Marks of byte order within a text: refused.
    let marked = text.contains('\u{feff}');
    // Tags of somebody's own: a null that has one is empty text for kubectl.
    let tagged = text.contains('!');
    // A _ in a number that is no whole one in digits: part of it for kubectl, text for us.
    let runs = text.contains('_');
    // Words for true and false with capitals inside: text for kubectl.
    let mixed = text.contains("oN")
        || text.contains("oFf")
        || text.contains("OfF")
        || text.contains("yE")
        || text.contains("rU")
        || text.contains("uE")
        || text.contains("sE")
        || text.contains("lS")
        || text.contains("aL");
    // An escape that YAML does not have, which Go lets pass: refused.
    let escaped = text.contains("\\'");
    // A sign behind 0b, which Go lets pass.
    let signed = text.contains("0b-") || text.contains("0b+");
    // Keys without a value in flow style.
    let bare = text.contains('?');
    // Keys that are no numbers: refused.
    let huge = text
        .to_ascii_lowercase()
        .split_once('e')
        .is_some_and(|(_, exponent)| exponent.bytes().filter(u8::is_ascii_digit).count() > 2);
    let not_finite =
        huge || { text.to_ascii_lowercase() }.contains(".nan") || text.to_ascii_lowercase().contains(".inf");
    // A tab before a key at the start of a line.
    let indented = text.starts_with('\t');
    ends_a_line || marked || escaped || tagged || runs || mixed || signed || bare || not_finite || indented
}
