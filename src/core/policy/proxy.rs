//! What the Vertex proxy lets through, and whether that is what the policy itself sends agents to.

use super::errors::{Checked, Errors, all};
use crate::api::{Client, PolicySpec, Proxy, Vertex};
use crate::clients::Setting;
use crate::contract::proxy::{Feature, Publisher};
use crate::glob::Glob;
use std::collections::BTreeSet;

/// What the proxy lets through, with every default filled in.
#[derive(Debug)]
pub struct Limits {
    /// The only project.
    pub project: String,
    /// Whose models.
    pub publishers: Vec<Publisher>,
    /// In which locations.
    pub regions: Vec<String>,
    /// Which models.
    pub models: Vec<Glob>,
    /// What a call may make the provider do beyond answering.
    pub features: Vec<Feature>,
}

/// What a policy says of its proxy; what is empty follows from its `vertex`.
#[derive(Debug)]
pub(super) struct Wanted {
    publishers: Vec<Publisher>,
    regions: Vec<String>,
    models: Vec<Glob>,
    features: Vec<Feature>,
}

impl Wanted {
    /// The limits, defaults filled in.
    pub(super) fn within(self, vertex: &super::Vertex) -> Limits {
        let Self {
            publishers,
            regions,
            models,
            features,
        } = self;
        let own = || -> BTreeSet<&String> { vertex.model_regions.values().chain([&vertex.region]).collect() };
        Limits {
            project: vertex.project.clone(),
            publishers: if publishers.is_empty() {
                Publisher::ALL.to_vec()
            } else {
                publishers
            },
            regions: if regions.is_empty() {
                own().into_iter().cloned().collect()
            } else {
                regions
            },
            models: if models.is_empty() { vec![Glob::any()] } else { models },
            features,
        }
    }
}

/// What a policy with `access: Proxy` wants of it.
pub(super) fn compile(spec: &PolicySpec, errors: &mut Errors) -> Checked<Wanted> {
    let Proxy {
        publishers,
        models,
        regions,
        allow,
    } = spec.proxy.clone().unwrap_or_default();
    let globs = all(models.iter().enumerate().map(|(i, glob)| {
        { glob.parse() }
            .map_err(|problem| errors.add(format!("spec.proxy.models[{i}]"), format!("{glob:?} is {problem}")))
    }));
    if let Some(vertex) = &spec.vertex {
        check_clients(vertex, &publishers, errors);
        if let Ok(globs) = &globs {
            check_models(vertex, globs, errors);
        }
        check_regions(vertex, &regions, errors);
    }
    Ok(Wanted {
        publishers,
        regions,
        models: globs?,
        features: allow,
    })
}

fn check_clients(vertex: &Vertex, publishers: &[Publisher], errors: &mut Errors) {
    let reads_address = |client: &Client| {
        let mut addresses = Setting::Endpoint.variables();
        addresses.any(|variable| variable.is_set_for(&[*client]))
    };
    let direct: Vec<String> = { vertex.clients.iter() }
        .filter(|client| !reads_address(client))
        .map(|client| format!("{client:?}"))
        .collect();
    if !direct.is_empty() {
        errors.add(
            "spec.vertex.clients",
            format!(
                "{} cannot be sent to the proxy by a variable, and would call Vertex AI with a placeholder token; use access: Metadata",
                direct.join(", ")
            ),
        );
    }
    if vertex.quota_project.is_some() {
        errors.add(
            "spec.vertex.quotaProject",
            "the proxy passes no quota project on; use access: Metadata, or remove it",
        );
    }
    for publisher in Publisher::ALL {
        let mut clients = vertex.clients.iter();
        if let Some(client) = clients.find(|client| client.traits().publisher == Some(publisher))
            && !publishers.is_empty()
            && !publishers.contains(&publisher)
        {
            errors.add(
                "spec.proxy.publishers",
                format!(
                    "{client:?} in vertex.clients calls models of {:?}, which is not among them",
                    publisher.name()
                ),
            );
        }
    }
}

fn check_models(vertex: &Vertex, globs: &[Glob], errors: &mut Errors) {
    for setting in Setting::MODELS {
        let Some(model) = setting.value(vertex) else { continue };
        if !globs.is_empty() && !globs.iter().any(|glob| glob.matches(model)) {
            let globs: Vec<&str> = globs.iter().map(Glob::as_str).collect();
            errors.add(
                format!("spec.{}", setting.field()),
                format!(
                    "{model:?} is not allowed by proxy.models, which has {}",
                    globs.join(", ")
                ),
            );
        }
    }
}

fn check_regions(vertex: &Vertex, regions: &[String], errors: &mut Errors) {
    let refused = |region: &String| !regions.is_empty() && !regions.contains(region);
    let allowed = regions.join(", ");
    if refused(&vertex.region) {
        errors.add(
            "spec.vertex.region",
            format!(
                "{:?} is not allowed by proxy.regions, which has {allowed}",
                vertex.region
            ),
        );
    }
    for (model, region) in vertex.model_regions.iter().filter(|(_, region)| refused(region)) {
        errors.add(
            "spec.vertex.modelRegions",
            format!("{region:?} of {model} is not allowed by proxy.regions, which has {allowed}"),
        );
    }
}
