//! How much of a pod is looked at. Whoever reaches the webhook chooses what it reads, so before anything is planned a pod is
//! refused that no API server stores, or that is larger than any that one stores.

use std::collections::BTreeSet;

/// Most entries of lists and objects in a pod, at any depth, and dollar signs, each of which may be a reference. As they usually
/// are, as many entries take more than the 1.5 MiB that etcd stores; here each may take some hundred bytes while a pod is read,
/// and each reference is looked up some times.
const MAX_ENTRIES: usize = 50_000;

/// Longest name of a container or volume: a DNS label. Findings repeat it.
const MAX_NAME: usize = 63;

/// Longest path of a mount (Linux' `PATH_MAX`). Findings repeat it.
const MAX_PATH: usize = 4096;

/// Most bytes of all annotations, keys included, as the API server counts them.
const MAX_ANNOTATIONS: usize = 256 << 10;

/// How else JSON writes a dollar sign.
const ESCAPED_DOLLAR: &[u8] = b"u0024";

/// Refuses JSON with too many entries and references, in one pass over its bytes.
///
/// # Errors
/// Says so, as the end of a sentence about the whole.
pub(crate) fn check_entries(json: &[u8]) -> Result<(), String> {
    if most_entries(json) <= MAX_ENTRIES {
        return Ok(());
    }
    let (mut entries, mut quoted, mut escaped) = (0_usize, false, false);
    for (i, byte) in json.iter().enumerate() {
        if escaped {
            escaped = false;
            entries += usize::from(*byte == b'u' && json.get(i..).is_some_and(|rest| rest.starts_with(ESCAPED_DOLLAR)));
        } else if quoted {
            escaped = *byte == b'\\';
            quoted = *byte != b'"';
            entries += usize::from(*byte == b'$');
        } else if *byte == b'"' {
            quoted = true;
        } else {
            entries += usize::from(matches!(byte, b',' | b'{' | b'['));
        }
    }
    if entries <= MAX_ENTRIES {
        return Ok(());
    }
    Err(format!(
        "its lists, objects and dollar signs are {entries} entries together, and {MAX_ENTRIES} is the most"
    ))
}

/// What may be an entry, wherever it stands: of most pods that says enough, at a fraction of the time. In parts whose count is a byte,
/// sixteen of which are counted at once.
fn most_entries(json: &[u8]) -> usize {
    let counts = json.chunks(usize::from(u8::MAX)).map(|part| {
        let may_be = |byte: &u8| u8::from(matches!(byte, b',' | b'{' | b'[' | b'$' | b'\\'));
        usize::from(part.iter().map(may_be).sum::<u8>())
    });
    counts.sum()
}

/// Refuses annotations of more bytes than the API server allows.
///
/// # Errors
/// Names the field.
pub(super) fn check_annotations(bytes: usize) -> Result<(), String> {
    if bytes <= MAX_ANNOTATIONS {
        return Ok(());
    }
    Err(format!(
        "metadata.annotations: {} KiB is the most that Kubernetes allows of all together",
        MAX_ANNOTATIONS >> 10
    ))
}

/// Refuses a path that no system opens.
///
/// # Errors
/// Names the field by its path.
pub(super) fn check_path(path: &str, field: impl Fn() -> String) -> Result<(), String> {
    if path.len() <= MAX_PATH {
        return Ok(());
    }
    Err(format!("{}: has more than {MAX_PATH} bytes", field()))
}

/// Refuses a name that is too long, or was met before.
///
/// # Errors
/// Names the field by its path.
pub(super) fn check_name<'n>(
    name: &'n str,
    met: &mut BTreeSet<&'n str>,
    field: impl Fn() -> String,
) -> Result<(), String> {
    if name.len() > MAX_NAME {
        return Err(format!("the name of {} has more than {MAX_NAME} characters", field()));
    }
    if !met.insert(name) {
        return Err(format!("{}.name: {name:?} is the name of another one, too", field()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{MAX_ENTRIES, check_entries};

    #[test]
    fn entries_are_counted_where_they_are_not_text_and_references_where_they_are() {
        let list = |entry: &str, count: usize| format!("[{}]", vec![entry; count].join(","));
        assert_eq!(check_entries(list("1", MAX_ENTRIES).as_bytes()), Ok(()));
        assert!(check_entries(list("1", MAX_ENTRIES + 1).as_bytes()).is_err());
        assert!(check_entries(list("{}", MAX_ENTRIES / 2 + 1).as_bytes()).is_err());
        let text = format!(r#"{{"a":"\"{}\\"}}"#, ",{[".repeat(MAX_ENTRIES));
        assert_eq!(check_entries(text.as_bytes()), Ok(()));
        let letters = format!(r#"{{"a":"{}"}}"#, "\\u0041".repeat(MAX_ENTRIES + 1));
        assert_eq!(check_entries(letters.as_bytes()), Ok(()));
        for dollar in ["$", "\\u0024"] {
            let text = |count: usize| format!(r#"{{"a":"{}"}}"#, format!("{dollar}(A)").repeat(count));
            assert_eq!(check_entries(text(MAX_ENTRIES - 1).as_bytes()), Ok(()));
            assert!(check_entries(text(MAX_ENTRIES).as_bytes()).is_err(), "{dollar}");
        }
        let behind = format!(r#"["\\",{}]"#, list("1", MAX_ENTRIES));
        assert!(
            check_entries(behind.as_bytes()).is_err(),
            "a backslash that is escaped hides nothing"
        );
    }
}
