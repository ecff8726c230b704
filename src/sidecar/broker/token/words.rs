//! Somebody else's words, made fit to be shown.

/// Longest text of somebody else's that is shown, in characters.
const MAX_DETAIL: usize = 300;

/// Makes an upstream's text fit to be shown: one line, capped, and without anything that looks like a token.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::new();
    for word in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
    {
        if !out.is_empty() {
            out.push(' ');
        }
        let secret = word.contains("ya29.") || word.contains("eyJ") || word.chars().count() > 160;
        out.push_str(if secret { "[redacted]" } else { word });
        if out.chars().count() > MAX_DETAIL {
            out = out.chars().take(MAX_DETAIL).collect();
            out.push('…');
            break;
        }
    }
    out
}
