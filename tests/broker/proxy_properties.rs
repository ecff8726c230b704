//! What holds for any target and any body, tried on generated ones.

use super::inspection::inspected;
use proptest::prelude::*;
use serde_json::{Map, Value};
use vertex_injector_core::contract::proxy::Publisher;
use vertex_injector_sidecar::broker::proxy::json::{Json, NotStrict, Value as Walked};
use vertex_injector_sidecar::broker::proxy::target::{Query, Target};

/// JSON of the words that mean something, in places where they may and may not.
fn body() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec![
        "type",
        "url",
        "source",
        "input",
        "tools",
        "contents",
        "parts",
        "fileUri",
        "functionCall",
        "args",
        "messages",
        "content",
        "model",
        "text",
        "container",
        "input_schema",
        "x",
        "file_data",
        "googleSearch",
        "generateContentRequest",
        "name",
    ]);
    let text = prop::sample::select(vec![
        "url",
        "file",
        "base64",
        "tool_use",
        "custom",
        "web_search_20250305",
        "bash_20250124",
        "gs://a",
        "https://a",
        "claude-x",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let nested = leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..5).prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<Map<_, _>>()
                .into()),
        ]
    });
    prop::collection::vec(
        (
            prop::sample::select(vec!["tools", "messages", "contents", "model", "x"]),
            nested,
        ),
        0..4,
    )
    .prop_map(|members| {
        members
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<Map<_, _>>()
            .into()
    })
}

/// The same with the members of all objects in another order.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .rev()
            .map(|(key, value)| (key.clone(), reversed(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

/// Whether a body's value is this one, the order of members included.
fn is_same(ours: Walked<'_>, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Walked::Null, Value::Null) | (Walked::Other, Value::Bool(_) | Value::Number(_)) => true,
        (Walked::Text(ours), Value::String(theirs)) => ours.read() == theirs.as_str(),
        (Walked::List(ours), Value::Array(theirs)) => {
            ours.into_iter().count() == theirs.len()
                && ours.into_iter().zip(theirs).all(|(ours, theirs)| is_same(ours, theirs))
        }
        (Walked::Object(ours), Value::Object(theirs)) => {
            ours.into_iter().count() == theirs.len()
                && ours.keys().len() == theirs.len()
                && ours
                    .into_iter()
                    .zip(theirs)
                    .all(|((key, ours), (name, theirs))| key == name && is_same(ours, theirs))
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_whitespace_do_not_change_whether_a_body_passes(body in body()) {
        for &publisher in Publisher::ALL {
            let passes = inspected(publisher, &body.to_string(), &[]).is_ok();
            prop_assert_eq!(inspected(publisher, &reversed(&body).to_string(), &[]).is_ok(), passes);
            let spaced = serde_json::to_string_pretty(&body).expect("JSON");
            prop_assert_eq!(inspected(publisher, &spaced, &[]).is_ok(), passes);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_as_serde_json_does(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let ours = Json::parse(&bytes).is_ok();
        let theirs = serde_json::from_slice::<Value>(&bytes).is_ok();
        // Ours is stricter: duplicate keys. It never takes what is no JSON.
        prop_assert!(!ours || theirs);
    }

    #[test]
    fn what_is_walked_is_the_whole_body_in_its_order(body in body()) {
        let text = body.to_string();
        let json = Json::parse(text.as_bytes()).expect("no key is there twice");
        prop_assert!(is_same(json.value(), &body), "{json:?} of {text}");
    }

    #[test]
    fn any_text_of_json_characters_is_read_or_refused(text in r#"[\[\]{}:,"\\u0-9a-f .eE+-]{0,64}"#) {
        match (Json::parse(text.as_bytes()), serde_json::from_str::<Value>(&text)) {
            (Ok(ours), Ok(theirs)) => prop_assert!(is_same(ours.value(), &theirs)),
            (Err(NotStrict::DuplicateKey(..)), Ok(_)) | (Err(_), Err(_)) => {}
            (ours, theirs) => prop_assert!(false, "{ours:?} {theirs:?}"),
        }
    }

    #[test]
    fn a_string_is_read_as_serde_json_reads_it(text in r#""([a-zé😀 /]|\\(["\\/bfnrt]|u[0-9a-fA-F]{4}|u(d83d|D8ff)\\u(de00|Dfff)|.)){0,24}""#) {
        match (Json::parse(text.as_bytes()), serde_json::from_str::<Value>(&text)) {
            (Ok(ours), Ok(theirs)) => prop_assert!(is_same(ours.value(), &theirs)),
            (Err(_), Err(_)) => {}
            (ours, theirs) => prop_assert!(false, "{ours:?} {theirs:?}"),
        }
        let object = format!("{{{text}:1}}");
        match (Json::parse(object.as_bytes()), serde_json::from_str::<Value>(&object)) {
            (Ok(ours), Ok(theirs)) => prop_assert!(is_same(ours.value(), &theirs)),
            (Err(_), Err(_)) => {}
            (ours, theirs) => prop_assert!(false, "{ours:?} {theirs:?}"),
        }
    }

    #[test]
    fn a_number_is_one_where_it_is_for_serde_json(text in r"-?[0-9]{0,3}(\.[0-9]{0,2})?([eE][+-]?[0-9]{0,4})?") {
        prop_assert_eq!(Json::parse(text.as_bytes()).is_ok(), serde_json::from_str::<Value>(&text).is_ok());
    }

    #[test]
    fn a_target_that_is_understood_is_sent_on_as_it_came(
        path in r"/v1(beta1)?/projects/[a-z0-9.:%/-]{0,12}/locations/[a-z0-9%./-]{0,10}/publishers/(anthropic|google|x)/models/[a-zA-Z0-9@._%/;:-]{0,20}:(rawPredict|generateContent|predict)"
    ) {
        if let Some(target) = Target::parse(&path) {
            let sent = target.path(Query::default());
            prop_assert_eq!(sent, path.replace("%40", "@"));
            for bad in ["..//", "/../", "/./", "//", "%", ";", "?"] {
                prop_assert!(!path.replace("%40", "@").contains(bad));
            }
        }
    }

    #[test]
    fn any_target_and_query_are_read_or_refused(path in ".{0,200}", query in ".{0,100}") {
        let _ = Target::parse(&path);
        if let Some(query) = Query::parse(&query) {
            let model = "/v1/projects/p/locations/r/publishers/google/models/m:countTokens";
            let sent = Target::parse(model).expect("a target").path(query);
            let rest = sent.strip_prefix(model).expect("the path");
            prop_assert!(["", "?alt=sse", "?beta=true", "?alt=sse&beta=true"].contains(&rest));
        }
    }
}

#[test]
fn a_string_ends_or_is_refused_where_it_does_for_serde_json_however_long_it_is() {
    for length in 0..100 {
        for at in 0..length {
            for special in ["\"", "\\", "\\n", "\n", "\0", "\u{1f}", " ", "\u{7f}", "é"] {
                for controls in ["", "\n"] {
                    let (before, after) = ("x".repeat(at), "y".repeat(length - at));
                    let text = format!("[{controls}\"{before}{special}{after}\", 1]");
                    match (Json::parse(text.as_bytes()), serde_json::from_str::<Value>(&text)) {
                        (Ok(ours), Ok(theirs)) => assert!(is_same(ours.value(), &theirs), "{text:?}"),
                        (Err(_), Err(_)) => {}
                        (ours, theirs) => panic!("{text:?}: {ours:?} {theirs:?}"),
                    }
                }
            }
        }
    }
}

#[test]
fn a_key_that_is_there_twice_is_found_among_any_others() {
    let key = |i: usize| format!("{}{i}{}", ('a'..='z').nth(i % 26).expect("a letter"), "z".repeat(i % 5));
    for members in 2..40 {
        for first in 0..members {
            for second in 0..first {
                let keys = (0..members).map(|i| if i == first { key(second) } else { key(i) });
                let text: Vec<String> = keys.map(|key| format!("\"{key}\":1")).collect();
                let parsed = Json::parse(format!("{{{}}}", text.join(",")).as_bytes()).map(drop);
                assert!(matches!(parsed, Err(NotStrict::DuplicateKey(..))), "{text:?}");
            }
        }
    }
}
