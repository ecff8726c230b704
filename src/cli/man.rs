//! `man`: pages for man(1).

use super::terminal;
use anyhow::Context;
use clap_mangen::Man;
use std::fs;
use std::path::PathBuf;
use vertex_injector_sidecar::Ending;

/// Print the manual, or write a page for each verb
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  # Read it
  vertex-injector man | man --local-file -

  # Install it, with a page for each verb
  vertex-injector man --output-dir ~/.local/share/man/man1")]
pub(super) struct Args {
    /// Write vertex-injector.1 and a page for each verb into this directory instead
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

pub(super) fn run(args: Args, command: clap::Command) -> anyhow::Result<Ending> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(directory) = args.output_dir else {
        terminal::print_data(&page(&command)?.1)?;
        return Ok(Ending::Done);
    };
    fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    for each in [&command].into_iter().chain(command.get_subcommands()) {
        let (name, text) = page(each)?;
        let file = directory.join(name);
        fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(Ending::Done)
}

/// The name of a page, and what is in it.
fn page(command: &clap::Command) -> anyhow::Result<(String, String)> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let after = command.get_after_help().map(ToString::to_string);
    let text = String::from_utf8(page)? + &as_written(after.as_deref().unwrap_or_default());
    Ok((man.get_filename(), text))
}

/// What follows the flags, line by line: examples are pasted, and roff would fill them up. Headings end with a colon.
fn as_written(text: &str) -> String {
    let mut written = String::new();
    for line in text.lines() {
        match line.strip_suffix(':') {
            Some(heading) if !line.starts_with(' ') => {
                written.push_str(".fi\n.SH ");
                written.push_str(&heading.to_uppercase());
                written.push_str("\n.nf\n");
            }
            _ => {
                // A dot or an apostrophe at the beginning would be a request.
                written.push_str("\\&");
                written.push_str(&line.replace('\\', "\\e").replace('-', "\\-"));
                written.push('\n');
            }
        }
    }
    written
}
