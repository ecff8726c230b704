//! What is read of a pod in JSON.

use anyhow::bail;
use serde_json::Value;
use vertex_injector_core::clients::Setting;
use vertex_injector_core::names;

/// Why there can be no container of ours.
pub(super) const NO_IMAGE: &str =
    "the pod has no container with our image; say --image, as the chart's image.repository and image.tag have it";

/// Whether a policy was applied.
///
/// # Errors
/// When there was none.
pub(super) fn has_policy(pod: &Value) -> anyhow::Result<()> {
    let annotations = pod.pointer("/metadata/annotations");
    if annotations.and_then(|all| all.get(names::POLICY_REF)).is_some() {
        return Ok(());
    }
    bail!(
        "no policy was applied to this pod (it has no annotation {}); vertex-injector explain says why",
        names::POLICY_REF
    )
}

/// The broker.
pub(super) fn find_broker(pod: &Value) -> Option<&Value> {
    containers(pod).find(|it| text(it, "/name") == Some(names::BROKER_CONTAINER))
}

/// The first value that a container has for a setting.
pub(super) fn agents(pod: &Value, setting: Setting) -> Option<String> {
    containers(pod).find_map(|container| {
        let mut known = setting.variables();
        known.find_map(|known| env_of(container, known.name)).map(str::to_owned)
    })
}

/// The containers that a pod is made of.
pub(super) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let all = ["/spec/containers", "/spec/initContainers"].into_iter();
    all.filter_map(|list| pod.pointer(list)?.as_array()).flatten()
}

/// A variable's value, where it is said and not empty.
pub(super) fn env_of<'p>(container: &'p Value, name: &str) -> Option<&'p str> {
    let mut env = container.get("env")?.as_array()?.iter();
    env.find(|variable| text(variable, "/name") == Some(name))
        .and_then(|variable| text(variable, "/value"))
        .filter(|value| !value.is_empty())
}

/// A text at a place (RFC 6901).
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer)?.as_str()
}

/// A member whose name may have slashes.
pub(super) fn text_of<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    object.get(name)?.as_str()
}
