//! Metrics that are registered where they are made, so that none is counted and never shown.

use prometheus_client::registry::{Metric, Registry, Unit};

/// Content type of metrics as `prometheus_client` encodes them.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A metric that has been registered under this name. Clones count together.
pub fn counted<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// The same with a unit, which becomes part of the name.
pub fn measured<M: Metric + Clone>(registry: &mut Registry, name: &str, unit: Unit, help: &str, metric: M) -> M {
    registry.register_with_unit(name, help, unit, metric.clone());
    metric
}
