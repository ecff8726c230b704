//! Pods and policies of tests, and what both callers of the decision make of them.
//!
//! A [`World`] holds policies as a cluster would; [`World::admit`] sends a pod through the webhook's code, as bytes of
//! an AdmissionReview, and holds every answer to what must be true of each ([`invariants`]). A [`golden::Case`] is a
//! folder of `tests/cases`.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of tests fails by panicking; `clippy.toml` allows it in the tests themselves"
)]

pub mod admission;
pub mod api_server;
pub mod golden;
pub mod invariants;
pub mod pod_security;
pub mod scalars;
pub mod view;
pub mod workloads;

use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use vertex_injector_core::admission::{Namespaces, Operator, Policy, PolicySet};
use vertex_injector_core::manifest::policies::Policies;
use vertex_injector_core::manifest::{self, Document, Place};

pub use admission::Admission;
pub use view::{Container, Injected, Provided};

/// The provider of a pool of identities.
pub const PROVIDER: &str = "projects/123456789/locations/global/workloadIdentityPools/agents/providers/cluster";

/// The spec of a pod that is an agent and nothing else.
pub const PLAIN: &str = "{containers: [{name: agent, image: a}]}";

/// The policies and namespaces of a cluster, and the operator's settings.
pub struct World {
    /// What the webhook holds.
    pub policies: PolicySet,
}

impl World {
    /// A cluster with the policies and Namespaces of YAML documents. Policies without a namespace are for `namespace`.
    ///
    /// Its namespaces have no labels but their own name unless a document gives them some.
    pub fn new(documents: &[Value], namespace: &str, operator: &Operator) -> Self {
        let documents: Vec<Document> = documents.iter().cloned().map(document).collect();
        let found = Policies::among(&documents, namespace);
        assert!(
            found.unusable.is_empty(),
            "the API server would refuse a policy of the test: {}",
            found.unusable[0]
        );
        assert!(found.others.is_empty(), "{:?} is no policy", found.others[0]);
        let compiled = found
            .objects
            .iter()
            .map(|(_, policy)| Arc::new(Policy::compile(policy, operator)));
        let policies: Vec<Arc<Policy>> = compiled.collect();
        let mut namespaces: Namespaces = found.namespaces;
        namespaces.entry(namespace.to_owned()).or_insert_with(|| {
            let name = ("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
            [name].into()
        });
        Self {
            policies: PolicySet::new(policies, &namespaces),
        }
    }

    /// A cluster with the policies of a YAML text for the namespace `team`, under the default settings.
    pub fn of(policies: &str) -> Self {
        Self::under("{}", policies)
    }

    /// A cluster with one policy for the namespace `team`, of which this is the spec ([`policy`]).
    pub fn serving(spec: &str) -> Self {
        Self::of(&policy(spec))
    }

    /// The same under the operator's settings.
    pub fn serving_under(operator: &str, spec: &str) -> Self {
        Self::under(operator, &policy(spec))
    }

    /// As [`of`](Self::of), under the operator's settings.
    pub fn under(operator: &str, policies: &str) -> Self {
        let operator = serde_json::from_value(yaml(operator)).expect("the operator's settings");
        Self::new(&documents(policies), "team", &operator)
    }
}

/// An InjectionPolicy with this spec: lines of YAML, indented by two.
pub fn policy(spec: &str) -> String {
    format!("apiVersion: vertex-injector.dev/v1alpha1\nkind: InjectionPolicy\nmetadata: {{name: p}}\nspec:\n{spec}")
}

/// A policy of a kind with this name and spec.
pub fn policy_object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "vertex-injector.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// An InjectionPolicy with this name and spec, in namespace `default`.
pub fn injection_policy(name: &str, spec: &Value) -> Value {
    let mut policy = policy_object("InjectionPolicy", name, spec);
    policy["metadata"]["namespace"] = "default".into();
    policy
}

/// A ClusterInjectionPolicy with this name and spec.
pub fn cluster_policy(name: &str, spec: &Value) -> Value {
    policy_object("ClusterInjectionPolicy", name, spec)
}

/// A pod with this spec, in YAML.
pub fn pod(spec: &str) -> Value {
    json!({"metadata": {"name": "a"}, "spec": yaml(spec)})
}

/// A pod whose container `agent` has these variables, a list in YAML. Beside it runs `helper`.
pub fn agent_with(env: &str) -> Value {
    pod(&format!(
        "{{containers: [{{name: agent, image: a, env: {env}}}, {{name: helper, image: h}}]}}"
    ))
}

/// The documents of a YAML text.
pub fn documents(text: &str) -> Vec<Value> {
    text.split("\n---\n").map(yaml).collect()
}

/// One YAML document.
pub fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("not YAML: {error}\n{text}"))
}

/// The documents of a file, read as the command line reads them.
pub fn read(path: &Path) -> Vec<Value> {
    let documents = manifest::read(path).unwrap_or_else(|errors| panic!("{}", errors[0]));
    documents.into_iter().map(|document| document.value).collect()
}

/// A document of an example pod of `tests/pods`, as the API server would create its pod.
pub fn example_document(file: &str, document: usize) -> Value {
    let path = root().join(format!("tests/pods/{file}.yaml"));
    api_server::pod_of(&read(&path)[document]).1
}

/// The first document of an example pod.
pub fn example(file: &str) -> Value {
    example_document(file, 0)
}

/// The repository.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("tests/support is in it")
}

fn document(value: Value) -> Document {
    Document {
        value,
        place: Place {
            input: "test".into(),
            document: 1,
        },
        text: None,
    }
}
