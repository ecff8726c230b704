//! Bodies as no two parsers read them differently: what is refused is told by line and column, and each bound holds to the last value.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;
use vertex_injector_sidecar::broker::proxy::json::{Json, NotStrict};

/// Why a body is refused.
#[track_caller]
fn refused(body: &str) -> NotStrict {
    Json::parse(body.as_bytes()).expect_err("a refusal")
}

#[track_caller]
fn accepted(body: &str) {
    Json::parse(body.as_bytes())
        .map_err(|error| error.to_string())
        .expect("JSON");
}

#[test]
fn what_is_no_json_is_told_by_line_and_column_of_its_first_wrong_character() {
    for (body, line, column) in [
        ("", 1, 1),
        ("x", 1, 1),
        ("\nx", 2, 1),
        ("{\"a\": tru}", 1, 7),
        ("[1,\n2 3]", 2, 3),
        ("{\n  \"a\": 1,\n  x}", 3, 3),
        ("[]\n\n ]", 3, 2),
    ] {
        assert_eq!(refused(body), NotStrict::Syntax(line, column), "{body}");
    }
    assert_eq!(refused(r#"{"a":1,"a":2}"#), NotStrict::DuplicateKey(1, 14));
    assert_eq!(refused("[\n{\"a\":1,\n\"a\":2}]"), NotStrict::DuplicateKey(3, 7));
}

#[test]
fn lists_and_objects_nest_127_levels_deep_and_no_further() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |levels: usize| format!("{}{}{}", open.repeat(levels - 1), "{}", close.repeat(levels - 1));
        accepted(&nested(127));
        assert!(matches!(refused(&nested(128)), NotStrict::Syntax(..)), "{open}");
    }
}

#[test]
fn half_a_million_names_and_values_are_read_and_not_one_more() {
    // The list is a value, too.
    let list = |values: usize| format!("[{}0]", "0,".repeat(values - 2));
    accepted(&list(500_000));
    assert_eq!(refused(&list(500_001)), NotStrict::TooMany);
}

#[test]
fn names_that_are_written_with_escapes_have_four_mebibytes_together() {
    // Each takes 32 bytes beside its own.
    let most = (4 << 20) - 32;
    let name = |bytes: usize| format!("{{\"\\n{}\":1}}", "x".repeat(bytes - 2));
    accepted(&name(most));
    assert_eq!(refused(&name(most + 1)), NotStrict::Escaped);
    assert_eq!(refused(&name(most * 2)), NotStrict::Escaped);
    let half = name(most / 2 - 15);
    assert_eq!(
        refused(&format!("[{half},{half}]")),
        NotStrict::Escaped,
        "all of a body count"
    );
    accepted(&format!("{{\"{}\":1}}", "x".repeat(most * 2)));
}

#[test]
fn a_number_that_is_greater_than_any_is_none_however_it_is_written() {
    let digits = |count: usize| "9".repeat(count);
    for number in [
        digits(300),
        digits(308),
        format!("-{}", digits(308)),
        "1e308".to_owned(),
    ] {
        accepted(&number);
    }
    for number in [
        digits(309),
        format!("{}.0", digits(400)),
        "1e309".to_owned(),
        "-1E+309".to_owned(),
    ] {
        assert!(matches!(refused(&number), NotStrict::Syntax(..)), "{number}");
    }
}

#[test]
fn a_name_that_is_there_twice_is_found_among_few_and_among_many() {
    for names in [2, 15, 16, 17, 18, 1000] {
        let mut members = String::new();
        for i in 1..names {
            let _ = write!(members, "\"{i}\":1,");
        }
        accepted(&format!("{{{members}\"0\":1}}"));
        for i in [1, names - 1] {
            let body = format!("{{{members}\"{i}\":1}}");
            assert!(matches!(refused(&body), NotStrict::DuplicateKey(..)), "{i} of {names}");
        }
    }
}

#[test]
fn a_hundred_thousand_names_are_compared_in_no_more_than_a_moment() {
    let mut members = String::new();
    for i in 0..100_000 {
        let _ = write!(members, "\"{i}\":1,");
    }
    let body = format!("{{{members}\"x\":1}}");
    let before = worked();
    accepted(&body);
    let took = worked().saturating_sub(before);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// How long this thread has had a processor: on a busy machine time alone says nothing.
fn worked() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("what the kernel counts");
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number"))
}
