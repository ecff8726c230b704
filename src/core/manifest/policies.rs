//! The policies and namespaces among documents.

use super::document::{Document, Place, name_of, text};
use crate::admission::{Namespaces, PolicyName, PolicyObject};
use crate::api::{FieldErrors, InjectionPolicy, schema};
use crate::names::{GROUP, NAMESPACE_NAME};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// What documents say about policies.
#[derive(Debug, Default)]
pub struct Policies {
    /// The policies that the API server would accept, in the order of the documents.
    pub objects: Vec<(Place, PolicyObject)>,
    /// Where in `objects` a policy is.
    known: HashMap<PolicyName, usize>,
    /// Labels of the namespaces among the documents, with the one that the API server adds.
    pub namespaces: Namespaces,
    /// The policies that it would refuse, and namespaces that cannot be read.
    pub unusable: Vec<Unusable>,
    /// The documents that are neither.
    pub others: Vec<Other>,
    /// The policies whose namespace was filled in.
    pub homeless: Vec<Other>,
}

/// A policy or namespace that the API server would refuse.
#[derive(Debug, Clone, PartialEq)]
pub struct Unusable {
    /// Where it is.
    pub place: Place,
    /// Its kind.
    pub kind: String,
    /// The namespace that it is for; none for a cluster policy or a namespace.
    pub namespace: Option<String>,
    /// Its name, or nothing.
    pub name: String,
    /// What is wrong with it.
    pub errors: FieldErrors,
    /// The policy all the same, when its errors do not make it unreadable.
    pub object: Option<Box<PolicyObject>>,
}

/// An object to speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Where it is.
    pub place: Place,
    /// Its kind.
    pub kind: String,
    /// Its name, or nothing.
    pub name: String,
}

impl fmt::Display for Unusable {
    /// `FILE: kind/name: field: problem`, a line for each error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}/{}: {error}", self.place, self.kind, self.name)?;
        }
        Ok(())
    }
}

impl Policies {
    /// Sorts the objects of documents, those within lists too. Policies that name no namespace are for `namespace`.
    pub fn among<'a>(documents: impl IntoIterator<Item = &'a Document>, namespace: &str) -> Self {
        let mut found = Self::default();
        for document in documents {
            found.take(&document.value, &document.place, namespace);
        }
        found
    }

    fn take(&mut self, object: &Value, place: &Place, namespace: &str) {
        let kind = text(object, "kind");
        if let (true, Some(items)) = (kind.ends_with("List"), object.get("items").and_then(Value::as_array)) {
            for item in items {
                self.take(item, place, namespace);
            }
        } else if text(object, "apiVersion").split('/').next() == Some(GROUP) {
            match policy(object, namespace) {
                Ok(policy) => {
                    if kind == "InjectionPolicy" && text(metadata(object), "namespace").is_empty() {
                        self.homeless.push(other(object, place));
                    }
                    self.add(place, policy);
                }
                Err(errors) => self.refuse(object, place, namespace, errors),
            }
        } else if kind == "Namespace" && text(object, "apiVersion") == "v1" {
            match labels(object) {
                Ok((name, labels)) => {
                    self.namespaces.insert(name, labels);
                }
                Err(errors) => self.refuse(object, place, namespace, errors),
            }
        } else {
            self.others.push(other(object, place));
        }
    }

    /// Adds a policy unless it is there already, as when a file is given twice. Two different ones cannot both hold.
    fn add(&mut self, place: &Place, policy: PolicyObject) {
        let name = policy.name();
        match self.known.get(&name).and_then(|at| self.objects.get(*at)) {
            None => {
                self.known.insert(name, self.objects.len());
                self.objects.push((place.clone(), policy));
            }
            Some((_, known)) if *known == policy => {}
            Some((first, _)) => {
                let mut errors = FieldErrors::default();
                errors.add(
                    "metadata.name",
                    format!("another policy of this name stands in {first}; leave one of the two out, or give it another name"),
                );
                self.unusable.push(Unusable {
                    place: place.clone(),
                    kind: kind(&policy).to_owned(),
                    namespace: name.namespace,
                    name: name.name,
                    errors,
                    object: None,
                });
            }
        }
    }

    fn refuse(&mut self, object: &Value, place: &Place, namespace: &str, errors: FieldErrors) {
        let kind = text(object, "kind");
        let own = match text(metadata(object), "namespace") {
            "" => namespace,
            own => own,
        };
        self.unusable.push(Unusable {
            place: place.clone(),
            kind: kind.to_owned(),
            namespace: (kind == "InjectionPolicy").then(|| own.to_owned()),
            name: name_of(object),
            errors,
            object: typed_policy(object, namespace).ok().map(Box::new),
        });
    }
}

/// Reads one policy. Without `metadata.namespace` a namespaced one is for `namespace`.
///
/// # Errors
/// Everything that its schema forbids.
pub fn policy(object: &Value, namespace: &str) -> Result<PolicyObject, FieldErrors> {
    schema::check(object)?;
    typed_policy(object, namespace)
}

/// Reads one policy, whether it fits its schema or not. Without `metadata.namespace` a namespaced one is for `namespace`.
///
/// # Errors
/// The field whose value cannot be read.
pub(crate) fn typed_policy(object: &Value, namespace: &str) -> Result<PolicyObject, FieldErrors> {
    let mut object = object.clone();
    drop_nulls(&mut object);
    if text(&object, "kind") == "ClusterInjectionPolicy" {
        return Ok(PolicyObject::Cluster(typed(object)?));
    }
    let mut policy: InjectionPolicy = typed(object)?;
    if policy.metadata.namespace.as_deref().unwrap_or_default().is_empty() {
        policy.metadata.namespace = Some(namespace.to_owned());
    }
    Ok(PolicyObject::Namespaced(policy))
}

fn other(object: &Value, place: &Place) -> Other {
    Other {
        place: place.clone(),
        kind: text(object, "kind").to_owned(),
        name: name_of(object),
    }
}

fn metadata(object: &Value) -> &Value {
    object.get("metadata").unwrap_or(&Value::Null)
}

fn kind(policy: &PolicyObject) -> &'static str {
    match policy {
        PolicyObject::Namespaced(_) => "InjectionPolicy",
        PolicyObject::Cluster(_) => "ClusterInjectionPolicy",
    }
}

fn labels(object: &Value) -> Result<(String, BTreeMap<String, String>), FieldErrors> {
    let name = text(metadata(object), "name");
    if name.is_empty() {
        let mut errors = FieldErrors::default();
        errors.add("metadata.name", "is required");
        return Err(errors);
    }
    let labels = metadata(object).get("labels").cloned().unwrap_or_default();
    let mut labels: BTreeMap<String, String> = typed::<Option<_>>(labels)
        .map_err(|mut errors| {
            for error in &mut errors.0 {
                error.field = format!("metadata.labels[{}]", error.field);
            }
            errors
        })?
        .unwrap_or_default();
    labels.insert(NAMESPACE_NAME.to_owned(), name.to_owned());
    Ok((name.to_owned(), labels))
}

/// Reads a value that fits its schema. The error names the field; the message of serde might quote the value.
fn typed<T: DeserializeOwned>(object: Value) -> Result<T, FieldErrors> {
    serde_path_to_error::deserialize(object).map_err(|error| {
        let mut errors = FieldErrors::default();
        errors.add(error.path().to_string(), "has a value that cannot be read");
        errors
    })
}

/// The API server drops a null where none is allowed, and everywhere else it means that the field is absent.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.retain(|_, value| !value.is_null());
            entries.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}
