//! What an access mode needs and excludes: whether the broker can do its work, and whether the proxy lets through what the
//! policy itself sends agents to.

use super::Setting;
use super::pieces::{check_bounds, matches};
use crate::api::{
    Access, Broker, Client, FieldErrors, Isolation, OpenShell, PolicySpec, Proxy, Vertex, WorkloadIdentityFederation,
};
use crate::clients::CLAUDE;
use crate::contract::proxy::Publisher;
use crate::reserved;

pub(super) fn check(spec: &PolicySpec, errors: &mut FieldErrors) {
    if spec.access.has_broker() {
        check_broker_mode(spec, errors);
    } else {
        check_without_broker(spec, errors);
    }
    check_id_tokens(spec, errors);
    if spec.access == Access::Proxy {
        if let Some(vertex) = &spec.vertex {
            check_proxy(vertex, &spec.proxy.clone().unwrap_or_default(), errors);
        }
    } else if spec.proxy.is_some() {
        errors.add("spec.proxy", "only access: Proxy has a proxy that could enforce it");
    }
}

fn check_broker_mode(spec: &PolicySpec, errors: &mut FieldErrors) {
    if spec.identity.is_none() && spec.vertex.is_none() {
        errors.add(
            "spec.identity",
            "access: Metadata and access: Proxy need an identity, which the broker keeps from the agent",
        );
    }
    if spec.vertex.is_none() {
        errors.add(
            "spec.vertex",
            "access: Metadata and access: Proxy need vertex: the broker tells clients its project",
        );
    }
    if spec.open_shell == OpenShell::PatchUserEnvironment {
        errors.add(
            "spec.openShell",
            "PatchUserEnvironment and a broker exclude each other: a process in the sandbox has another loopback; use access: File",
        );
    }
    let gke = spec
        .identity
        .as_ref()
        .is_some_and(|identity| identity.gke_workload_identity.is_some());
    if gke && spec.isolation == Isolation::Required {
        errors.add(
            "spec.isolation",
            "gkeWorkloadIdentity with a broker needs BestEffort: the node's metadata server gives the identity to every container of the pod",
        );
    }
    let file = spec
        .vertex
        .as_ref()
        .is_some_and(|vertex| vertex.clients.contains(&Client::Ambient));
    for (i, agent) in spec.agents.iter().enumerate() {
        if agent.credential_directory.is_some() && !file {
            errors.add(
                format!("spec.agents[{i}].credentialDirectory"),
                "with a broker nothing is mounted in the agent, except for the client Ambient; remove it",
            );
        }
    }
    if let Some(broker) = &spec.broker {
        check_container(broker, spec, errors);
    }
    if spec.isolation == Isolation::Required {
        check_other_tokens(spec, errors);
    }
}

/// A policy that hands the identity's token to the agent by another field would make its own broker pointless.
fn check_other_tokens(spec: &PolicySpec, errors: &mut FieldErrors) {
    let federation = spec
        .identity
        .as_ref()
        .and_then(|identity| identity.workload_identity_federation.as_ref());
    let Some(audiences) = federation.map(WorkloadIdentityFederation::audiences) else {
        return;
    };
    let mut check = |audience: &String, field: String| {
        if audiences.contains(audience) {
            errors.add(
                field,
                format!("{audience:?} is the identity's audience: such a token is what the broker keeps from the agent; use another, or isolation: BestEffort"),
            );
        }
    };
    for (i, token) in spec.tokens.iter().enumerate() {
        check(&token.audience, format!("spec.tokens[{i}].audience"));
    }
    for (i, volume) in spec.volumes.iter().enumerate() {
        let sources = volume.projected.iter().flat_map(|projected| &projected.sources);
        for (j, source) in sources.enumerate() {
            if let Some(token) = &source.service_account_token {
                let field = format!("spec.volumes[{i}].projected.sources[{j}].serviceAccountToken.audience");
                check(&token.audience, field);
            }
        }
    }
}

fn check_without_broker(spec: &PolicySpec, errors: &mut FieldErrors) {
    if spec.broker.is_some() {
        errors.add("spec.broker", "only access: Metadata and access: Proxy have a broker");
    }
    if spec.isolation == Isolation::BestEffort && spec.sidecars.is_empty() {
        errors.add(
            "spec.isolation",
            "nothing is kept from the agent with access: File and no sidecars, so there is nothing to choose; remove it",
        );
    }
}

fn check_id_tokens(spec: &PolicySpec, errors: &mut FieldErrors) {
    let Some(identity) = &spec.identity else { return };
    if identity.id_token_audiences.is_empty() {
        return;
    }
    let field = "spec.identity.idTokenAudiences";
    if !spec.access.has_broker() {
        errors.add(
            field,
            "only access: Metadata and access: Proxy have a broker that hands out ID tokens",
        );
    } else if let Some(federation) = &identity.workload_identity_federation
        && federation.service_account.is_none()
    {
        errors.add(
            field,
            "needs workloadIdentityFederation.serviceAccount: Google mints ID tokens for service accounts only",
        );
    }
}

fn check_container(broker: &Broker, spec: &PolicySpec, errors: &mut FieldErrors) {
    let ports = [
        ("metadataPort", broker.metadata_port),
        ("proxyPort", broker.proxy_port),
        ("metricsPort", broker.metrics_port),
    ];
    for (i, (name, port)) in ports.into_iter().enumerate() {
        let Some(port) = port else { continue };
        let field = format!("spec.broker.{name}");
        if let Some((other, _)) = ports.iter().take(i).find(|(_, other)| *other == Some(port)) {
            errors.add(&*field, format!("{port} is {other} already; the ports must differ"));
        }
        if let Some(user) = reserved::user_of_port(port) {
            errors.add(&*field, format!("{port} is taken by {user}; choose another"));
        }
        if let Some(sidecar) = spec.sidecars.iter().find(|sidecar| sidecar.port == Some(port)) {
            errors.add(
                &*field,
                format!(
                    "{port} is the port of sidecar {:?} already",
                    sidecar.name.as_deref().unwrap_or_default()
                ),
            );
        }
    }
    if broker.proxy_port.is_some() && spec.access != Access::Proxy {
        errors.add(
            "spec.broker.proxyPort",
            "only access: Proxy has a proxy that would listen there",
        );
    }
    if let Some(resources) = &broker.resources {
        check_bounds(resources, "spec.broker.resources", errors);
    }
}

fn check_proxy(vertex: &Vertex, proxy: &Proxy, errors: &mut FieldErrors) {
    let direct: Vec<String> = vertex
        .clients
        .iter()
        .filter(|client| {
            !Setting::Endpoint
                .variables()
                .any(|variable| variable.is_set_for(&[**client]))
        })
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
    for (publisher, clients) in [
        (Publisher::Anthropic, CLAUDE),
        (Publisher::Google, &[Client::GoogleGenAI] as &[_]),
    ] {
        let client = vertex.clients.iter().find(|client| clients.contains(client));
        if let Some(client) = client
            && !proxy.publishers.is_empty()
            && !proxy.publishers.contains(&publisher)
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
    let models = &vertex.models;
    for (alias, model) in [
        ("default", &models.default),
        ("opus", &models.opus),
        ("sonnet", &models.sonnet),
        ("haiku", &models.haiku),
    ] {
        let Some(model) = model else { continue };
        if !proxy.models.is_empty() && !proxy.models.iter().any(|glob| matches(glob, model)) {
            errors.add(
                format!("spec.vertex.models.{alias}"),
                format!(
                    "{model:?} is not allowed by proxy.models, which has {}",
                    proxy.models.join(", ")
                ),
            );
        }
    }
    let refused = |region: &String| !proxy.regions.is_empty() && !proxy.regions.contains(region);
    let allowed = proxy.regions.join(", ");
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
