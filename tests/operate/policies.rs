//! Breakages of policies, and of what the API server answers about a pod of theirs.

use crate::breakages::Row;
use crate::objects::{edited, policy, release, world};
use serde_json::{Value, json};
use vertex_injector_operate::check::trial::{Answer, trials};
use vertex_injector_operate::check::{policies, trial};
use vertex_injector_operate::finding::Finding;
use vertex_injector_operate::problem::Problem;

pub(crate) fn rows() -> Vec<Row> {
    let cluster_policy = edited(
        policy("", "True", "Accepted"),
        "/spec/namespaceSelector",
        json!({"matchLabels": {"a": "b"}}),
    );
    vec![
        (
            "an unusable policy",
            Problem::PolicyUnusable,
            of_policies(&[policy("team", "False", "Invalid")], &[]),
            &["InjectionPolicy team/agents: in its words", "vertex-injector validate"],
        ),
        (
            "a policy that cannot be read",
            Problem::PolicyUnreadable,
            of_policies(
                &[edited(
                    policy("team", "True", "Accepted"),
                    "/spec/access",
                    json!("Newer"),
                )],
                &[],
            ),
            &["team/agents: spec.access", "upgrade the release"],
        ),
        (
            "a policy that no pod reaches",
            Problem::PolicyUnreachable,
            of_policies(&[policy("team", "False", "Unreachable")], &[]),
            &["extraAgentSelectors"],
        ),
        (
            "a namespace without the label",
            Problem::PolicyNotOptedIn,
            of_policies(&[policy("other", "True", "Accepted")], &[]),
            &["kubectl label namespace other vertex-injector.dev/injection=enabled"],
        ),
        (
            "an older verdict",
            Problem::PolicyNotJudged,
            of_policies(
                &[edited(
                    policy("team", "True", "Accepted"),
                    "/metadata/generation",
                    json!(3),
                )],
                &[],
            ),
            &["generation 3", "kubectl logs -n system"],
        ),
        (
            "no verdict on a bad policy",
            Problem::PolicyNotJudged,
            of_policies(
                &[edited(
                    policy("team", "True", "Accepted"),
                    "/spec/env/0/name",
                    json!("ANTHROPIC_BASE_URL"),
                )],
                &[],
            )
            .into_iter()
            .map(|it| it.in_release("vi", "system"))
            .chain(of_policies(
                &[unjudged(edited(
                    policy("team", "True", "Accepted"),
                    "/spec/env/0/name",
                    json!("ANTHROPIC_BASE_URL"),
                ))],
                &[],
            ))
            .collect(),
            &["this program says: spec.env[0].name"],
        ),
        (
            "a cluster policy for nobody",
            Problem::PolicyServesNothing,
            of_policies(&[], &[cluster_policy]),
            &["ClusterInjectionPolicy agents", "namespaceSelector"],
        ),
        (
            "a namespace without a policy",
            Problem::NamespaceWithoutPolicy,
            of_policies(&[], &[]),
            &["kubectl label namespace team vertex-injector.dev/injection-"],
        ),
        (
            "the webhook is away",
            Problem::WebhookFails,
            refused("Internal error occurred: failed calling webhook \"app.vertex-injector.dev\": connection refused"),
            &["connection refused", "troubleshooting"],
        ),
        (
            "the webhook refuses",
            Problem::TrialRefused,
            refused("admission webhook \"app.vertex-injector.dev\" denied the request: policy team/agents cannot"),
            &["vertex-injector explain"],
        ),
        (
            "a quota",
            Problem::TrialRefusedByOther,
            refused("exceeded quota: pods"),
            &["exceeded quota", "see what refuses pods in team"],
        ),
        (
            "the guard refuses",
            Problem::TrialNotInjected,
            refused(
                "ValidatingAdmissionPolicy 'vi-vertex-injector-injection' with binding 'x' denied request: nothing",
            ),
            &["MutatingWebhookConfiguration"],
        ),
        (
            "nobody injects",
            Problem::TrialNotInjected,
            tried(Answer::Created(json!({"metadata": {}}))),
            &["nothing injects it"],
        ),
        (
            "another policy",
            Problem::TrialServedByOther,
            tried(Answer::Created(
                json!({"metadata": {"annotations": {"vertex-injector.dev/policy-ref": "all@1"}}}),
            )),
            &["is injected by all@1", "priority"],
        ),
        (
            "no right to create",
            Problem::CouldNotLook,
            tried(Answer::Forbidden("needs create on pods".to_owned())),
            &["needs create on pods"],
        ),
    ]
}

pub(crate) fn tried(answer: Answer) -> Vec<Finding> {
    let world = world(&[policy("team", "True", "Accepted")], &[]);
    trials(&world)
        .iter()
        .map(|trial| trial::judge(trial, &release(), &answer))
        .collect()
}

pub(crate) fn refused(why: &str) -> Vec<Finding> {
    tried(Answer::Refused(why.to_owned()))
}

pub(crate) fn of_policies(policies: &[Value], cluster: &[Value]) -> Vec<Finding> {
    policies::judge(&world(policies, cluster))
}

pub(crate) fn unjudged(mut policy: Value) -> Value {
    policy.as_object_mut().expect("a policy").remove("status");
    policy
}
