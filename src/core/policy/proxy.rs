//! What the Vertex proxy lets through, and whether that is what the policy itself sends agents to.

use super::errors::{Checked, Errors, all, parsed};
use crate::api::{Client, PolicySpec, Proxy, Vertex};
use crate::clients::{OTHER_MODELS, Setting};
use crate::contract::proxy::{Feature, FieldName, Method, Publisher, Region, Rules, Unknown, may_be_called};
use crate::glob::Glob;
use std::collections::BTreeSet;

/// What a policy says of its proxy; what is empty follows from its `vertex`.
#[derive(Debug)]
pub(super) struct Wanted {
    publishers: Vec<Publisher>,
    regions: Vec<Region>,
    models: Vec<Glob>,
    methods: Vec<Method>,
    features: Vec<Feature>,
    unknown: Unknown,
}

impl Wanted {
    /// The rules, defaults filled in.
    pub(super) fn within(self, vertex: &super::Vertex) -> Rules {
        let Self {
            publishers,
            mut regions,
            models,
            mut methods,
            features,
            unknown,
        } = self;
        if methods.is_empty() {
            methods = Method::USUAL.to_vec();
        }
        if regions.is_empty() {
            let own: BTreeSet<&Region> = vertex.model_regions.values().chain([&vertex.region]).collect();
            regions = own.into_iter().cloned().collect();
        }
        Rules {
            methods,
            unknown,
            ..Rules::new(vertex.project.clone(), regions, publishers, models, features)
        }
    }
}

/// What a policy with `access: Proxy` wants of it; the operator knows these members of bodies.
pub(super) fn compile(spec: &PolicySpec, known: &[FieldName], errors: &mut Errors) -> Checked<Wanted> {
    let Proxy {
        publishers,
        models,
        regions,
        methods,
        allow,
        unknown_fields,
    } = spec.proxy.clone().unwrap_or_default();
    let globs =
        all({ models.iter().enumerate() }.map(|(i, glob)| parsed(glob, &format!("spec.proxy.models[{i}]"), errors)));
    let locations =
        all({ regions.iter().enumerate() }
            .map(|(i, region)| parsed(region, &format!("spec.proxy.regions[{i}]"), errors)));
    if let Some(vertex) = &spec.vertex {
        check_clients(vertex, &publishers, errors);
        if let Ok(globs) = &globs {
            check_models(vertex, globs, errors);
            check_variables(spec, globs, errors);
        }
        check_regions(vertex, &regions, errors);
    }
    Ok(Wanted {
        publishers,
        regions: locations?,
        models: globs?,
        methods,
        features: allow,
        unknown: Unknown::new(unknown_fields, known.to_vec()),
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
    for &publisher in Publisher::ALL {
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
            refuse_model(model, globs, format!("spec.{}", setting.field()), errors);
        }
    }
}

/// Models in variables that a policy sets itself, because it has no field for them.
fn check_variables(spec: &PolicySpec, globs: &[Glob], errors: &mut Errors) {
    let lists = { spec.agents.iter().enumerate() }.map(|(i, agents)| (format!("spec.agents[{i}].env"), &agents.env));
    for (list, env) in lists.chain([("spec.env".to_owned(), &spec.env)]) {
        for (i, variable) in env.iter().enumerate() {
            let model = variable.value.as_deref().unwrap_or_default();
            // What a reference resolves to is asked of the pod.
            if OTHER_MODELS.contains(&variable.name.as_str())
                && !model.contains('$')
                && !globs.is_empty()
                && !may_be_called(model, globs)
            {
                refuse_model(model, globs, format!("{list}[{i}].value"), errors);
            }
        }
    }
}

fn refuse_model(model: &str, globs: &[Glob], field: String, errors: &mut Errors) {
    let globs: Vec<&str> = globs.iter().map(Glob::as_str).collect();
    let allowed = globs.join(", ");
    errors.add(
        field,
        format!("{model:?} is not allowed by proxy.models, which has {allowed}"),
    );
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
