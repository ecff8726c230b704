//! What we read of a container and of its lists.

use crate::admission::object::{RawObject, only_from_objects};
use crate::admission::security::{Handler, Lifecycle, SecurityContext};
use crate::admission::text::{Text, or_default};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// What we read of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(in crate::admission) struct Container<'a> {
    /// `name`.
    #[serde(borrow, default)]
    pub(in crate::admission) name: Text<'a>,
    /// `env`.
    #[serde(borrow, default)]
    pub(in crate::admission) env: Option<Vec<Env<'a>>>,
    /// `command`, whole.
    #[serde(borrow, default)]
    pub(in crate::admission) command: Option<&'a RawValue>,
    /// `args`, whole.
    #[serde(borrow, default)]
    pub(in crate::admission) args: Option<&'a RawValue>,
    /// `envFrom`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(in crate::admission) env_from: Vec<EnvFrom<'a>>,
    /// `volumeMounts`.
    #[serde(borrow, default)]
    pub(in crate::admission) volume_mounts: Option<Vec<Mount<'a>>>,
    /// `ports`.
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::admission) ports: Vec<Port>,
    /// `restartPolicy`, of init containers.
    #[serde(borrow, default)]
    pub(in crate::admission) restart_policy: Option<Text<'a>>,
    /// `securityContext`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(in crate::admission) security_context: SecurityContext<'a>,
    /// `livenessProbe`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(in crate::admission) liveness_probe: Handler<'a>,
    /// `readinessProbe`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(in crate::admission) readiness_probe: Handler<'a>,
    /// `startupProbe`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(in crate::admission) startup_probe: Handler<'a>,
    /// `lifecycle`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(in crate::admission) lifecycle: Lifecycle<'a>,
    /// `resources`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(in crate::admission) resources: Resources<'a>,
}

/// One entry of `env`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(in crate::admission) struct Env<'a> {
    /// `name`.
    #[serde(borrow)]
    pub(in crate::admission) name: Text<'a>,
    /// `value`.
    #[serde(borrow, default)]
    pub(in crate::admission) value: Option<Text<'a>>,
    /// `valueFrom`, whole.
    #[serde(borrow, default)]
    pub(in crate::admission) value_from: Option<RawObject<'a>>,
}

/// What we read of a variable's `valueFrom`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(in crate::admission) struct ValueSource<'a> {
    /// A key of a Secret.
    #[serde(borrow, default)]
    pub(in crate::admission) secret_key_ref: Option<ObjectName<'a>>,
    /// A key of a file in a volume (KEP-3721).
    #[serde(borrow, default)]
    pub(in crate::admission) file_key_ref: Option<FileKey<'a>>,
}

/// What we read of a reference to a key of a file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(in crate::admission) struct FileKey<'a> {
    /// `volumeName`.
    #[serde(borrow, default)]
    pub(in crate::admission) volume_name: Option<Text<'a>>,
}

/// One entry of `envFrom`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(in crate::admission) struct EnvFrom<'a> {
    /// What all its variables begin with.
    #[serde(borrow, default)]
    pub(in crate::admission) prefix: Option<Text<'a>>,
    /// A ConfigMap.
    #[serde(borrow, default)]
    pub(in crate::admission) config_map_ref: Option<ObjectName<'a>>,
    /// A Secret.
    #[serde(borrow, default)]
    pub(in crate::admission) secret_ref: Option<ObjectName<'a>>,
}

/// A reference by name.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub(in crate::admission) struct ObjectName<'a> {
    /// `name`.
    #[serde(borrow, default)]
    pub(in crate::admission) name: Text<'a>,
}

/// One entry of `volumeMounts`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(in crate::admission) struct Mount<'a> {
    /// `name` of the volume.
    #[serde(borrow)]
    pub(in crate::admission) name: Text<'a>,
    /// `mountPath`.
    #[serde(borrow)]
    pub(in crate::admission) mount_path: Text<'a>,
    /// `subPath`.
    #[serde(borrow, default)]
    pub(in crate::admission) sub_path: Option<Text<'a>>,
    /// `subPathExpr`.
    #[serde(borrow, default)]
    pub(in crate::admission) sub_path_expr: Option<Text<'a>>,
    /// `readOnly`.
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::admission) read_only: bool,
}

/// One entry of `ports`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(in crate::admission) struct Port {
    /// `containerPort`.
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::admission) container_port: i64,
    /// `hostPort`; 0 is none.
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::admission) host_port: i64,
}

/// `resources` of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub(in crate::admission) struct Resources<'a> {
    /// `requests`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(in crate::admission) requests: BTreeMap<Text<'a>, Quantity>,
    /// `limits`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(in crate::admission) limits: BTreeMap<Text<'a>, Quantity>,
}

/// A quantity as it is written: text or a number.
#[derive(Debug)]
pub(in crate::admission) struct Quantity(pub(in crate::admission) serde_json::Value);

only_from_objects!(
    Container<'a>,
    Env<'a>,
    ValueSource<'a>,
    FileKey<'a>,
    EnvFrom<'a>,
    ObjectName<'a>,
    Mount<'a>,
    Port,
    Resources<'a>
);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor).map(Self)
    }
}

struct QuantityVisitor;

impl Visitor<'_> for QuantityVisitor {
    type Value = serde_json::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(number.into())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(serde_json::Value::Null)
    }
}
