//! Verbs that ask a cluster whose API server does not answer.

use crate::{Files, run};

const KUBECONFIG: &str = "\
{apiVersion: v1, kind: Config, current-context: mine,
 clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: u, user: {token: hunter2}}],
 contexts: [{name: mine, context: {cluster: c, user: u}}, {name: other, context: {cluster: c, user: u}}]}";

#[test]
fn an_api_server_that_does_not_answer_is_named_with_its_context_and_what_to_do() {
    let files = Files::new(&[("kubeconfig", KUBECONFIG)]);
    let kubeconfig = files.path("kubeconfig");
    for verb in [
        &["check"][..],
        &["check", "pod", "a"],
        &["audit"],
        &["doctor", "--in-pod", "a"],
    ] {
        for (context, more) in [("mine", &[][..]), ("other", &["--context", "other"])] {
            let ran = run(&[verb, &["--kubeconfig", &kubeconfig], more].concat());
            assert_eq!(ran.code, Some(2), "{ran:?}");
            for word in [
                &format!("context {context:?}"),
                "https://127.0.0.1:1",
                "refused",
                "--kubeconfig or --context",
            ] {
                assert!(ran.stderr.contains(word), "{verb:?}: {}", ran.stderr);
            }
            assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_kubeconfig_that_does_not_exist_is_told_of_once() {
    let ran = run(&["check", "--kubeconfig", "/nonexistent/config"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("/nonexistent/config"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("No such file").count(), 1, "{}", ran.stderr);
}
