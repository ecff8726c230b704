//! Requests and limits of our containers.

use super::errors::Errors;
use crate::api::Resources;
use crate::quantity::thousandths;

/// The API server refuses pods whose container requests more than its limit.
pub(super) fn checked(resources: Resources, field: &str, errors: &mut Errors) -> Resources {
    let Resources { requests, limits } = &resources;
    let pairs = [
        ("cpu", &requests.cpu, &limits.cpu),
        ("memory", &requests.memory, &limits.memory),
    ];
    for (resource, request, limit) in pairs {
        let (Some(request), Some(limit)) = (request, limit) else {
            continue;
        };
        if thousandths(&request.as_str().into()) > thousandths(&limit.as_str().into()) {
            errors.add(
                format!("{field}.requests.{resource}"),
                format!("{request:?} is more than the limit {limit:?}"),
            );
        }
    }
    resources
}
