//! Policies, namespaces and the operator's settings as they are read from a cluster: what a decision depends on.

use crate::finding::Object;
use serde_json::Value;
use std::sync::Arc;
use vertex_injector_core::admission::{Labels, Namespaces, Operator, Policy, PolicyName, PolicyObject, PolicySet};
use vertex_injector_core::api::{PolicyStatus, Selector};
use vertex_injector_core::manifest::policies::policy;
use vertex_injector_core::names::{GROUP, INJECTION_ENABLED, NAMESPACE_INJECTION, NAMESPACE_NAME, VERSION};

/// Everything that decides about pods.
#[derive(Debug)]
pub struct World {
    /// The policies, compiled, and the labels of namespaces.
    pub set: PolicySet,
    /// The policies as they are stored.
    pub policies: Vec<Known>,
    /// Policies that this version cannot read, and why.
    pub unreadable: Vec<(Object, String)>,
    /// The operator's settings. They always say which namespaces opted in.
    pub operator: Operator,
    /// The labels of all namespaces.
    pub namespaces: Namespaces,
}

/// A policy of a cluster.
#[derive(Debug, Clone)]
pub struct Known {
    /// As it is stored.
    pub object: PolicyObject,
    /// Compiled.
    pub policy: Arc<Policy>,
    /// What the webhook says of it.
    pub status: Option<PolicyStatus>,
}

impl Known {
    fn new(object: PolicyObject, operator: &Operator) -> Self {
        let status = match &object {
            PolicyObject::Namespaced(policy) => policy.status.clone(),
            PolicyObject::Cluster(policy) => policy.status.clone(),
        };
        Self {
            policy: Arc::new(Policy::compile(&object, operator)),
            object,
            status,
        }
    }

    /// Which policy it is.
    pub fn shown(&self) -> Object {
        shown(self.policy.name())
    }
}

impl World {
    /// What these objects say. `own` (of namespaces) and `cluster` are policies, each list as the API server sends it.
    pub fn new(own: &[Value], cluster: &[Value], namespaces: &[Value], mut operator: Operator) -> Self {
        operator.namespace_selector.get_or_insert_with(|| Selector {
            match_labels: Labels::from([(NAMESPACE_INJECTION.to_owned(), INJECTION_ENABLED.to_owned())]),
            match_expressions: Vec::new(),
        });
        let mut policies = Vec::new();
        let mut unreadable = Vec::new();
        let of = |kind: &'static str| move |value: &Value| (kind, typed(value, kind));
        let all = { own.iter().map(of("InjectionPolicy")) }.chain(cluster.iter().map(of("ClusterInjectionPolicy")));
        for (kind, value) in all {
            match policy(&value, "") {
                Ok(object) => policies.push(Known::new(object, &operator)),
                Err(errors) => {
                    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                    let object = Object {
                        kind: kind.to_owned(),
                        namespace: Some(text("/metadata/namespace").to_owned()).filter(|it| !it.is_empty()),
                        name: text("/metadata/name").to_owned(),
                    };
                    let errors: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
                    unreadable.push((object, errors.join("; ")));
                }
            }
        }
        let namespaces: Namespaces = namespaces.iter().filter_map(labels).collect();
        let compiled = policies.iter().map(|known| Arc::clone(&known.policy));
        Self {
            set: PolicySet::new(compiled.collect::<Vec<_>>(), &namespaces),
            policies,
            unreadable,
            operator,
            namespaces,
        }
    }

    /// These policies and namespaces, from files.
    pub fn of(objects: &[PolicyObject], namespaces: Namespaces, operator: Operator) -> Self {
        let none = Self {
            set: PolicySet::default(),
            policies: Vec::new(),
            unreadable: Vec::new(),
            operator,
            namespaces,
        };
        none.with(objects)
    }

    /// The same with other policies in the place of those of their names.
    #[must_use]
    pub fn with(&self, changed: &[PolicyObject]) -> Self {
        let mut policies = self.policies.clone();
        for object in changed {
            let known = Known::new(object.clone(), &self.operator);
            match policies.iter_mut().find(|it| it.policy.name() == known.policy.name()) {
                Some(it) => *it = known,
                None => policies.push(known),
            }
        }
        let compiled = policies.iter().map(|known| Arc::clone(&known.policy));
        Self {
            set: PolicySet::new(compiled.collect::<Vec<_>>(), &self.namespaces),
            policies,
            unreadable: self.unreadable.clone(),
            operator: self.operator.clone(),
            namespaces: self.namespaces.clone(),
        }
    }

    /// The namespaces that opted in, by name.
    pub fn opted_in(&self) -> Vec<&str> {
        let opted = { self.namespaces.iter() }
            .filter(|(name, labels)| self.operator.not_opted_in(name, labels).is_none())
            .map(|(name, _)| name.as_str());
        let mut opted: Vec<&str> = opted.collect();
        opted.sort_unstable();
        opted
    }
}

/// A policy's name, as it is shown.
pub(crate) fn shown(name: &PolicyName) -> Object {
    match &name.namespace {
        Some(namespace) => Object::within("InjectionPolicy", namespace, &name.name),
        None => Object::new("ClusterInjectionPolicy", &name.name),
    }
}

/// An element of a list, which need not say its kind.
fn typed(value: &Value, kind: &str) -> Value {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("kind".into(), kind.into());
        fields.insert("apiVersion".into(), format!("{GROUP}/{VERSION}").into());
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    }
    value
}

fn labels(namespace: &Value) -> Option<(String, Labels)> {
    let metadata = namespace.get("metadata")?;
    let name = metadata.get("name")?.as_str()?.to_owned();
    let labels = metadata.get("labels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    let mut labels: Labels = labels
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    labels.insert(NAMESPACE_NAME.to_owned(), name.clone());
    Some((name, labels))
}
