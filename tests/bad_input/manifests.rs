//! Files of policies: what is wrong in them is told with its place.

use super::*;

#[test]
fn a_policy_with_unknown_fields_is_refused_with_each_of_them() {
    let mut policy = policy();
    policy["spec"]["vertex"]["projct"] = SECRET.into();
    policy["spec"]["sideCars"] = json!([]);
    policy["spec"]["vertex"]["clients"] = json!("ClaudeCode");
    let message = schema::check(&policy).expect_err("errors").to_string();
    for problem in [
        "spec.vertex.projct: unknown field",
        "spec.sideCars: unknown field",
        "spec.vertex.clients: ",
    ] {
        assert!(message.contains(problem), "{problem} is not in {message}");
    }
    assert!(!message.contains(SECRET), "{message}");
}

#[test]
fn a_policy_whose_fields_have_wrong_types_is_refused_and_never_read_otherwise() {
    for (pointer, wrong) in [
        ("/spec", json!([])),
        ("/spec/vertex", json!(SECRET)),
        ("/spec/vertex/project", json!(7)),
        ("/spec/vertex/clients/0", json!(null)),
        ("/spec/identity/workloadIdentityFederation", json!([SECRET])),
        ("/metadata", json!(SECRET)),
    ] {
        let mut policy = policy();
        *policy.pointer_mut(pointer).expect("a field") = wrong;
        let errors = manifest::policies::policy(&policy, "team-a")
            .expect_err("errors")
            .to_string();
        assert!(errors.contains(&dotted(pointer)), "{pointer}: {errors}");
    }
}

#[test]
fn duplicate_keys_in_yaml_are_refused_with_the_line() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  name: hunter2\n";
    let error = manifest::parse("pod.yaml", text).expect_err("an error").to_string();
    assert!(
        error.starts_with("pod.yaml:5: document 1: ") && error.contains("\"name\""),
        "{error}"
    );
    assert!(!error.contains(SECRET), "{error}");
}

#[test]
fn a_file_that_does_not_exist_is_named() {
    let errors = manifest::read(Path::new("no/such/policy.yaml")).expect_err("an error");
    let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        ["no/such/policy.yaml: cannot be read: No such file or directory (os error 2)"]
    );
}
