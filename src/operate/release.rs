//! Which installation of the chart is meant: what the objects in a cluster say of themselves.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// The suffix of our webhooks' names.
const WEBHOOKS: &str = ".vertex-injector.dev";

/// The label of Helm's charts.
const CHART: &str = "helm.sh/chart";

/// An installation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// Its name, as Helm knows it.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The name of its objects.
    pub objects: String,
}

/// Something of an installation that was found.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Names of its webhooks, if it has some.
    pub webhooks: Vec<String>,
    /// The namespace of the Service that it names, if it does.
    pub service: Option<String>,
    /// What its name has behind that of the release's objects.
    pub suffix: &'static str,
}

impl Trace {
    /// Whether it is of this product's chart.
    fn is_ours(&self) -> bool {
        let chart = self.metadata.labels.as_ref().and_then(|labels| labels.get(CHART));
        chart.is_some_and(|chart| chart.starts_with("vertex-injector-"))
            || self.webhooks.iter().any(|name| name.ends_with(WEBHOOKS))
    }

    fn release(&self, namespace: Option<&str>) -> Option<Release> {
        let Self {
            metadata,
            service,
            suffix,
            ..
        } = self;
        let of = |map: &Option<BTreeMap<String, String>>, key: &str| map.as_ref()?.get(key).cloned();
        let objects = metadata.name.as_deref()?.strip_suffix(suffix)?.to_owned();
        let own = metadata.namespace.clone();
        let installed = of(&metadata.annotations, "meta.helm.sh/release-namespace");
        let name = of(&metadata.annotations, "meta.helm.sh/release-name")
            .or_else(|| of(&metadata.labels, "app.kubernetes.io/instance"));
        Some(Release {
            name: name.unwrap_or_else(|| objects.clone()),
            namespace: own
                .or(installed)
                .or_else(|| service.clone())
                .or_else(|| namespace.map(str::to_owned))
                .unwrap_or_default(),
            objects,
        })
    }
}

/// The installations that left these traces, of which `name` and `namespace` choose.
pub fn releases(traces: &[Trace], name: Option<&str>, namespace: Option<&str>) -> Vec<Release> {
    let ours = traces.iter().filter(|trace| trace.is_ours());
    let mut found: Vec<Release> = ours.filter_map(|trace| trace.release(namespace)).collect();
    found.retain(|release| name.is_none_or(|name| release.name == name));
    // What does not know its namespace is of the release of its name.
    let known: Vec<Release> = found.iter().filter(|it| !it.namespace.is_empty()).cloned().collect();
    found.retain(|it| !it.namespace.is_empty() || !known.iter().any(|known| known.objects == it.objects));
    found.retain(|release| namespace.is_none_or(|namespace| release.namespace == namespace));
    found.sort();
    found.dedup();
    found
}
