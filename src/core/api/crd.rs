//! The CustomResourceDefinitions of both kinds.

use super::{ClusterInjectionPolicy, InjectionPolicy};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The definitions that the chart installs and `vertex-injector crds` prints.
pub fn crds() -> [CustomResourceDefinition; 2] {
    [InjectionPolicy::crd(), ClusterInjectionPolicy::crd()]
}
