//! The README, taken apart.

use regex::Regex;

/// As it is checked out.
pub(crate) const README: &str = include_str!("../../README.md");

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    /// What stands behind the fence, such as `sh` or `sh gcloud`.
    pub language: &'a str,
    /// What stands between the fences.
    pub text: String,
    /// The last paragraph before it.
    pub before: String,
}

/// All fenced blocks, in order.
pub(crate) fn blocks() -> Vec<Block<'static>> {
    let mut blocks = Vec::new();
    let mut paragraph = String::new();
    let mut lines = README.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block {
                language,
                text: text.join("\n"),
                before: std::mem::take(&mut paragraph),
            });
        } else if line.is_empty() {
            // A block belongs to the paragraph that ends right above it.
            if !paragraph.trim_end().ends_with(':') {
                paragraph.clear();
            }
        } else {
            paragraph.push_str(line);
            paragraph.push('\n');
        }
    }
    blocks
}

/// The commands of the blocks in this language, lines that belong together joined.
pub(crate) fn commands(language: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in blocks().iter().filter(|block| block.language == language) {
        let joined = block.text.replace("\\\n", " ");
        commands.extend(joined.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    }
    assert!(!commands.is_empty(), "no commands in blocks of {language:?}");
    commands
}

/// The rows of the table whose first heading is this: the text of each cell.
pub(crate) fn table(first_heading: &str) -> Vec<Vec<String>> {
    let heading = format!("| {first_heading} |");
    let rows: Vec<Vec<String>> = README
        .lines()
        .skip_while(|line| !line.starts_with(&heading))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let line = line.trim_matches('|').replace("\\|", "\u{1}");
            line.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
        })
        .collect();
    assert!(!rows.is_empty(), "no table with the heading {first_heading:?}");
    rows
}

/// What the README says outside of blocks.
pub(crate) fn prose() -> String {
    prose_of(README)
}

/// What a page says outside of blocks.
pub(crate) fn prose_of(page: &str) -> String {
    let lines = page.lines().scan(false, |inside, line| {
        let fence = line.starts_with("```");
        *inside ^= fence;
        Some((!*inside && !fence).then_some(line))
    });
    lines.flatten().collect::<Vec<_>>().join("\n")
}

/// What stands in backticks in a text.
pub(crate) fn quoted(text: &str) -> Vec<String> {
    let backticks = Regex::new("`([^`]+)`").expect("a pattern");
    backticks.captures_iter(text).map(|found| found[1].to_owned()).collect()
}
