//! The pages for people, taken apart: the README, what stands beside it, and everything below `docs`.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use regex::Regex;
use support::root;

/// A page, as it is checked out.
#[derive(Debug)]
pub(crate) struct Page {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// All pages; the README is the first.
pub(crate) fn pages() -> &'static [Page] {
    static PAGES: LazyLock<Vec<Page>> = LazyLock::new(|| {
        let beside = ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"];
        let mut paths: Vec<PathBuf> = beside.map(|name| root().join(name)).into();
        for folder in ["docs", "docs/reference"] {
            let entries = fs::read_dir(root().join(folder)).expect("a folder of pages");
            let files = entries.map(|entry| entry.expect("an entry").path());
            paths.extend(files.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
        }
        paths[1..].sort();
        let read = |path: PathBuf| Page {
            text: fs::read_to_string(&path).expect("a page"),
            path,
        };
        paths.into_iter().map(read).collect()
    });
    &PAGES
}

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

/// All fenced blocks of all pages, in order.
pub(crate) fn blocks() -> Vec<Block<'static>> {
    pages().iter().flat_map(|page| blocks_of(&page.text)).collect()
}

/// The fenced blocks of a page.
pub(crate) fn blocks_of(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut paragraph = String::new();
    let mut lines = page.lines();
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

/// The commands of all blocks in this language, lines that belong together joined.
pub(crate) fn commands(language: &str) -> Vec<String> {
    let commands: Vec<String> = pages()
        .iter()
        .flat_map(|page| commands_of(&page.text, language))
        .collect();
    assert!(!commands.is_empty(), "no commands in blocks of {language:?}");
    commands
}

/// The same of one page.
pub(crate) fn commands_of(page: &str, language: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in blocks_of(page).iter().filter(|block| block.language == language) {
        let joined = block.text.replace("\\\n", " ");
        commands.extend(joined.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    }
    commands
}

/// The rows of the table whose first heading is this: the text of each cell.
pub(crate) fn table(first_heading: &str) -> Vec<Vec<String>> {
    let heading = format!("| {first_heading} |");
    let lines = pages().iter().flat_map(|page| page.text.lines());
    let rows: Vec<Vec<String>> = lines
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

/// What all pages say outside of blocks.
pub(crate) fn prose() -> String {
    let pages: Vec<String> = pages().iter().map(|page| prose_of(&page.text)).collect();
    pages.join("\n")
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
