//! What `doctor` finds between a pod and a model, and what mends it.

use crate::{check, table};
use strum::VariantArray;
use vertex_injector_sidecar::doctor::hop::Hop;
use vertex_injector_sidecar::doctor::known::Known;
use vertex_injector_sidecar::doctor::problem::Problem;

const ABOUT: &str = "\
The hops from a pod to a model's answer, in the order in which `vertex-injector doctor` goes them, and all that it knows to be wrong on
each. The names are part of the interface: `-o json` has them as `hop` and `problem`. Words in capitals are put in where the pod's
configuration and its token tell them. What Google says is shown in its own words, and judged by its codes where these say enough.

With `--in-pod` a broker is asked for what needs the identity token; when it has none or is cut off, the hops to the hosts that it calls
follow its own words, without a token, and what is wrong there is a warning (`!`).";

#[test]
fn the_page_of_hops_is_what_the_code_says() {
    let mut body = String::new();
    for hop in Hop::VARIANTS {
        let rows = Problem::VARIANTS.iter().filter(|problem| problem.hop() == *hop);
        let rows = rows.map(|problem| {
            let remedy = problem.remedy(&Known::default()).into_iter().map(|line| {
                let command = ["gcloud ", "kubectl ", "helm ", "vertex-injector "]
                    .iter()
                    .any(|it| line.starts_with(it));
                if command { format!("`{line}`") } else { line }
            });
            let remedy: Vec<String> = remedy.collect();
            [
                format!("`{}`", problem.name()),
                problem.meaning().to_owned(),
                remedy.join("<br>"),
            ]
        });
        body.push_str(&format!(
            "## {}\n\n{}.\n\n{}\n",
            hop.name(),
            hop.meaning(),
            table(["problem", "what it means", "what to do"], rows)
        ));
    }
    check("hops.md", "Hops", ABOUT, &body);
}

#[test]
fn every_problem_has_a_meaning_and_something_to_do() {
    assert!(Problem::VARIANTS.len() > 40);
    for problem in Problem::VARIANTS {
        assert!(problem.meaning().ends_with('.'), "{}", problem.name());
        let remedy = problem.remedy(&Known::default()).join("\n");
        assert!(remedy.len() > 20, "{}", problem.name());
    }
    for hop in Hop::VARIANTS.iter().filter(|hop| **hop != Hop::Clock) {
        assert!(
            Problem::VARIANTS.iter().any(|problem| problem.hop() == *hop),
            "{}",
            hop.name()
        );
    }
}
