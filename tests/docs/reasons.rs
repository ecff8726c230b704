//! Outcomes and reasons of a decision.

use crate::{check, table};
use strum::{EnumMessage, VariantArray};
use vertex_injector_core::admission::{NotSent, Outcome, Reason};

const ABOUT: &str = "\
How a decision about a pod ends, and why. The codes are part of the interface: metrics, audit annotations, logs, `explain -o json` and
the pod's annotation `vertex-injector.dev/skipped` carry them.";

const UNSENT: &str = "\
The API server sends only the pods that the webhook's selectors match. `explain` and `inject` know them, and say `not sent` with:";

#[test]
fn the_page_of_reasons_is_what_the_code_says() {
    let doc = |doc: Option<&'static str>| doc.unwrap().to_owned();
    let outcomes = Outcome::VARIANTS
        .iter()
        .map(|it| [format!("`{it}`"), doc(it.get_documentation())]);
    let reasons = Reason::VARIANTS
        .iter()
        .map(|it| [format!("`{it}`"), doc(it.get_documentation())]);
    let unsent = NotSent::VARIANTS
        .iter()
        .map(|it| [format!("`{it}`"), doc(it.get_documentation())]);
    let body = format!(
        "## Outcomes\n\n{}\n## Reasons\n\n{}\n## Why the webhook is not asked\n\n{UNSENT}\n\n{}",
        table(["outcome", "meaning"], outcomes),
        table(["reason", "meaning"], reasons),
        table(["reason", "meaning"], unsent)
    );
    check("reasons.md", "Outcomes and reasons", ABOUT, &body);
}
