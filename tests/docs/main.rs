//! The reference below `docs/reference` is written from the code, and is what the code says.
//!
//! `make docs` (`UPDATE_DOCS=1 cargo test --test docs`) writes the pages; without it they are compared.
#![cfg(test)]
#![allow(clippy::format_collect, clippy::format_push_string, reason = "pages are small")]

mod clients;
mod commands;
mod hops;
mod metrics;
mod policy;
mod problems;
mod reasons;
mod values;

use std::fs;
use std::path::Path;

/// Compares a page with what the code says, or writes it.
#[track_caller]
fn check(name: &str, title: &str, about: &str, body: &str) {
    let page = format!(
        "# {title}\n\n<!-- Written from the code by `make docs`. -->\n\n{}\n\n{}\n",
        about.trim(),
        body.trim()
    );
    same(&format!("docs/reference/{name}"), &page);
}

/// Compares a file of the repository with what the code makes of it, or writes it.
#[track_caller]
fn same(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, page).unwrap();
        return;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let line = { written.lines().zip(page.lines()) }
        .position(|(written, code)| written != code)
        .unwrap_or_else(|| written.lines().count().min(page.lines().count()));
    assert!(
        written == page,
        "{name} differs from the code in line {}: {:?} should be {:?}; run `make docs`",
        line + 1,
        written.lines().nth(line).unwrap_or_default(),
        page.lines().nth(line).unwrap_or_default(),
    );
}

/// A table in Markdown.
fn table<const N: usize>(heading: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<_> = cells
            .iter()
            .map(|cell| cell.replace('|', "\\|").replace('\n', " "))
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut table = line(&heading.map(str::to_owned));
    table.push_str(&format!("|{}\n", "---|".repeat(N)));
    table.extend(rows.into_iter().map(|row| line(&row)));
    table
}
