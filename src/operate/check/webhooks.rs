//! Both webhook configurations, beside the operator's settings.

use crate::cluster::Look;
use crate::finding::{Finding, Object, Part};
use crate::problem::Problem;
use crate::release::Release;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeSet;
use vertex_injector_core::admission::Operator;
use vertex_injector_core::api::{Operator as Relation, Requirement, Selector};
use vertex_injector_core::manifest::operator_text;
use vertex_injector_core::names::INJECT;

/// What every webhook's name ends with.
const SUFFIX: &str = ".vertex-injector.dev";

/// A webhook of either kind.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// How it is called.
    pub client: WebhookClientConfig,
    /// Whether what it is asked about is refused when it does not answer.
    fails_closed: bool,
    namespaces: Option<Selector>,
    objects: Option<Selector>,
}

/// A webhook configuration.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// Which.
    pub object: Object,
    /// Its webhooks.
    pub hooks: Vec<Hook>,
}

impl From<&MutatingWebhookConfiguration> for Configuration {
    fn from(from: &MutatingWebhookConfiguration) -> Self {
        let hooks = from.webhooks.iter().flatten().map(|hook| Hook {
            name: hook.name.clone(),
            client: hook.client_config.clone(),
            fails_closed: hook.failure_policy.as_deref() != Some("Ignore"),
            namespaces: selector(hook.namespace_selector.as_ref()),
            objects: selector(hook.object_selector.as_ref()),
        });
        Self {
            object: Object::new(
                "MutatingWebhookConfiguration",
                from.metadata.name.as_deref().unwrap_or_default(),
            ),
            hooks: hooks.collect(),
        }
    }
}

impl From<&ValidatingWebhookConfiguration> for Configuration {
    fn from(from: &ValidatingWebhookConfiguration) -> Self {
        let hooks = from.webhooks.iter().flatten().map(|hook| Hook {
            name: hook.name.clone(),
            client: hook.client_config.clone(),
            fails_closed: hook.failure_policy.as_deref() != Some("Ignore"),
            namespaces: None,
            objects: None,
        });
        Self {
            object: Object::new(
                "ValidatingWebhookConfiguration",
                from.metadata.name.as_deref().unwrap_or_default(),
            ),
            hooks: hooks.collect(),
        }
    }
}

/// The operator's settings of a release, as far as they can be known.
#[derive(Debug)]
pub enum Settings {
    /// These.
    Known(Box<Operator>),
    /// What is wrong with them.
    Unknown(Finding),
}

/// Reads the settings of a release.
pub fn settings(release: &Release, found: &Look<Option<ConfigMap>>) -> Settings {
    let object = || Object::within("ConfigMap", &release.namespace, &release.objects);
    let map = match found {
        Look::Unseen(why) => return Settings::Unknown(Finding::unseen(Part::Webhooks, object(), why)),
        Look::Seen(None) => {
            return Settings::Unknown(Finding::of(Problem::SettingsMissing, object(), "does not exist"));
        }
        Look::Seen(Some(map)) => map,
    };
    let Some(text) = map.data.as_ref().and_then(|data| data.get("operator.yaml")) else {
        return Settings::Unknown(Finding::of(Problem::SettingsMissing, object(), "has no operator.yaml"));
    };
    match operator_text("operator.yaml", text) {
        Ok(operator) => Settings::Known(Box::new(operator)),
        Err(errors) => {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Settings::Unknown(Finding::of(Problem::SettingsUnreadable, object(), errors.join("; ")))
        }
    }
}

/// Judges the configuration that sends pods.
pub fn judge_injection(
    release: &Release,
    found: &Look<Option<Configuration>>,
    settings: Option<&Operator>,
) -> Vec<Finding> {
    let object = Object::new("MutatingWebhookConfiguration", &release.objects);
    let configuration = match present(object, found, Problem::InjectionWebhookMissing) {
        Ok(configuration) => configuration,
        Err(finding) => return vec![*finding],
    };
    let object = || configuration.object.clone();
    let mut findings = Vec::new();
    let open = configuration.hooks.iter().filter(|hook| !hook.fails_closed);
    let open: Vec<&str> = open.map(|hook| hook.name.as_str()).collect();
    if !open.is_empty() {
        let text = format!("failurePolicy is Ignore: {}", super::some(&open));
        findings.push(Finding::of(Problem::FailsOpen, object(), text));
    }
    let differences = settings
        .map(|operator| differences(&configuration.hooks, operator))
        .unwrap_or_default();
    if !differences.is_empty() {
        findings.push(Finding::of(Problem::SelectorsDiffer, object(), differences.join("; ")));
    }
    if findings.is_empty() {
        let sends = super::count(configuration.hooks.len(), "kind of agent pods", "kinds of agent pods");
        findings.push(Finding::fine(Part::Webhooks, object(), format!("sends {sends}")));
    }
    findings
}

/// Judges the configuration that sends policies.
pub fn judge_validation(release: &Release, found: &Look<Option<Configuration>>) -> Finding {
    let object = Object::new("ValidatingWebhookConfiguration", &release.objects);
    match present(object, found, Problem::PolicyWebhookMissing) {
        Ok(configuration) => Finding::fine(Part::Webhooks, configuration.object.clone(), "sends policies"),
        Err(finding) => *finding,
    }
}

/// Judges the Service that webhooks name.
pub fn judge_service(namespace: &str, name: &str, found: &Look<bool>) -> Finding {
    let object = Object::within("Service", namespace, name);
    match found {
        Look::Unseen(why) => Finding::unseen(Part::Webhooks, object, why),
        Look::Seen(false) => Finding::of(Problem::ServiceMissing, object, "does not exist"),
        Look::Seen(true) => Finding::fine(Part::Webhooks, object, "is what the API server calls"),
    }
}

fn present(
    object: Object,
    found: &Look<Option<Configuration>>,
    missing: Problem,
) -> Result<&Configuration, Box<Finding>> {
    match found {
        Look::Unseen(why) => Err(Box::new(Finding::unseen(Part::Webhooks, object, why))),
        Look::Seen(None) => Err(Box::new(Finding::of(missing, object, "does not exist"))),
        Look::Seen(Some(configuration)) if configuration.hooks.is_empty() => {
            Err(Box::new(Finding::of(Problem::NoWebhooks, object, "has no webhooks")))
        }
        Look::Seen(Some(configuration)) => Ok(configuration),
    }
}

/// Where webhooks are not what the settings say.
fn differences(hooks: &[Hook], operator: &Operator) -> Vec<String> {
    let mut found = Vec::new();
    for agents in &operator.agent_selectors {
        let name = format!("{}{SUFFIX}", agents.name);
        let Some(hook) = hooks.iter().find(|hook| hook.name == name) else {
            found.push(format!("webhook {name} is missing"));
            continue;
        };
        let mut wanted = agents.object_selector.clone();
        wanted.match_expressions.push(Requirement {
            key: INJECT.to_owned(),
            operator: Relation::NotIn,
            values: vec!["false".to_owned()],
        });
        if !hook.objects.as_ref().is_some_and(|has| same(has, &wanted)) {
            found.push(format!("objectSelector of webhook {name} is another one"));
        }
    }
    let known: BTreeSet<String> = { operator.agent_selectors.iter() }
        .map(|agents| format!("{}{SUFFIX}", agents.name))
        .collect();
    let more = hooks.iter().filter(|hook| !known.contains(&hook.name));
    found.extend(more.map(|hook| format!("webhook {} is not in the settings", hook.name)));
    if let Some(wanted) = &operator.namespace_selector {
        let other = hooks
            .iter()
            .filter(|hook| !hook.namespaces.as_ref().is_some_and(|has| same(has, wanted)));
        let other: Vec<&str> = other.map(|hook| hook.name.as_str()).collect();
        if !other.is_empty() {
            found.push(format!(
                "another namespaceSelector than in the settings: {}",
                super::some(&other)
            ));
        }
    }
    found
}

/// Whether two selectors say the same, in whatever order.
fn same(a: &Selector, b: &Selector) -> bool {
    let requirements = |selector: &Selector| -> BTreeSet<(String, String, BTreeSet<String>)> {
        let all = selector.match_expressions.iter();
        all.map(|it| {
            (
                it.key.clone(),
                format!("{:?}", it.operator),
                it.values.iter().cloned().collect(),
            )
        })
        .collect()
    };
    a.match_labels == b.match_labels && requirements(a) == requirements(b)
}

fn selector(selector: Option<&LabelSelector>) -> Option<Selector> {
    serde_json::from_value(serde_json::to_value(selector?).ok()?).ok()
}
