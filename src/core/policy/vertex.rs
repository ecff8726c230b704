//! Settings of Vertex AI that the chosen clients read.

use super::errors::{Checked, Errors, all, parsed};
use super::google::{self, Service};
use crate::api::{self, Access, Client, PolicySpec};
use crate::clients::{MODEL_REGION_CLIENTS, MODEL_REGION_PREFIX, Setting};
use crate::contract::proxy::{Project, Region};
use crate::endpoint::Endpoint;
use crate::operator::Operator;
use std::collections::{BTreeMap, BTreeSet};

/// Settings of Vertex AI.
#[derive(Debug)]
pub struct Vertex {
    /// The clients whose variables are set.
    pub clients: Vec<Client>,
    /// The project that is called.
    pub project: Project,
    /// Its location.
    pub region: Region,
    /// The project that quota is counted against, when it is another.
    pub quota_project: Option<String>,
    /// Root URL of Vertex AI, when it is not Google's.
    pub endpoint: Option<Endpoint>,
    /// Regions of single models, by the suffix of the variables; empty when no client reads them.
    pub model_regions: BTreeMap<String, Region>,
    values: Vec<(Setting, String)>,
}

impl Vertex {
    /// What the policy says about a setting; `None` when it says nothing.
    pub fn value(&self, setting: Setting) -> Option<&str> {
        let found = self.values.iter().find(|(other, _)| *other == setting);
        found.map(|(_, value)| value.as_str())
    }
}

pub(super) fn compile(spec: &PolicySpec, operator: &Operator, errors: &mut Errors) -> Checked<Option<Vertex>> {
    let Some(vertex) = &spec.vertex else { return Ok(None) };
    for &setting in Setting::ALL {
        check_readers(setting, vertex, spec.access, errors);
    }
    check_model_regions(vertex, errors);
    let endpoint = vertex
        .endpoint
        .as_ref()
        .map(|url| google::parse(url, Service::Vertex, "spec.vertex.endpoint", operator, errors));
    let project = parsed(&vertex.project, "spec.vertex.project", errors);
    let region = parsed(&vertex.region, "spec.vertex.region", errors);
    let model_regions = vertex.model_regions.iter();
    let model_regions = all(model_regions.map(|(model, region)| {
        let region = parsed(region, &format!("spec.vertex.modelRegions[{model}]"), errors)?;
        Ok((model.clone(), region))
    }));
    let values = Setting::ALL.iter().copied();
    Ok(Some(Vertex {
        clients: vertex.clients.clone(),
        project: project?,
        region: region?,
        quota_project: vertex.quota_project.clone(),
        endpoint: endpoint.transpose()?,
        model_regions: model_regions?.into_iter().collect(),
        values: values
            .filter_map(|setting| Some((setting, setting.value(vertex)?.to_owned())))
            .collect(),
    }))
}

/// A setting that no chosen client reads would be without effect.
fn check_readers(setting: Setting, vertex: &api::Vertex, access: Access, errors: &mut Errors) {
    let read = setting.variables().any(|variable| variable.is_set_for(&vertex.clients));
    // With a proxy the endpoint is the broker's.
    let elsewhere = setting == Setting::Endpoint && access == Access::Proxy;
    if setting.value(vertex).is_none() || read || setting.is_switch() || elsewhere {
        return;
    }
    let clients = setting.variables().flat_map(|variable| variable.set_for);
    let clients: BTreeSet<String> = clients.map(|client| format!("{client:?}")).collect();
    let clients: Vec<String> = clients.into_iter().collect();
    errors.add(
        format!("spec.{}", setting.field()),
        format!(
            "none of the chosen clients reads it; it is read by {}",
            clients.join(", ")
        ),
    );
}

fn check_model_regions(vertex: &api::Vertex, errors: &mut Errors) {
    const FIELD: &str = "spec.vertex.modelRegions";
    let read = vertex
        .clients
        .iter()
        .any(|client| MODEL_REGION_CLIENTS.contains(client));
    if !vertex.model_regions.is_empty() && !read {
        errors.add(
            FIELD,
            format!("none of the chosen clients reads {MODEL_REGION_PREFIX}…; it is read by {MODEL_REGION_CLIENTS:?}"),
        );
    }
    for model in vertex.model_regions.keys() {
        let known = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        if !model.bytes().all(known) || model.is_empty() || model.starts_with('_') {
            errors.add(
                FIELD,
                format!("{model:?} is not the suffix of a variable {MODEL_REGION_PREFIX}…, such as HAIKU_4_5"),
            );
        }
    }
}
