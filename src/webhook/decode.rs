//! A policy as the API server sends it. One that this version cannot read must not stop a list or a watch, so every object is read
//! by itself.

use kube::Resource;
use kube::api::DynamicObject;
use serde_json::Value;

/// The whole object with its `apiVersion` and `kind`, which lists may leave out, and without what is of no use here.
pub(crate) fn whole<T: Resource<DynamicType = ()>>(mut object: DynamicObject) -> Value {
    object.metadata.managed_fields = None;
    // Names, labels and JSON: nothing that cannot be written.
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("apiVersion".to_owned(), T::api_version(&()).into());
        fields.insert("kind".to_owned(), T::kind(&()).into());
    }
    value
}
