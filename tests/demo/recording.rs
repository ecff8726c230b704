//! The recording in the documentation is what the demo prints today.

use regex::Regex;
use serde_json::Value;

use crate::show::shown;
use harness::process::repository;

fn page(name: &str) -> String {
    std::fs::read_to_string(repository().join("docs").join(name)).expect("a recording; hack/demo/record makes one")
}

/// What is printed without colours, without spaces (long lines are folded, and where depends on numbers), and without numbers, which
/// differ from run to run.
fn essence(text: &str) -> String {
    let colours = Regex::new(r"\x1b\[\d+m").expect("a pattern");
    let numbers = Regex::new(r"\d+").expect("a pattern");
    let text = colours.replace_all(text, "");
    let text: String = text.split_whitespace().collect();
    numbers.replace_all(&text, "#").into_owned()
}

fn recorded() -> String {
    let cast = page("demo.cast");
    let mut lines = cast
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let header = lines.next().expect("a header");
    assert_eq!(
        (&header["version"], header["width"].is_u64(), header["height"].is_u64()),
        (&2.into(), true, true)
    );
    let mut before = 0.0;
    lines
        .map(|event| {
            let time = event[0].as_f64().expect("seconds");
            assert!(time >= before && event[1] == "o", "{event}");
            before = time;
            event[2].as_str().expect("text").to_owned()
        })
        .collect()
}

#[test]
fn the_recording_is_what_the_demo_prints() {
    let Some(shown) = shown() else { return };
    let (recorded, shown) = (essence(&recorded()), essence(shown));
    assert_eq!(recorded, shown, "hack/demo/record makes the recording anew");
}

#[test]
fn the_picture_is_of_the_recording_and_fits_a_screen() {
    let tags = Regex::new("<[^>]*>").expect("a pattern");
    let picture = page("demo.svg");
    let text = tags.replace_all(&picture, "");
    let plain = text.replace("&quot;", "\"").replace("&#x27;", "'");
    let plain = plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let recorded = recorded();
    assert_eq!(essence(&plain), essence(&recorded));
    assert!(recorded.lines().count() <= 100, "{} lines", recorded.lines().count());
    let colours = Regex::new(r"\x1b\[\d+m").expect("a pattern");
    let widest = recorded
        .lines()
        .map(|line| colours.replace_all(line, "").chars().count())
        .max();
    assert!(widest <= Some(132), "{widest:?}");
}
