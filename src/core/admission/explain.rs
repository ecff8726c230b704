//! What is wrong with JSON that could not be read, by the field's path and never with its content.

use serde::Deserialize;
use serde_json::error::Category;

/// Reads once more, slowly, to find the field that is wrong, and says so. `root` is the path of the whole, empty when it
/// is the document; only within a document are lines and columns of use.
pub(super) fn explain<'a, T: Deserialize<'a>>(json: &'a [u8], root: &str) -> String {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut reader) else {
        return "trailing characters after the JSON value".to_owned();
    };
    let (path, error) = (error.path().to_string(), error.inner());
    let path = match (root, path.as_str()) {
        ("", ".") => String::new(),
        (root, ".") => root.to_owned(),
        ("", path) => path.to_owned(),
        (root, path) if path.starts_with('[') => format!("{root}{path}"),
        (root, path) => format!("{root}.{path}"),
    };
    let place = match root {
        "" => format!(" (line {}, column {})", error.line(), error.column()),
        _ => String::new(),
    };
    let message = error.to_string();
    let sentence = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(sentence, _)| sentence);
    if error.classify() != Category::Data {
        return if sentence == "recursion limit exceeded" {
            format!("{}: nested too deeply{place}", whole(path))
        } else {
            format!("not JSON{place}")
        };
    }
    // serde names fields of our own structs, and quotes what it found in front of what it expected.
    if let Some(field) = quoted(sentence, "duplicate field `") {
        return format!("{}: given twice{place}", below(&path, field));
    }
    if let Some(field) = quoted(sentence, "missing field `") {
        return format!("{}: missing{place}", below(&path, field));
    }
    match sentence.rsplit_once(", expected ") {
        Some((_, expected)) => format!("{}: must be {}{place}", whole(path), plain(expected)),
        None => format!("{}: cannot be used{place}", whole(path)),
    }
}

fn whole(path: String) -> String {
    if path.is_empty() { "the whole".to_owned() } else { path }
}

fn below(path: &str, field: &str) -> String {
    if path.is_empty() {
        field.to_owned()
    } else {
        format!("{path}.{field}")
    }
}

fn quoted<'s>(sentence: &'s str, start: &str) -> Option<&'s str> {
    sentence.strip_prefix(start)?.split('`').next()
}

/// serde's words for types in those of people.
fn plain(expected: &str) -> &str {
    match expected {
        "i64" => "an integer",
        "a sequence" => "a list",
        "a map" => "an object",
        other => other,
    }
}
