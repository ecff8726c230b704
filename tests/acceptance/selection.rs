//! Design 3: which pods, which policy, which containers.

use serde_json::{Value, json};
use support::{Admission, World, yaml};
use vertex_injector_core::admission::Reason;

/// A policy that shows that it was chosen: the variable CHOSEN has its name.
fn policy(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: vertex-injector.dev/v1alpha1
kind: InjectionPolicy
metadata: {{name: {name}}}
spec:
  env: [{{name: CHOSEN, value: {name}}}]
{rest}
"
    )
}

/// The same for the cluster.
fn cluster(name: &str, rest: &str) -> String {
    policy(name, rest).replace("kind: InjectionPolicy", "kind: ClusterInjectionPolicy")
}

fn world(policies: &[String]) -> World {
    World::of(&policies.join("---\n"))
}

fn pod(metadata: &str) -> Value {
    let mut pod =
        yaml("{apiVersion: v1, kind: Pod, spec: {containers: [{name: agent, image: a}, {name: helper, image: h}]}}");
    pod["metadata"] = yaml(metadata);
    pod
}

#[track_caller]
fn chosen(admission: &Admission) -> &str {
    let value = admission.injected().container("agent").env("CHOSEN").to_owned();
    admission
        .decision
        .policy
        .as_deref()
        .filter(|policy| policy.contains(&value))
        .expect("the policy of the answer")
}

const EVERY: &str = "  agents: [{podSelector: {}}]";
const AGENTS: &str = "  agents: [{podSelector: {matchLabels: {app: agent}}}]";

#[test]
fn every_operator_of_a_selector_is_understood() {
    let world = |expression: &str| {
        world(&[policy(
            "p",
            &format!("  agents: [{{podSelector: {{matchExpressions: [{expression}]}}}}]"),
        )])
    };
    let (labelled, other, bare) = (pod("{labels: {tier: gold}}"), pod("{labels: {tier: lead}}"), pod("{}"));
    for (expression, expected) in [
        (
            "{key: tier, operator: In, values: [gold, silver]}",
            [true, false, false],
        ),
        (
            "{key: tier, operator: NotIn, values: [gold, silver]}",
            [false, true, true],
        ),
        ("{key: tier, operator: Exists}", [true, true, false]),
        ("{key: tier, operator: DoesNotExist}", [false, false, true]),
    ] {
        for (pod, expected) in [&labelled, &other, &bare].into_iter().zip(expected) {
            let admission = world(expression).admit(pod);
            if expected {
                chosen(&admission);
            } else {
                admission.changes_nothing().skipped(Reason::NotSelected);
            }
        }
    }
}

#[test]
fn labels_and_expressions_of_a_selector_must_all_hold() {
    let world = world(&[policy(
        "p",
        "  agents: [{podSelector: {matchLabels: {app: agent}, matchExpressions: [{key: tier, operator: Exists}]}}]",
    )]);
    chosen(&world.admit(&pod("{labels: {app: agent, tier: gold}}")));
    world.admit(&pod("{labels: {app: agent}}")).skipped(Reason::NotSelected);
    world.admit(&pod("{labels: {tier: gold}}")).skipped(Reason::NotSelected);
}

#[test]
fn the_first_kind_of_pods_that_matches_decides() {
    let world = world(&[policy(
        "p",
        "  agents:
    - {podSelector: {matchLabels: {app: agent}}, containers: [helper], env: [{name: KIND, value: first}]}
    - {podSelector: {}, containers: [agent], env: [{name: KIND, value: second}]}",
    )]);
    let both = world.admit(&pod("{labels: {app: agent}}"));
    assert_eq!(both.injected().container("helper").env("KIND"), "first");
    both.injected().container("agent").unchanged();
    let second = world.admit(&pod("{}"));
    assert_eq!(second.injected().container("agent").env("KIND"), "second");
}

#[test]
fn a_variable_of_the_kind_wins_over_the_policys() {
    let world = world(&[policy(
        "p",
        "  agents: [{podSelector: {}, env: [{name: CHOSEN, value: kind}]}]",
    )]);
    let admission = world.admit(&pod("{}"));
    assert_eq!(admission.injected().container("agent").env("CHOSEN"), "kind");
}

#[test]
fn a_policy_without_agents_serves_the_pods_that_carry_the_product_label() {
    let world = world(&[policy("p", "")]);
    chosen(&world.admit(&pod("{labels: {vertex-injector.dev/inject: 'true'}}")));
    world
        .admit(&pod("{labels: {app: agent}}"))
        .changes_nothing()
        .skipped(Reason::NotSelected);
}

#[test]
fn a_service_account_alone_selects_pods_without_labels() {
    let world = world(&[policy("p", "  agents: [{serviceAccounts: [runner, default]}]")]);
    let mut runner = pod("{}");
    runner["spec"]["serviceAccountName"] = "runner".into();
    chosen(&world.admit(&runner));
    chosen(&world.admit(&pod("{}")));
    runner["spec"]["serviceAccountName"] = "runner-2".into();
    world.admit(&runner).skipped(Reason::NotSelected);
}

#[test]
fn selector_and_service_account_must_both_match() {
    let world = world(&[policy(
        "p",
        "  agents: [{podSelector: {matchLabels: {app: agent}}, serviceAccounts: [runner]}]",
    )]);
    let mut both = pod("{labels: {app: agent}}");
    world.admit(&both).skipped(Reason::NotSelected);
    both["spec"]["serviceAccountName"] = "runner".into();
    chosen(&world.admit(&both));
}

#[test]
fn the_higher_priority_wins_then_the_namespace_then_the_name() {
    let pod = pod("{}");
    let with = |policies: &[String]| chosen(&world(policies).admit(&pod)).to_owned();
    let priority = |priority: i32| format!("{EVERY}\n  priority: {priority}");
    assert_eq!(with(&[policy("a", EVERY), policy("b", &priority(1))]), "team/b@0");
    assert_eq!(with(&[policy("a", &priority(-1)), policy("b", EVERY)]), "team/b@0");
    assert_eq!(with(&[policy("b", EVERY), policy("a", EVERY)]), "team/a@0");
    let overridable = |priority: i32| format!("{EVERY}\n  overridable: true\n  priority: {priority}");
    assert_eq!(with(&[cluster("a", &overridable(0)), policy("b", EVERY)]), "team/b@0");
    assert_eq!(with(&[cluster("a", &overridable(1)), policy("b", EVERY)]), "a@0");
    assert_eq!(
        with(&[cluster("b", &overridable(0)), cluster("a", &overridable(0))]),
        "a@0"
    );
}

#[test]
fn a_cluster_policy_that_is_not_overridable_comes_before_all_others() {
    let policies = [
        policy("mine", &format!("{EVERY}\n  priority: 1000")),
        cluster("high", &format!("{EVERY}\n  overridable: true\n  priority: 1000")),
        cluster("law", EVERY),
    ];
    assert_eq!(chosen(&world(&policies).admit(&pod("{}"))), "law@0");
}

#[test]
fn a_policy_that_does_not_select_the_pod_stands_in_nobodys_way() {
    let policies = [cluster("law", AGENTS), policy("mine", EVERY)];
    assert_eq!(chosen(&world(&policies).admit(&pod("{}"))), "team/mine@0");
}

#[test]
fn a_policy_serves_its_own_namespace_only() {
    let world = world(&[policy("p", EVERY)]);
    world
        .admit_in("other", &pod("{}"))
        .changes_nothing()
        .skipped(Reason::NotSelected);
}

#[test]
fn a_cluster_policy_serves_the_namespaces_that_its_selector_chooses() {
    let namespace = |name: &str, labels: &str| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n")
    };
    let world = world(&[
        cluster(
            "p",
            &format!("{EVERY}\n  namespaceSelector: {{matchLabels: {{tier: gold}}}}"),
        ),
        namespace("gold", "tier: gold"),
        namespace("lead", "tier: lead"),
    ]);
    chosen(&world.admit_in("gold", &pod("{}")));
    world.admit_in("lead", &pod("{}")).skipped(Reason::NotSelected);
    world.admit_in("unknown", &pod("{}")).skipped(Reason::NotSelected);
}

#[test]
fn a_namespace_can_be_chosen_by_its_name_even_when_its_labels_are_not_known() {
    let selector = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}";
    let world = world(&[cluster("p", &format!("{EVERY}\n  {selector}"))]);
    chosen(&world.admit_in("other", &pod("{}")));
    world.admit(&pod("{}")).skipped(Reason::NotSelected);
}

#[test]
fn an_annotation_narrows_to_a_policy_that_selects_the_pod() {
    let policies = [policy("a", EVERY), policy("b", EVERY), policy("c", AGENTS)];
    let naming = |name: &str| pod(&format!("{{annotations: {{vertex-injector.dev/policy: {name}}}}}"));
    assert_eq!(chosen(&world(&policies).admit(&naming("b"))), "team/b@0");
    let refused = world(&policies).admit(&naming("c"));
    let message = refused.denied(Reason::PolicyNotFound);
    assert!(
        message.contains("\"c\"") && message.contains("does not select this pod") && message.contains("agents"),
        "{message}"
    );
    let refused = world(&policies).admit(&naming("d"));
    let message = refused.denied(Reason::PolicyNotFound);
    assert!(
        message.contains("\"d\"") && message.contains("does not exist") && message.contains("remove the annotation"),
        "{message}"
    );
}

#[test]
fn an_annotation_does_not_get_around_a_policy_that_is_not_overridable() {
    let policies = [cluster("law", EVERY), policy("mine", EVERY)];
    let naming = |name: &str| pod(&format!("{{annotations: {{vertex-injector.dev/policy: {name}}}}}"));
    let refused = world(&policies).admit(&naming("mine"));
    let message = refused.denied(Reason::PolicyNotAllowed);
    for part in [
        "\"mine\"",
        "law",
        "not overridable",
        "vertex-injector.dev/policy",
        "remove the annotation",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    assert_eq!(chosen(&world(&policies).admit(&naming("law"))), "law@0");
}

#[test]
fn a_pod_that_asks_is_never_silently_skipped() {
    let asking = pod("{labels: {vertex-injector.dev/inject: 'true'}}");
    let none = World::of("{apiVersion: v1, kind: Namespace, metadata: {name: team}}").admit(&asking);
    let message = none.denied(Reason::NoPolicy);
    for part in [
        "vertex-injector.dev/inject",
        "no InjectionPolicy serves namespace team",
        "create one",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    let others = world(&[policy("a", AGENTS)]).admit(&asking);
    let message = others.denied(Reason::NoPolicy);
    for part in ["team/a", "ServiceAccount \"default\"", "agents", "\"false\""] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

#[test]
fn a_pod_that_asks_and_is_skipped_is_told_and_marked() {
    let world = world(&[policy(
        "p",
        "  agents: [{podSelector: {}}]
  vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]}
  identity: {serviceAccountKey: {secretName: key, key: key.json}}",
    )
    .replace("  env: [{name: CHOSEN, value: p}]\n", "")]);
    let mut asking = pod("{labels: {vertex-injector.dev/inject: 'true'}}");
    asking["spec"]["containers"][0]["env"] = json!([{"name": "ANTHROPIC_API_KEY", "value": "k"}]);
    let admission = world.admit(&asking);
    admission.skipped(Reason::OwnApiKey);
    assert_eq!(
        admission.after["metadata"]["annotations"],
        json!({"vertex-injector.dev/skipped": "OwnApiKey"})
    );
    assert!(admission.decision.warnings[0].contains("OwnApiKey"));
    // Once the key is gone, so is the mark.
    let mut later = admission.after;
    later["spec"]["containers"][0]["env"] = json!([]);
    let injected = world.admit(&later);
    assert_eq!(injected.injected().annotation("vertex-injector.dev/skipped"), None);
}

#[test]
fn opting_out_wins_over_everything() {
    let world = world(&[cluster("law", EVERY)]);
    for annotations in [
        "",
        ", annotations: {vertex-injector.dev/policy: nothing, vertex-injector.dev/containers: nothing}",
    ] {
        let out = pod(&format!(
            "{{labels: {{vertex-injector.dev/inject: 'false'}}{annotations}}}"
        ));
        world.admit(&out).changes_nothing().skipped(Reason::OptedOut);
    }
}

#[test]
fn without_a_choice_the_first_container_is_the_agent() {
    let admission = world(&[policy("p", EVERY)]).admit(&pod("{}"));
    chosen(&admission);
    admission.injected().container("helper").unchanged();
}

#[test]
fn kubectls_default_container_is_the_agent() {
    let annotated = |name: &str| {
        pod(&format!(
            "{{annotations: {{kubectl.kubernetes.io/default-container: {name}}}}}"
        ))
    };
    let admission = world(&[policy("p", EVERY)]).admit(&annotated("helper"));
    assert_eq!(admission.injected().container("helper").env("CHOSEN"), "p");
    admission.injected().container("agent").unchanged();
    chosen(&world(&[policy("p", EVERY)]).admit(&annotated("gone")));
}

#[test]
fn the_policy_names_several_containers_and_init_containers_only_by_name() {
    let mut with_init = pod("{}");
    with_init["spec"]["initContainers"] = json!([{"name": "clone", "image": "c"}, {"name": "fetch", "image": "f"}]);
    let admission = world(&[policy(
        "p",
        "  agents: [{podSelector: {}, containers: [agent, helper, fetch]}]",
    )])
    .admit(&with_init);
    for name in ["agent", "helper", "fetch"] {
        assert_eq!(admission.injected().container(name).env("CHOSEN"), "p");
    }
    admission.injected().container("clone").unchanged();
}

#[test]
fn a_named_container_that_the_pod_lacks_is_refused_with_those_that_it_has() {
    let refused = world(&[policy("p", "  agents: [{podSelector: {}, containers: [agnet]}]")]).admit(&pod("{}"));
    let message = refused.denied(Reason::ContainerNotFound);
    for part in ["team/p", "\"agnet\"", "agent, helper"] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

#[test]
fn the_containers_annotation_narrows_the_policys_choice_and_never_widens_it() {
    let annotated = |names: &str| {
        pod(&format!(
            "{{annotations: {{vertex-injector.dev/containers: '{names}'}}}}"
        ))
    };
    let both = world(&[policy(
        "p",
        "  agents: [{podSelector: {}, containers: [agent, helper]}]",
    )]);
    let admission = both.admit(&annotated("helper"));
    assert_eq!(admission.injected().container("helper").env("CHOSEN"), "p");
    admission.injected().container("agent").unchanged();
    let one = world(&[policy("p", "  agents: [{podSelector: {}, containers: [agent]}]")]);
    let refused = one.admit(&annotated("agent, helper"));
    let message = refused.denied(Reason::ContainerNotFound);
    assert!(
        message.contains("\"helper\"") && message.contains("it serves agent"),
        "{message}"
    );
    let refused = one.admit(&annotated(" , "));
    assert!(refused.denied(Reason::ContainerNotFound).contains("names no container"));
    let refused = world(&[policy("p", EVERY)]).admit(&annotated("gone"));
    assert!(refused.denied(Reason::ContainerNotFound).contains("agent, helper"));
    let free = world(&[policy("p", EVERY)]).admit(&annotated("agent,helper,agent"));
    for name in ["agent", "helper"] {
        assert_eq!(free.injected().container(name).env("CHOSEN"), "p");
    }
}

#[test]
fn the_containers_annotation_cannot_name_a_container_of_ours() {
    let world = World::under(
        "sidecarImages: ['*']",
        &policy(
            "p",
            "  agents: [{podSelector: {}}]\n  sidecars: [{name: x, image: 'x:1', port: 9000}]",
        ),
    );
    let mut injected = world.admit(&pod("{}")).after;
    injected["metadata"]["annotations"]["vertex-injector.dev/containers"] = "vertex-injector-x".into();
    let refused = world.admit(&injected);
    assert!(refused.denied(Reason::ContainerNotFound).contains("vertex-injector-x"));
}

#[test]
fn a_container_that_the_policy_no_longer_serves_keeps_nothing_of_vertex() {
    let gke = |containers: &str| {
        world(&[policy(
            "p",
            &format!(
                "  agents: [{{serviceAccounts: [default], containers: {containers}}}]
  vertex: {{project: my-project, region: us-east5, clients: [ClaudeCode]}}
  identity: {{gkeWorkloadIdentity: {{serviceAccount: a@my-project.iam.gserviceaccount.com}}}}"
            ),
        )])
    };
    let both = gke("[agent, helper]").admit(&pod("{}")).after;
    let one = gke("[agent]").admit(&both);
    assert_eq!(one.injected().container("helper").names(), Vec::<&str>::new());
}

#[test]
fn a_windows_pod_is_refused_because_it_cannot_be_served() {
    let world = world(&[policy("p", AGENTS)]);
    for (field, value) in [
        ("os", json!({"name": "windows"})),
        ("nodeSelector", json!({"kubernetes.io/os": "windows"})),
    ] {
        let mut windows = pod("{labels: {app: agent}}");
        windows["spec"][field] = value;
        let refused = world.admit(&windows);
        let message = refused.denied(Reason::WindowsPod);
        assert!(
            message.contains("Windows") && message.contains("vertex-injector.dev/inject: \"false\""),
            "{message}"
        );
        windows["metadata"] = json!({});
        world.admit(&windows).changes_nothing().skipped(Reason::NotSelected);
    }
    let mut linux = pod("{labels: {app: agent}}");
    linux["spec"]["os"] = json!({"name": "linux"});
    chosen(&world.admit(&linux));
}

#[test]
fn the_image_of_a_static_pod_is_skipped_even_when_it_asks() {
    let mirror = pod("{labels: {vertex-injector.dev/inject: 'true'}, annotations: {kubernetes.io/config.mirror: abc}}");
    world(&[policy("p", "")])
        .admit(&mirror)
        .changes_nothing()
        .skipped(Reason::MirrorPod);
}

#[test]
fn pods_that_others_serve_are_left_alone_and_the_reason_is_named() {
    let world = world(&[policy("p", EVERY)]);
    let proxied = pod("{labels: {kubeagents.x-k8s.io/has-credential-proxy: 'true'}}");
    world
        .admit(&proxied)
        .changes_nothing()
        .skipped(Reason::HasCredentialProxy);
    for (volume, webhook) in [
        (
            json!({"name": "gcp-iam-token", "projected": {"sources": []}}),
            "gcp-workload-identity-federation-webhook",
        ),
        (
            json!({"name": "gcp-creds", "hostPath": {"path": "/var/lib/minikube/google_application_credentials.json"}}),
            "minikube",
        ),
    ] {
        let mut served = pod("{}");
        served["spec"]["volumes"] = json!([volume]);
        let admission = world.admit(&served);
        let message = admission.changes_nothing().skipped(Reason::ServedByOtherWebhook);
        assert!(message.contains(webhook), "{message}");
    }
}

#[test]
fn a_volume_that_only_has_the_name_of_another_webhooks_is_the_pods_own() {
    let world = world(&[policy("p", EVERY)]);
    for volume in ["gcp-creds", "gcp-iam-token"] {
        let mut own = pod("{}");
        own["spec"]["volumes"] = json!([{"name": volume, "secret": {"secretName": "key"}}]);
        chosen(&world.admit(&own));
    }
}

#[test]
fn what_is_no_creation_of_a_pod_is_admitted_as_it_is() {
    let world = world(&[policy("p", EVERY)]);
    let review = |change: &dyn Fn(&mut Value)| {
        let mut review: Value =
            serde_json::from_slice(&support::api_server::review(&pod("{}"), "team", false)).unwrap();
        change(&mut review["request"]);
        vertex_injector_core::admission::review(review.to_string().as_bytes(), &world.policies)
            .unwrap()
            .decision
    };
    assert_eq!(review(&|_| {}).reason, Reason::Injected);
    let others: [&dyn Fn(&mut Value); 4] = [
        &|request| request["operation"] = "UPDATE".into(),
        &|request| request["kind"] = json!({"group": "apps", "version": "v1", "kind": "Deployment"}),
        &|request| request["subResource"] = "status".into(),
        &|request| request["subResource"] = "ephemeralcontainers".into(),
    ];
    for change in others {
        let decision = review(change);
        assert_eq!((decision.reason, decision.patch.len()), (Reason::NotSelected, 0));
    }
}
