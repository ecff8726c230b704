//! Whether the rules let a call through.

use super::refusal::{Reason, Refusal};
use super::spelling::is_same;
use super::target::{Target, is_model};
use vertex_injector_core::contract::proxy::{Feature, Publisher, Rules, Unknown, shown};
use vertex_injector_core::glob::Glob;

/// Checks a call's target: the pattern that its model matches, or `None` when the model is named in the body.
///
/// # Errors
/// Says what is allowed, and which field of the policy says so.
pub fn check<'r>(rules: &'r Rules, target: &Target<'_>) -> Result<Option<&'r Glob>, Refusal> {
    check_publisher(rules, target.publisher)?;
    check_project(rules, target.project)?;
    check_region(rules, target.region)?;
    check_method(rules, target)?;
    if target.is_named_in_body() {
        return Ok(None);
    }
    check_model(rules, &target.model).map(Some)
}

/// Checks what a body calls a model: its ID, or a resource name that ends in it.
///
/// # Errors
/// As [`check`].
pub fn check_named<'r>(rules: &'r Rules, name: &str, publisher: Publisher) -> Result<&'r Glob, Refusal> {
    let parts: Vec<&str> = name.splitn(9, '/').collect();
    let (publisher_name, model) = match *parts.as_slice() {
        [model] | ["models", model] => (publisher.name(), model),
        [of, model] | ["publishers", of, "models", model] => (of, model),
        [
            "projects",
            project,
            "locations",
            region,
            "publishers",
            of,
            "models",
            model,
        ] => {
            check_project(rules, project)?;
            check_region(rules, region)?;
            (of, model)
        }
        _ => return Err(no_model(rules)),
    };
    if let Some(refusal) = with_suffix(model) {
        return Err(refusal);
    }
    if publisher_name != publisher.name() || !is_model(model) {
        return Err(no_model(rules));
    }
    check_model(rules, model)
}

/// Checks that every model may be called, because the body leaves the choice to the provider.
///
/// # Errors
/// As [`check`].
pub fn check_any_model(rules: &Rules) -> Result<(), Refusal> {
    if rules.models.iter().any(Glob::is_any) {
        return Ok(());
    }
    let models = shown(&rules.models);
    Err(Refusal::denied(
        Reason::Model,
        format!(
            "the body leaves the choice of the model to the provider, but the policy's proxy.models allows only {models}"
        ),
    ))
}

/// Checks what a body calls a resource of Google Cloud: a full name, which begins with the project. `place` is where it stands.
///
/// # Errors
/// As [`check`].
pub fn check_resource(rules: &Rules, name: &str, place: impl FnOnce() -> String) -> Result<(), Refusal> {
    let mut parts = name.split('/');
    let project = parts
        .next()
        .filter(|first| *first == "projects")
        .and_then(|_| parts.next());
    let is_plain = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if is_plain && project.is_some_and(|project| is_project(rules, project)) {
        return Ok(());
    }
    Err(Refusal::denied(
        Reason::Project,
        format!(
            "the body names a resource of another project at {}: the policy's vertex.project is {1}, so it has to begin with \
             projects/{1}/",
            place(),
            rules.project
        ),
    ))
}

/// Whether a member or a type that is in no table passes by its name, in whatever spelling.
pub fn lets_pass(rules: &Rules, name: &str) -> bool {
    match &rules.unknown {
        Unknown::Allow => true,
        Unknown::Deny { known } => known.iter().any(|known| is_same(known.as_str(), name)),
    }
}

/// Checks that the provider may be made to do this. `place` is where the body asks for it.
///
/// # Errors
/// As [`check`].
pub fn check_feature(rules: &Rules, feature: Feature, place: impl FnOnce() -> String) -> Result<(), Refusal> {
    if rules.allow.contains(&feature) {
        return Ok(());
    }
    let allowed = if rules.allow.is_empty() {
        "allows nothing of the kind".to_owned()
    } else {
        format!("allows {}", shown(&rules.allow))
    };
    let mut refusal = Refusal::denied(
        Reason::Feature,
        format!(
            "the body asks for {feature} at {}: the policy's proxy.allow {allowed}; {feature} can be added there",
            place()
        ),
    );
    refusal.feature = Some(feature);
    Err(refusal)
}

fn check_publisher(rules: &Rules, publisher: Publisher) -> Result<(), Refusal> {
    if rules.publishers.contains(&publisher) {
        return Ok(());
    }
    Err(Refusal::denied(
        Reason::Publisher,
        format!(
            "publisher {} is not allowed: the policy's proxy.publishers allows {}",
            publisher.name(),
            shown(&rules.publishers)
        ),
    ))
}

fn check_method(rules: &Rules, target: &Target<'_>) -> Result<(), Refusal> {
    let method = target.method();
    if rules.methods.contains(&method) {
        return Ok(());
    }
    Err(Refusal::denied(
        Reason::Call,
        format!(
            "{} is not allowed: the policy's proxy.methods allows {}; {method} can be added there",
            target.call.as_str(),
            shown(&rules.methods)
        ),
    ))
}

fn check_project(rules: &Rules, project: &str) -> Result<(), Refusal> {
    if is_project(rules, project) {
        return Ok(());
    }
    let own = &rules.project;
    let message = if project.bytes().all(|b| b.is_ascii_digit()) {
        format!(
            "projects/{project} names a project by its number, and here it goes by its ID: the policy's vertex.project is {own}, so \
             the path has to say projects/{own}"
        )
    } else {
        format!(
            "another project is not allowed: the policy's vertex.project is {own}, so the path has to say projects/{own}"
        )
    };
    Err(Refusal::denied(Reason::Project, message))
}

/// Whether a project is the policy's, by its ID or by its number.
fn is_project(rules: &Rules, project: &str) -> bool {
    project == rules.project.as_str() || rules.project_number.is_some_and(|number| number.to_string() == project)
}

fn check_region(rules: &Rules, region: &str) -> Result<(), Refusal> {
    if rules.regions.iter().any(|allowed| allowed.as_str() == region) {
        return Ok(());
    }
    Err(Refusal::denied(
        Reason::Region,
        format!(
            "this region is not allowed: the policy's proxy.regions allows {}",
            shown(&rules.regions)
        ),
    ))
}

fn check_model<'r>(rules: &'r Rules, model: &str) -> Result<&'r Glob, Refusal> {
    let matching = rules.models.iter().find(|glob| glob.matches(model));
    matching.ok_or_else(|| {
        Refusal::denied(
            Reason::Model,
            format!(
                "model {model} is not allowed: the policy's proxy.models allows {}",
                shown(&rules.models)
            ),
        )
    })
}

fn no_model(rules: &Rules) -> Refusal {
    Refusal::denied(
        Reason::Model,
        format!(
            "the body names a model in a way that is not allowed: the policy's proxy.models allows {}, of {}",
            shown(&rules.models),
            rules.project
        ),
    )
}

/// What is said of a model's name with something in brackets behind it, such as `[1m]`: clients take that as a setting of their own.
pub fn with_suffix(name: &str) -> Option<Refusal> {
    let (model, suffix) = name.strip_suffix(']')?.split_once('[')?;
    if !is_model(model) || suffix.is_empty() || !suffix.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let header = if suffix.eq_ignore_ascii_case("1m") {
        "; where the model needs it, the header anthropic-beta: context-1m-2025-08-07 asks for the long context"
    } else {
        ""
    };
    let message = format!("[{suffix}] is no part of a model's name: name {model}{header}");
    Some(Refusal::denied(Reason::Model, message))
}
