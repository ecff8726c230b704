//! What `check` finds, and what to do about it.

use crate::{check, table};
use strum::VariantArray;
use vertex_injector_operate::finding::{Level, Part};
use vertex_injector_operate::problem::Problem;

const ABOUT: &str = "\
Everything that `vertex-injector check` knows to be wrong, with what to do. ✗ is broken, ! worth a warning, ? could not be looked at.
The names are part of the interface: `-o json` has them as `problem`. `NAME` and `NAMESPACE` are those of the object, `RELEASE` and
`SYSTEM` the release and its namespace; the program puts them in.";

/// What each part asks of the API server, as roles name it.
const RIGHTS: &str = "\
| part | rights |
|---|---|
| `api-server` | `list` on `nodes` |
| `definitions` | `get` on `customresourcedefinitions.apiextensions.k8s.io` |
| all others | `list` on `mutatingwebhookconfigurations`, `validatingwebhookconfigurations` and `validatingadmissionpolicybindings`, not needed with `--release` and `--namespace` together |
| `webhooks` | `get` on both webhook configurations; in the release's namespace `get` on its `configmaps` and `services` |
| `certificate` | the same; in the release's namespace `get` on `deployments.apps`, `list` on `pods`, and to go by the kubelet (from outside the cluster, or where a NetworkPolicy lets nobody else in) `get` and `create` on `pods/portforward` |
| `replicas` | in the release's namespace `get` on `deployments.apps`, `list` on `pods` |
| `guards` | `list` on `validatingadmissionpolicies` and `validatingadmissionpolicybindings` |
| `policies` | `list` on `injectionpolicies`, `clusterinjectionpolicies` and `namespaces` |
| `agents` | the same, and `list` on `pods` of the namespaces that opted in |
| `trials` | the same as `policies`, and `create` on `pods` there, as dry runs |
";

#[test]
fn the_page_of_problems_is_what_the_code_says() {
    let mut body = String::new();
    for part in Part::VARIANTS {
        let rows = Problem::VARIANTS.iter().filter(|problem| problem.part() == *part);
        let rows = rows.map(|problem| {
            let sign = match problem.level() {
                Level::Broken => "✗",
                Level::Unknown => "?",
                Level::Warning => "!",
                Level::Fine => panic!("{problem} is none"),
            };
            // What is in capitals is put in.
            let remedy = problem.remedy().replace('<', "\\<");
            [
                format!("`{problem}`"),
                sign.to_owned(),
                problem.meaning().to_owned(),
                remedy,
            ]
        });
        body.push_str(&format!(
            "## {}\n\n{}.\n\n{}\n",
            part.name(),
            part.meaning(),
            table(["problem", "", "what it means", "what to do"], rows)
        ));
    }
    body.push_str(&format!(
        "## Rights\n\nWhat may not be looked at is a line of its own.\n\n{RIGHTS}"
    ));
    check("problems.md", "Problems", ABOUT, &body);
}

#[test]
fn every_problem_has_a_meaning_and_a_remedy_of_its_own_words() {
    assert!(Problem::VARIANTS.len() > 25);
    for problem in Problem::VARIANTS {
        assert!(problem.meaning().ends_with('.'), "{problem}");
        assert!(problem.remedy().len() > 20, "{problem}");
    }
}
