//! `crds`: the CustomResourceDefinitions.

use super::terminal;
use anyhow::Context;
use std::fs;
use std::path::PathBuf;
use vertex_injector_core::{api, manifest};
use vertex_injector_sidecar::Ending;

/// Print the CustomResourceDefinitions of the policies
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  # Install or update them
  vertex-injector crds | kubectl apply --server-side -f -

  # One file for each kind, as the chart keeps them
  vertex-injector crds --output-dir charts/vertex-injector/files/crds")]
pub(super) struct Args {
    /// Format: a YAML stream, or a v1 List in JSON
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    output: Format,

    /// Write PLURAL.yaml for each kind into this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    output_dir: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Format {
    Yaml,
    Json,
}

pub(super) fn run(args: Args) -> anyhow::Result<Ending> {
    let Args { output, output_dir } = args;
    let mut definitions = Vec::new();
    for definition in api::crds() {
        definitions.push((definition.spec.names.plural.clone(), serde_json::to_value(definition)?));
    }
    if let Some(directory) = output_dir {
        fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        for (plural, definition) in &definitions {
            let file = directory.join(plural).with_extension("yaml");
            fs::write(&file, manifest::yaml(&[definition])?)
                .with_context(|| format!("{} cannot be written", file.display()))?;
        }
        return Ok(Ending::Done);
    }
    let definitions: Vec<_> = definitions.iter().map(|(_, definition)| definition).collect();
    terminal::print(&match output {
        Format::Yaml => manifest::yaml(&definitions)?,
        Format::Json => manifest::json(&definitions)?,
    })?;
    Ok(Ending::Done)
}
