//! Images of sidecars: on the operator's list, and with a version, or a node's old image would run for ever.

use crate::api::Sidecar;
use crate::glob::Glob;
use crate::operator::Operator;
use crate::policy::errors::{Checked, Errors};

/// What an image needs.
const VERSION: &str = "must name a version: a tag other than latest, or a digest (@sha256:…)";

/// How it must be written.
const PLAIN: &str =
    "is not an image of the form REGISTRY/PATH:TAG or REGISTRY/PATH@sha256:DIGEST, without '..' and empty parts";

/// The policy's image, or the operator's for the preset, which needs no listing.
pub(super) fn compile(sidecar: &Sidecar, operator: &Operator, field: &str, errors: &mut Errors) -> Checked<String> {
    let field = format!("{field}.image");
    let image = match (&sidecar.image, sidecar.preset) {
        (Some(image), _) => {
            check_form(image, &format!("{image:?}"), &field, errors);
            check_listed(image, operator, &field, errors);
            image
        }
        (None, Some(preset)) => {
            let Some(image) = operator.preset_images.get(&preset) else {
                let name = preset.known().name;
                return Err(errors.add(
                    field,
                    format!("the operator sets no image for preset {name} (presetImages), so the policy must name one"),
                ));
            };
            check_form(
                image,
                "the operator's image for this preset (presetImages)",
                &field,
                errors,
            );
            image
        }
        (None, None) => return Err(errors.add(field, "a sidecar without a preset needs an image")),
    };
    Ok(image.clone())
}

fn check_form(image: &str, called: &str, field: &str, errors: &mut Errors) {
    if !names_a_version(image) {
        errors.add(field, format!("{called} {VERSION}"));
    }
    if !is_plain(image) {
        errors.add(field, format!("{called} {PLAIN}"));
    }
}

fn check_listed(image: &str, operator: &Operator, field: &str, errors: &mut Errors) {
    let allows = |glob: &String| glob.parse::<Glob>().is_ok_and(|glob| glob.matches(image));
    if !operator.sidecar_images.iter().any(allows) {
        let allowed = match operator.sidecar_images.as_slice() {
            [] => "the operator's list of sidecarImages is empty".to_owned(),
            images => format!("the operator's list of sidecarImages has {}", images.join(", ")),
        };
        errors.add(field, format!("{image:?} is not allowed: {allowed}"));
    }
}

/// Whether a runtime reads it as the operator's list does: no part leads elsewhere, and `@` begins a digest.
fn is_plain(image: &str) -> bool {
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let digest = digest.map(|digest| digest.strip_prefix("sha256:").is_some_and(is_digest));
    digest.unwrap_or(true)
        && name
            .split('/')
            .all(|part| !part.is_empty() && part != "." && !part.contains(".."))
}

fn is_digest(digest: &str) -> bool {
    digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn names_a_version(image: &str) -> bool {
    if let Some((_, digest)) = image.split_once("@sha256:") {
        return is_digest(digest);
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split_once(':').is_some_and(|(_, tag)| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        !tag.is_empty() && tag != "latest" && tag.bytes().all(known)
    })
}
