//! What is read of a cluster for more than one verb.

use crate::check::agents::{Agent, Found};
use crate::check::webhooks::{self, Configuration, Settings};
use crate::cluster::{Cluster, Listed, Look, MAX_OBJECTS};
use crate::release::{Release, Trace, releases};
use crate::standing::{self, Standing};
use crate::world::World;
use anyhow::{anyhow, bail};
use futures::{StreamExt, stream};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use serde_json::Value;
use std::cell::Cell;
use vertex_injector_core::admission::Operator;
use vertex_injector_core::api::{ClusterInjectionPolicy, InjectionPolicy};

/// How many namespaces are asked about at the same time.
const AT_ONCE: usize = 8;

/// Which release is meant.
#[derive(Debug, Default, Clone, Copy)]
pub struct Which<'a> {
    /// Its name.
    pub release: Option<&'a str>,
    /// Its namespace.
    pub namespace: Option<&'a str>,
}

/// Looks for the release.
///
/// # Errors
/// When there are several.
pub(crate) async fn release(cluster: &Cluster, which: Which<'_>) -> anyhow::Result<Look<Option<Release>>> {
    let (mutating, validating, bindings) = tokio::join!(
        cluster.list::<MutatingWebhookConfiguration>(None, ""),
        cluster.list::<ValidatingWebhookConfiguration>(None, ""),
        cluster.list::<ValidatingAdmissionPolicyBinding>(None, ""),
    );
    let mut traces = Vec::new();
    for found in mutating.seen().into_iter().flatten() {
        traces.push(Trace {
            metadata: found.metadata.clone(),
            ..of_configuration(&Configuration::from(found))
        });
    }
    for found in validating.seen().into_iter().flatten() {
        traces.push(Trace {
            metadata: found.metadata.clone(),
            ..of_configuration(&Configuration::from(found))
        });
    }
    for found in bindings.seen().into_iter().flatten() {
        // The guard of annotations is nobody's to leave out who has the others.
        for suffix in ["-annotations", "-injection"] {
            if found.metadata.name.as_ref().is_some_and(|name| name.ends_with(suffix)) {
                traces.push(Trace {
                    metadata: found.metadata.clone(),
                    suffix,
                    ..Trace::default()
                });
            }
        }
    }
    let mut found = releases(&traces, which.release, which.namespace);
    if found.len() > 1 {
        let all: Vec<String> = found
            .iter()
            .map(|it| format!("{} in {}", it.name, it.namespace))
            .collect();
        bail!(
            "there are several releases: {}; say which with --release or --namespace",
            all.join(", ")
        );
    }
    if let Some(release) = found.pop() {
        if release.namespace.is_empty() {
            bail!(
                "nothing says in which namespace release {} is; say it with --namespace",
                release.name
            );
        }
        return Ok(Look::Seen(Some(release)));
    }
    // Who names both needs no right to look for them.
    if let (Some(name), Some(namespace)) = (which.release, which.namespace) {
        return Ok(Look::Seen(Some(Release {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            objects: objects_of(name),
        })));
    }
    let unseen = [mutating.map(drop), validating.map(drop)]
        .into_iter()
        .find(|look| look.seen().is_none());
    Ok(match unseen {
        Some(Look::Unseen(why)) => Look::Unseen(why),
        _ => Look::Seen(None),
    })
}

/// What the chart calls the objects of a release, unless its values say otherwise.
fn objects_of(release: &str) -> String {
    let name = if release.contains("vertex-injector") {
        release.to_owned()
    } else {
        format!("{release}-vertex-injector")
    };
    let cut: String = name.chars().take(40).collect();
    cut.trim_end_matches('-').to_owned()
}

fn of_configuration(configuration: &Configuration) -> Trace {
    let services = configuration
        .hooks
        .iter()
        .filter_map(|hook| hook.client.service.as_ref());
    Trace {
        webhooks: configuration.hooks.iter().map(|hook| hook.name.clone()).collect(),
        service: services.map(|service| service.namespace.clone()).next(),
        ..Trace::default()
    }
}

/// The operator's settings of a release.
pub(crate) async fn settings(cluster: &Cluster, release: &Release) -> Settings {
    let found = cluster
        .get::<ConfigMap>(Some(&release.namespace), &release.objects)
        .await;
    webhooks::settings(release, &found)
}

/// The settings of the release, for a verb that needs them.
///
/// # Errors
/// When they cannot be had.
pub async fn operator(cluster: &Cluster, which: Which<'_>) -> anyhow::Result<Operator> {
    let release = match release(cluster, which).await? {
        Look::Seen(Some(release)) => release,
        Look::Seen(None) => {
            bail!("no release of the chart was found; say --release and --release-namespace, or --config FILE")
        }
        Look::Unseen(why) => {
            bail!("cannot look for the release: {why}; say --release and --release-namespace, or --config FILE")
        }
    };
    match settings(cluster, &release).await {
        Settings::Known(operator) => Ok(*operator),
        Settings::Unknown(finding) => Err(anyhow!(
            "the operator's settings, {}: {}; say --config FILE",
            finding.object,
            finding.found
        )),
    }
}

/// Policies and namespaces. The first of several reasons, when one of them cannot be seen.
pub(crate) async fn world(cluster: &Cluster, operator: Operator) -> Look<(World, bool)> {
    let (own, of_cluster, namespaces) = tokio::join!(
        cluster.list_json::<InjectionPolicy>(None),
        cluster.list_json::<ClusterInjectionPolicy>(None),
        cluster.list_json::<Namespace>(None),
    );
    match (own, of_cluster, namespaces) {
        (Look::Seen(a), Look::Seen(b), Look::Seen(c)) => {
            let more = [&a, &b, &c].into_iter().any(|list: &Listed| list.more);
            Look::Seen((World::new(&a.items, &b.items, &c.items, operator), more))
        }
        (Look::Unseen(why), ..) | (_, Look::Unseen(why), _) | (.., Look::Unseen(why)) => Look::Unseen(why),
    }
}

/// Gives every running pod of some namespaces to `take`. Those that nobody could look at, with reasons, and whether there are more.
pub(crate) async fn pods(
    cluster: &Cluster,
    namespaces: &[&str],
    take: impl Fn(&str, &Value),
) -> (Vec<(String, String)>, bool) {
    let seen = Cell::new(0);
    let (take, seen) = (&take, &seen);
    let asked = stream::iter(namespaces.iter().copied()).map(|namespace| async move {
        let looked = cluster.pages::<Pod, Value>(Some(namespace), "", |page| {
            seen.set(seen.get() + page.len());
            page.iter()
                .filter(|pod| standing::runs(pod))
                .for_each(|pod| take(namespace, pod));
            seen.get() < MAX_OBJECTS
        });
        (namespace, looked.await)
    });
    let mut asked = asked.buffer_unordered(AT_ONCE);
    let (mut unseen, mut more) = (Vec::new(), false);
    while let Some((namespace, look)) = asked.next().await {
        match look {
            Look::Seen(cut) => more |= cut,
            Look::Unseen(why) => unseen.push((namespace.to_owned(), why)),
        }
        if seen.get() >= MAX_OBJECTS {
            more = true;
            break;
        }
    }
    unseen.sort();
    (unseen, more)
}

/// How the running pods of some namespaces stand.
pub(crate) async fn agents(cluster: &Cluster, world: &World, namespaces: &[&str]) -> Found {
    let found = std::cell::RefCell::new(Found::default());
    let (unseen, more) = pods(cluster, namespaces, |namespace, pod| {
        let standing = standing::of(pod, namespace, world);
        let mut found = found.borrow_mut();
        match standing {
            Standing::Current { .. } => found.current += 1,
            // A policy for all pods of a namespace selects many that are no agents.
            Standing::LeftAlone { .. } | Standing::NotSent { .. } => {}
            standing => found.agents.push(agent(namespace, pod, standing)),
        }
    })
    .await;
    let mut found = found.into_inner();
    found
        .agents
        .sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    (found.unseen, found.more) = (unseen, more);
    found
}

/// A pod as it is told of.
pub(crate) fn agent(namespace: &str, pod: &Value, standing: Standing) -> Agent {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str);
    let owner = text("/metadata/ownerReferences/0/kind").zip(text("/metadata/ownerReferences/0/name"));
    Agent {
        namespace: namespace.to_owned(),
        name: text("/metadata/name").unwrap_or_default().to_owned(),
        owner: owner.map(|(kind, name)| format!("{kind}/{name}")),
        injected_by: standing::injected_by(pod).map(str::to_owned),
        standing,
    }
}
