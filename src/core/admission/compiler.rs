//! Policies and labels as they come in, made into what a [`PolicySet`](super::PolicySet) holds. What is equal is held once:
//! ten thousand namespaces with the same policy hold ten thousand names and one policy.

use super::policy::{Compiled, Policy, PolicyObject};
use super::set::Labels;
use super::stored;
use crate::names::NAMESPACE_NAME;
use crate::operator::Operator;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Compiles policies under one operator's settings, each different one once.
#[derive(Debug)]
pub struct Compiler {
    operator: Arc<Operator>,
    policies: Shared<Compiled>,
    labels: Shared<Labels>,
}

impl Compiler {
    /// Nothing compiled yet.
    pub fn new(operator: Arc<Operator>) -> Self {
        Self {
            operator,
            policies: Shared::new(),
            labels: Shared::new(),
        }
    }

    /// Checks and renders a policy, unless one with the same spec is in use.
    pub fn policy(&mut self, object: &PolicyObject) -> Arc<Policy> {
        let compile = || Compiled::of(object, &self.operator);
        let compiled = match object {
            PolicyObject::Namespaced(policy) => self.policies.get(&(&policy.spec, "namespaced"), compile),
            PolicyObject::Cluster(policy) => self.policies.get(&(&policy.spec, "cluster"), compile),
        };
        Arc::new(Policy::new(object, compiled))
    }

    /// The same for an object as the API server has it, with `apiVersion` and `kind`.
    pub fn stored(&mut self, object: &Value) -> Arc<Policy> {
        match stored::read(object) {
            Ok(policy) => self.policy(&policy),
            Err(newer) => Arc::new(newer),
        }
    }

    /// The labels of a namespace.
    pub fn labels(&mut self, mut labels: Labels) -> Arc<Labels> {
        // Different for every namespace, and known without it.
        labels.remove(NAMESPACE_NAME);
        self.labels.get(&labels, || labels.clone())
    }
}

/// One value for everything that is written the same, as long as somebody uses it.
#[derive(Debug)]
struct Shared<V> {
    /// By the JSON that it was made from.
    known: HashMap<Box<[u8]>, Arc<V>>,
    /// With how many values those that nobody uses are dropped.
    sweep_at: usize,
}

impl<V> Shared<V> {
    const SMALLEST_SWEEP: usize = 64;

    fn new() -> Self {
        Self {
            known: HashMap::new(),
            sweep_at: Self::SMALLEST_SWEEP,
        }
    }

    fn get(&mut self, written: &impl Serialize, make: impl FnOnce() -> V) -> Arc<V> {
        let Ok(key) = serde_json::to_vec(written) else {
            return Arc::new(make());
        };
        if let Some(known) = self.known.get(key.as_slice()) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, value| Arc::strong_count(value) > 1);
            self.sweep_at = (2 * self.known.len()).max(Self::SMALLEST_SWEEP);
        }
        let value = Arc::new(make());
        self.known.insert(key.into_boxed_slice(), Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::InjectionPolicy;
    use serde_json::json;

    fn policy(namespace: &str, value: &str) -> PolicyObject {
        let policy: InjectionPolicy = serde_json::from_value(json!({
            "apiVersion": "vertex-injector.dev/v1alpha1",
            "kind": "InjectionPolicy",
            "metadata": {"name": "agents", "namespace": namespace},
            "spec": {"env": [{"name": "GREETING", "value": value}]},
        }))
        .unwrap();
        PolicyObject::Namespaced(policy)
    }

    #[test]
    fn equal_specs_are_compiled_once_and_keep_their_names() {
        let mut compiler = Compiler::new(Arc::default());
        let (one, same) = (
            compiler.policy(&policy("a", "hello")),
            compiler.policy(&policy("b", "hello")),
        );
        assert!(Arc::ptr_eq(&one.compiled, &same.compiled));
        assert_eq!(
            (one.name().to_string(), same.name().to_string()),
            ("a/agents".to_owned(), "b/agents".to_owned())
        );
        let other = compiler.policy(&policy("c", "goodbye"));
        assert!(!Arc::ptr_eq(&one.compiled, &other.compiled));
    }

    #[test]
    fn what_nobody_uses_is_forgotten() {
        let mut compiler = Compiler::new(Arc::default());
        let kept = compiler.policy(&policy("a", "kept"));
        for i in 0..1000 {
            compiler.policy(&policy("a", &i.to_string()));
        }
        assert!(compiler.policies.known.len() <= Shared::<Compiled>::SMALLEST_SWEEP);
        assert!(Arc::ptr_eq(
            &kept.compiled,
            &compiler.policy(&policy("b", "kept")).compiled
        ));
    }

    #[test]
    fn namespaces_with_the_same_labels_share_them() {
        let mut compiler = Compiler::new(Arc::default());
        let mut labels = |name: &str, tier: &str| {
            compiler.labels(Labels::from([
                (NAMESPACE_NAME.to_owned(), name.to_owned()),
                ("tier".to_owned(), tier.to_owned()),
            ]))
        };
        let (one, same, other) = (labels("a", "gold"), labels("b", "gold"), labels("c", "iron"));
        assert!(Arc::ptr_eq(&one, &same));
        assert_ne!(one, other);
    }
}
