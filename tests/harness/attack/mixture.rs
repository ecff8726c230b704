//! Reviews that are dear in several ways at once, at random: lists that cost little by themselves may cost much beside others.

use super::reviews::{Around, NAMESPACES, SHAPES, Shape, shape};
use fastrand::Rng;
use serde_json::json;
use std::collections::BTreeMap;

/// Most containers that a pod may choose.
const CONTAINERS: usize = 16;

/// Variables whose values are taken apart, followed, merged or handed to sidecars.
const VARIABLES: [&str; 20] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "ANTHROPIC_MODEL",
    "ANTHROPIC_BASE_URL",
    "CREDENTIAL_MCP_URLS",
    "CREDENTIAL_IDS",
    "OPENSHELL_USER_ENVIRONMENT",
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_KEY_0",
    "VERTEX_REGION_CLAUDE",
    "GIVEN_0",
    "V",
    "W",
];

/// What their values repeat, and what stands between.
const VALUES: [(&str, &str); 14] = [
    ("x", ""),
    ("a", ","),
    (" ", ","),
    ("host-#.example.com", ","),
    ("localhost", ","),
    ("127.0.0.1", ","),
    ("$", ""),
    ("$$", ""),
    ("$(V)", ""),
    ("$(W)$(HTTP_PROXY)", ","),
    ("$(", ""),
    ("/x", ""),
    (r#"\"k#\":\"\""#, ","),
    ("é", ""),
];

/// A review of several parts.
#[derive(Clone)]
pub struct Mixture {
    namespace: &'static str,
    containers: usize,
    parts: Vec<Part>,
}

#[derive(Clone, Copy)]
struct Part {
    /// One of [`SHAPES`], or a variable.
    kind: Kind,
    /// How much of the whole.
    share: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Shape(usize),
    Variable(usize, usize),
}

impl Mixture {
    /// Any.
    pub fn any(rng: &mut Rng) -> Self {
        Self {
            namespace: NAMESPACES[rng.usize(..NAMESPACES.len())],
            containers: *rng.choice(&[1, 1, 2, 4, CONTAINERS]).unwrap_or(&1),
            parts: (0..rng.usize(1..7)).map(|_| Part::any(rng)).collect(),
        }
    }

    /// One like it.
    pub fn neighbour(&self, rng: &mut Rng) -> Self {
        let mut other = self.clone();
        let at = rng.usize(..other.parts.len());
        match rng.u8(..6) {
            0 => other.namespace = NAMESPACES[rng.usize(..NAMESPACES.len())],
            1 => other.containers = rng.usize(1..=CONTAINERS),
            2 if other.parts.len() > 1 => drop(other.parts.remove(at)),
            3 => other.parts[at].share = rng.usize(1..=20),
            4 => other.parts[at] = Part::any(rng),
            _ => other.parts.push(Part::any(rng)),
        }
        other
    }

    /// What it is made of.
    pub fn name(&self) -> String {
        let parts = self
            .parts
            .iter()
            .map(|part| format!("{} × {}", part.share, part.name()));
        let parts: Vec<String> = parts.collect();
        format!("{} in {} of {}", parts.join(" + "), self.containers, self.namespace)
    }

    /// The review, of about so many bytes.
    pub fn review(&self, bytes: usize) -> String {
        let whole: usize = self
            .parts
            .iter()
            .map(|part| part.share * part.times(self.containers))
            .sum();
        let mut fields = Fields::default();
        for part in &self.parts {
            part.add(&mut fields, bytes.saturating_sub(4000) * part.share / whole);
        }
        let Fields {
            spec,
            agent,
            env,
            mut annotations,
            metadata,
            request,
        } = fields;
        let names: Vec<String> = (0..self.containers).map(|i| format!("c{i}")).collect();
        annotations
            .entry(json!("vertex-injector.dev/containers").to_string())
            .or_insert_with(|| json!(names.join(",")).to_string());
        let sandbox = if self.namespace == "openshell" {
            r#"{"name":"OPENSHELL_SANDBOX_ID","value":"x"},"#
        } else {
            ""
        };
        let agent = joined(&agent);
        let env: String = env.iter().map(|entries| [",", entries].concat()).collect();
        let containers: Vec<String> = names
            .iter()
            .map(|name| format!(r#"{{"name":"{name}","env":[{sandbox}{{"name":"V","value":"x"}}{env}]{agent}}}"#))
            .collect();
        let list = format!("[{}]", containers.join(","));
        let containers = if spec.contains_key(r#""containers""#) {
            String::new()
        } else {
            format!(r#","containers":{list}"#)
        };
        let annotations: Vec<String> = annotations
            .iter()
            .map(|(key, value)| format!("{key}:{value}"))
            .collect();
        let annotations = if metadata.contains_key(r#""annotations""#) {
            String::new()
        } else {
            format!(r#","annotations":{{{}}}"#, annotations.join(","))
        };
        format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"operation":"CREATE","uid":"u-1","namespace":"{}"{},"object":{{"metadata":{{"name":"agent-1","labels":{{"vertex-injector.dev/inject":"true"}}{annotations}{}}},"spec":{{"serviceAccountName":"default"{}{containers}}}}}}}}}"#,
            self.namespace,
            joined(&request),
            joined(&metadata),
            joined(&spec),
        )
    }
}

/// Fields by their keys: of two alike the first stays.
#[derive(Default)]
struct Fields {
    spec: BTreeMap<String, String>,
    agent: BTreeMap<String, String>,
    env: Vec<String>,
    annotations: BTreeMap<String, String>,
    metadata: BTreeMap<String, String>,
    request: BTreeMap<String, String>,
}

fn joined(fields: &BTreeMap<String, String>) -> String {
    fields
        .iter()
        .map(|(key, value)| [",", key, ":", value].concat())
        .collect()
}

impl Part {
    fn any(rng: &mut Rng) -> Self {
        let kind = if rng.u8(..3) == 0 {
            Kind::Shape(rng.usize(..SHAPES.len()))
        } else {
            Kind::Variable(rng.usize(..VARIABLES.len()), rng.usize(..VALUES.len()))
        };
        Self {
            kind,
            share: rng.usize(1..=20),
        }
    }

    fn name(self) -> String {
        match self.kind {
            Kind::Shape(i) => SHAPES[i].name.to_owned(),
            Kind::Variable(name, value) => format!("{} of {:?}", VARIABLES[name], VALUES[value].0),
        }
    }

    /// How often it is in a review.
    fn times(self, containers: usize) -> usize {
        match self.kind {
            Kind::Shape(i) if !matches!(SHAPES[i].around, Around::Agent(_) | Around::Variable(_)) => 1,
            Kind::Shape(_) | Kind::Variable(..) => containers,
        }
    }

    fn add(self, fields: &mut Fields, bytes: usize) {
        let made: Shape;
        let shape = match self.kind {
            Kind::Shape(i) => &SHAPES[i],
            Kind::Variable(name, value) => {
                made = shape("", VALUES[value].0, VALUES[value].1, Around::Variable(VARIABLES[name]));
                &made
            }
        };
        let parts = shape.parts(bytes + 1500);
        if parts.is_empty() {
            return;
        }
        let (into, template) = match shape.around {
            Around::Variable(name) => {
                // OpenShell's and Ambient's are objects.
                let object = parts.starts_with(r#"\"k"#);
                let parts = if object { format!("{{{parts}}}") } else { parts };
                return fields.env.push(format!(r#"{{"name":"{name}","value":"{parts}"}}"#));
            }
            Around::Annotation(name) => {
                fields
                    .annotations
                    .entry(json!(name).to_string())
                    .or_insert(format!("\"{parts}\""));
                return;
            }
            Around::Spec(template) => (&mut fields.spec, template),
            Around::Agent(template) => (&mut fields.agent, template),
            Around::Metadata(template) => (&mut fields.metadata, template),
            Around::Request(template) => (&mut fields.request, template),
        };
        let (key, value) = template.split_once(':').expect("a field");
        let value = value.replacen('@', &parts, 1);
        if key == r#""env""# {
            fields
                .env
                .push(value.trim_start_matches('[').trim_end_matches(']').to_owned());
        } else {
            into.entry(key.to_owned()).or_insert(value);
        }
    }
}
