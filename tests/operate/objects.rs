//! An installation in which all is well, as objects, and what is made of it.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt;
use vertex_injector_core::admission::Operator;
use vertex_injector_core::manifest::operator_text;
use vertex_injector_operate::Look;
use vertex_injector_operate::check::certificate::{Called, Target};
use vertex_injector_operate::finding::{Finding, Level, Object};
use vertex_injector_operate::release::Release;
use vertex_injector_operate::world::World;

/// The time of all tests, in seconds since 1970.
pub(crate) const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;

/// Seen, and read as its type.
pub(crate) fn seen<T: DeserializeOwned>(value: Value) -> Look<T> {
    Look::Seen(serde_json::from_value(value).expect("of this type"))
}

pub(crate) fn unseen<T>() -> Look<T> {
    Look::Unseen("needs get on things".to_owned())
}

pub(crate) fn release() -> Release {
    Release {
        name: "vi".to_owned(),
        namespace: "system".to_owned(),
        objects: "vi-vertex-injector".to_owned(),
    }
}

pub(crate) const SETTINGS: &str = "
namespaceSelector: {matchLabels: {vertex-injector.dev/injection: enabled}}
agentSelectors:
- {name: inject, objectSelector: {matchLabels: {vertex-injector.dev/inject: 'true'}}}
- {name: app, objectSelector: {matchExpressions: [{key: app, operator: Exists}]}}
";

pub(crate) fn operator() -> Operator {
    operator_text("operator.yaml", SETTINGS).expect("settings")
}

/// The configuration that the chart makes of [`SETTINGS`].
pub(crate) fn injection() -> Value {
    let out = json!({"key": "vertex-injector.dev/inject", "operator": "NotIn", "values": ["false"]});
    let hook = |name: &str, selector: Value| {
        json!({
            "name": format!("{name}.vertex-injector.dev"), "admissionReviewVersions": ["v1"], "sideEffects": "NoneOnDryRun",
            "failurePolicy": "Fail", "objectSelector": selector,
            "namespaceSelector": {"matchLabels": {"vertex-injector.dev/injection": "enabled"}},
            "clientConfig": {"service": {"namespace": "system", "name": "vi-vertex-injector"}},
        })
    };
    json!({
        "metadata": {"name": "vi-vertex-injector"},
        "webhooks": [
            hook("inject", json!({"matchLabels": {"vertex-injector.dev/inject": "true"}, "matchExpressions": [out]})),
            hook("app", json!({"matchExpressions": [out, {"key": "app", "operator": "Exists"}]})),
        ],
    })
}

pub(crate) fn validation() -> Value {
    json!({
        "metadata": {"name": "vi-vertex-injector"},
        "webhooks": [{"name": "policies.vertex-injector.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                      "clientConfig": {"service": {"namespace": "system", "name": "vi-vertex-injector"}}}],
    })
}

/// A policy as the webhook has judged it.
pub(crate) fn policy(namespace: &str, status: &str, reason: &str) -> Value {
    json!({
        "metadata": {"name": "agents", "namespace": namespace, "generation": 2},
        "spec": {"agents": [{"podSelector": {"matchLabels": {"app": "agent"}}}], "env": [{"name": "GREETING", "value": "hello"}]},
        "status": {"observedGeneration": 2, "conditions": [{
            "type": "Ready", "status": status, "reason": reason, "message": "in its words", "observedGeneration": 2,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]},
    })
}

fn namespace(name: &str, opted_in: bool) -> Value {
    let labels = if opted_in {
        json!({"vertex-injector.dev/injection": "enabled"})
    } else {
        json!({})
    };
    json!({"metadata": {"name": name, "labels": labels}})
}

/// These policies, with `team` opted in and `other` not.
pub(crate) fn world(policies: &[Value], cluster: &[Value]) -> World {
    World::new(
        policies,
        cluster,
        &[namespace("team", true), namespace("other", false)],
        operator(),
    )
}

/// A certificate for `name`, its authority as PEM, and when it is not valid any more.
pub(crate) fn certificate(name: &str, days: i64) -> (Vec<CertificateDer<'static>>, Vec<u8>) {
    let moment = |seconds: i64| {
        let days = (NOW + seconds) / DAY;
        let date = civil(days);
        rcgen::date_time_ymd(date.0, date.1, date.2)
    };
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "authority");
    let authority = params.self_signed(&key).expect("an authority");
    let issuer = Issuer::from_ca_cert_der(authority.der(), key).expect("an issuer");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    (params.not_before, params.not_after) = (moment(-30 * DAY), moment(days * DAY));
    let leaf = params
        .signed_by(&KeyPair::generate().expect("a key"), &issuer)
        .expect("a certificate");
    (vec![leaf.der().clone()], authority.pem().into_bytes())
}

/// Year, month and day of a number of days since 1970.
fn civil(days: i64) -> (i32, u8, u8) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (
        i32::try_from(year).expect("a year"),
        u8::try_from(month).expect("a month"),
        u8::try_from(day).expect("a day"),
    )
}

pub(crate) fn called(ca_bundle: Vec<u8>) -> Called {
    Called {
        object: Object::new("MutatingWebhookConfiguration", "vi-vertex-injector"),
        hooks: vec!["inject.vertex-injector.dev".to_owned()],
        ca_bundle,
        target: Target::Service {
            namespace: "system".to_owned(),
            name: "vi-vertex-injector".to_owned(),
        },
    }
}

/// Findings in one line each, without those that are fine.
pub(crate) struct Shown(pub Vec<Finding>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.0.iter().filter(|finding| finding.level != Level::Fine) {
            let Finding {
                level,
                problem,
                object,
                found,
                remedy,
                ..
            } = finding;
            writeln!(f, "{} {problem:?} {object}: {found} => {remedy}", level.sign())?;
        }
        Ok(())
    }
}

/// The value with another one at a pointer.
pub(crate) fn edited(mut value: Value, pointer: &str, new: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = value.pointer_mut(parent).expect("a parent");
    match parent {
        Value::Array(items) => items[key.parse::<usize>().expect("an index")] = new,
        Value::Object(fields) => drop(fields.insert(key.to_owned(), new)),
        _ => panic!("{pointer}"),
    }
    value
}
