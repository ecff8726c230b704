//! The ValidatingAdmissionPolicies of the chart, and their bindings.

use crate::cluster::Look;
use crate::finding::{Finding, Object, Part};
use crate::problem::Problem;
use crate::release::Release;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};

/// What the chart installs: what is behind the name of the release's objects in the policy's name and in the binding's, and whether
/// the binding may only warn.
const GUARDS: [(&str, &str, bool); 7] = [
    ("-annotations", "-annotations", false),
    ("-authors", "-authors", false),
    ("-broker", "-broker", false),
    ("-exec", "-exec", false),
    ("-injection", "-injection", false),
    ("-injection-elsewhere", "-injection-elsewhere", true),
    ("-injection-source", "-webhook-configuration-is-missing", false),
];

/// Judges them.
pub fn judge(
    release: &Release,
    policies: &Look<Vec<ValidatingAdmissionPolicy>>,
    bindings: &Look<Vec<ValidatingAdmissionPolicyBinding>>,
) -> Vec<Finding> {
    let (policies, bindings) = match (policies, bindings) {
        (Look::Seen(policies), Look::Seen(bindings)) => (policies, bindings),
        (Look::Unseen(why), _) | (_, Look::Unseen(why)) => {
            let object = Object::new("ValidatingAdmissionPolicies", "");
            return vec![Finding::unseen(Part::Guards, object, why)];
        }
    };
    let judged = GUARDS.iter().map(|(policy, binding, may_warn)| {
        let name = format!("{}{policy}", release.objects);
        let policy = policies
            .iter()
            .find(|known| known.metadata.name.as_ref() == Some(&name));
        let own = format!("{}{binding}", release.objects);
        let mut bound = bindings.iter().filter(|known| {
            known
                .spec
                .as_ref()
                .is_some_and(|spec| spec.policy_name.as_ref() == Some(&name))
        });
        // Somebody's own binding of the same policy counts no more than the chart's.
        let binding = bound
            .clone()
            .find(|known| known.metadata.name.as_ref() == Some(&own))
            .or_else(|| bound.next());
        guard(&name, &own, *may_warn, policy, binding)
    });
    judged.collect()
}

fn guard(
    name: &str,
    own: &str,
    may_warn: bool,
    policy: Option<&ValidatingAdmissionPolicy>,
    binding: Option<&ValidatingAdmissionPolicyBinding>,
) -> Finding {
    let object = Object::new("ValidatingAdmissionPolicy", name);
    let actions = { binding.iter() }
        .filter_map(|binding| binding.spec.as_ref()?.validation_actions.as_ref())
        .flatten();
    let actions: Vec<&str> = actions.map(String::as_str).collect();
    let guards = actions.contains(&"Deny") || (may_warn && actions.contains(&"Warn"));
    match (policy, binding) {
        (None, None) => Finding::of(Problem::GuardOff, object, "is not installed"),
        (None, Some(_)) => Finding::of(Problem::GuardMissing, object, "does not exist, and its binding does"),
        (Some(_), None) => Finding::of(Problem::GuardUnbound, object, format!("has no binding ({own})")),
        (Some(policy), Some(_)) => {
            let failure = policy.spec.as_ref().and_then(|spec| spec.failure_policy.as_deref());
            if !guards {
                let text = format!("its binding does {}, not Deny", actions.join(", "));
                Finding::of(Problem::GuardNotDenying, object, text)
            } else if failure == Some("Ignore") {
                Finding::of(Problem::GuardFailsOpen, object, "failurePolicy is Ignore")
            } else {
                Finding::fine(Part::Guards, object, format!("is bound: {}", actions.join(", ")))
            }
        }
    }
}
