//! `validate`: everything that is wrong with policies, before the API server or a pod finds it.

use super::inputs::{read_all, read_operator};
use super::terminal::{self, Format, clean};
use anstyle::{AnsiColor, Style};
use anyhow::bail;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use vertex_injector_core::admission::{Operator, PolicyObject};
use vertex_injector_core::api::FieldError;
use vertex_injector_core::manifest::Place;
use vertex_injector_core::manifest::policies::{Other, Policies, Unusable};
use vertex_injector_core::validation::Judgement;
use vertex_injector_sidecar::Ending;

/// Check policies as the API server and the webhook do, all errors at once
///
/// Says for each policy `valid`, or a line for each error: FILE: KIND/NAME: FIELD: PROBLEM. Warnings (no pod can reach
/// the policy) and notes (there is a better way) do not make a policy invalid.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  every policy is valid
  1  a policy is invalid
  2  the arguments or the input cannot be used, or there is no policy in it

Examples:
  # Before a commit
  vertex-injector validate -f policies/

  # With the operator's settings: allowed images, hosts and audiences, agent
  # selectors
  vertex-injector validate -f policy.yaml --config operator.yaml

  # What a chart renders
  helm template agents ./chart | vertex-injector validate -f -")]
pub(super) struct Args {
    /// Policies: files, directories, or - for standard input
    #[arg(short, long, value_name = "FILE|DIR|-", required = true, num_args = 1..)]
    filename: Vec<PathBuf>,

    /// Read the directories below the named ones, too
    #[arg(short = 'R', long)]
    recursive: bool,

    /// Namespace of policies that name none
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,

    /// The operator's settings, as the chart writes them for the webhook
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Format of the result
    #[arg(short, long, default_value = "text", value_parser = Format::parser("{policies: [{source, document, kind, namespace, name, valid, errors, warnings, notes}], ignored: […]}"))]
    output: Format,

    /// Warnings are errors
    #[arg(long)]
    strict: bool,

    #[command(flatten)]
    colours: terminal::Colours,
}

/// What is to say about one policy.
struct Verdict {
    place: Place,
    kind: String,
    namespace: Option<String>,
    name: String,
    judgement: Judgement,
}

pub(super) fn run(args: Args) -> anyhow::Result<Ending> {
    let Args {
        filename,
        recursive,
        namespace,
        config,
        output,
        strict,
        colours,
    } = args;
    colours.choose();
    let documents = read_all(&filename, recursive)?;
    let operator = read_operator(config.as_deref())?;
    let Policies {
        objects,
        unusable,
        others,
        ..
    } = Policies::among(&documents, &namespace);
    let mut verdicts: Vec<_> = objects
        .into_iter()
        .map(|(place, policy)| Verdict::fitting(place, &policy, &operator))
        .chain(
            unusable
                .into_iter()
                .map(|unusable| Verdict::misshapen(unusable, &operator)),
        )
        .collect();
    if verdicts.is_empty() {
        bail!("no policy in the input");
    }
    let position = |place: &Place| documents.iter().position(|document| document.place == *place);
    verdicts.sort_by_key(|verdict| position(&verdict.place));
    match output {
        Format::Text => terminal::print(&words(&verdicts, &others)?)?,
        Format::Json => terminal::print_json(&data(&verdicts, &others))?,
    }
    let refused = |Verdict { judgement, .. }: &Verdict| {
        !judgement.errors.0.is_empty() || (strict && judgement.unreachable.is_some())
    };
    Ok(Ending::refused_if(verdicts.iter().any(refused)))
}

impl Verdict {
    /// The verdict about a policy that fits its schema.
    fn fitting(place: Place, object: &PolicyObject, operator: &Operator) -> Self {
        let (kind, metadata) = match object {
            PolicyObject::Namespaced(object) => ("InjectionPolicy", &object.metadata),
            PolicyObject::Cluster(object) => ("ClusterInjectionPolicy", &object.metadata),
        };
        let namespace = match object {
            PolicyObject::Namespaced(_) => metadata.namespace.clone(),
            PolicyObject::Cluster(_) => None,
        };
        Self {
            place,
            kind: kind.to_owned(),
            namespace,
            name: metadata.name.clone().unwrap_or_default(),
            judgement: Judgement::of_policy(object, operator),
        }
    }

    /// The verdict about an object that does not fit its schema.
    fn misshapen(unusable: Unusable, operator: &Operator) -> Self {
        let Unusable {
            place,
            kind,
            namespace,
            name,
            errors,
            object,
        } = unusable;
        Self {
            place,
            kind,
            namespace,
            name,
            judgement: Judgement::of_misshapen(errors, object.as_deref(), operator),
        }
    }
}

fn words(verdicts: &[Verdict], ignored: &[Other]) -> Result<String, std::fmt::Error> {
    const VALID: Style = AnsiColor::Green.on_default();
    const WARNING: Style = AnsiColor::Yellow.on_default();
    const ERROR: Style = AnsiColor::Red.on_default();
    let mut text = String::new();
    for verdict in verdicts {
        let title = clean(&format!("{}: {}/{}", verdict.place, verdict.kind, verdict.name));
        for FieldError { field, problem } in &verdict.judgement.errors.0 {
            writeln!(text, "{title}: {ERROR}{}{ERROR:#}: {}", clean(field), clean(problem))?;
        }
        if verdict.judgement.errors.0.is_empty() {
            writeln!(text, "{title}: {VALID}valid{VALID:#}")?;
        }
        if let Some(warning) = &verdict.judgement.unreachable {
            writeln!(text, "{title}: {WARNING}warning{WARNING:#}: {}", clean(warning))?;
        }
        for note in &verdict.judgement.notes {
            writeln!(text, "{title}: note: {}", clean(note))?;
        }
    }
    for other in ignored {
        writeln!(
            text,
            "{}: not a policy, ignored",
            clean(&format!("{}: {}/{}", other.place, other.kind, other.name))
        )?;
    }
    Ok(text)
}

fn data(verdicts: &[Verdict], ignored: &[Other]) -> Value {
    let policies: Vec<_> = verdicts
        .iter()
        .map(|verdict| {
            let errors: Vec<_> = verdict
                .judgement
                .errors
                .0
                .iter()
                .map(|error| json!({"field": error.field, "problem": error.problem}))
                .collect();
            json!({
                "source": *verdict.place.input,
                "document": verdict.place.document,
                "kind": verdict.kind,
                "namespace": verdict.namespace,
                "name": verdict.name,
                "valid": verdict.judgement.errors.0.is_empty(),
                "errors": errors,
                "warnings": Vec::from_iter(&verdict.judgement.unreachable),
                "notes": verdict.judgement.notes,
            })
        })
        .collect();
    let ignored: Vec<_> = ignored
        .iter()
        .map(|other| {
            json!({
                "source": *other.place.input,
                "document": other.place.document,
                "kind": other.kind,
                "name": other.name,
            })
        })
        .collect();
    json!({"policies": policies, "ignored": ignored})
}
