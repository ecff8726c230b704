//! Real, unmodified Google clients take exactly the files and the environment of an injected pod to
//! a strict fake of Google's Security Token Service, and come back with a token; and the fake
//! refuses whatever Google would refuse.
//!
//! Needs root (network and mount namespaces) and, for gcloud's part, gcloud.
#![cfg(test)]

mod accepted;
mod brokered;
mod clients;
mod cluster;
mod credentials;
mod gcloud;
mod injected;
mod models;
mod refused;
mod sandbox;
mod vertex;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use harness::google::issuer::{Issuer, claims, now};
use harness::google::{FakeConfig, GoogleSandbox, InjectedPod, Ran};
use injected::{Identity, injected_pod};
use serde_json::{Value, json};

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
const PROVIDER: &str = "projects/123456789/locations/global/workloadIdentityPools/agents/providers/cluster";
const TOKEN_AUDIENCE: &str =
    "https://iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/agents/providers/cluster";
const SERVICE_ACCOUNT: &str = "agent@my-project.iam.gserviceaccount.com";
const PRINCIPAL: &str = "principal://iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/agents/subject/system:serviceaccount:team-a:agent";
/// Fracta's auth helper, word for word.
const HELPER: &str = "gcloud auth print-access-token --impersonate-service-account=$VERTEX_SA";

/// A cluster's issuer and a Google that trusts it.
struct Setting {
    issuer: Issuer,
    google: GoogleSandbox,
}

/// `None` where the machine cannot run it, which is said; see [`GoogleSandbox::start`].
fn setting() -> Option<Setting> {
    let issuer = Issuer::new("cluster-key-1");
    let google = GoogleSandbox::start(&FakeConfig {
        issuer: ISSUER.to_owned(),
        provider: PROVIDER.to_owned(),
        jwks: issuer.jwks(),
        service_accounts: vec![SERVICE_ACCOUNT.to_owned()],
        projects: vec!["my-project".to_owned()],
        ..FakeConfig::default()
    })?;
    Some(Setting { issuer, google })
}

fn good_claims() -> Value {
    claims(ISSUER, TOKEN_AUDIENCE, "team-a", "agent")
}

impl Setting {
    fn good_token(&self) -> String {
        self.issuer.sign(&good_claims())
    }

    /// The entries of one operation, which must be as many as said.
    #[track_caller]
    fn entries<const COUNT: usize>(&self, operation: &str) -> [Value; COUNT] {
        let journal = self.google.journal();
        let entries: Vec<Value> = journal
            .iter()
            .filter(|entry| entry["operation"] == operation)
            .cloned()
            .collect();
        entries
            .try_into()
            .unwrap_or_else(|_| panic!("not {COUNT} × {operation} in {journal:#?}"))
    }

    /// google-auth's error with this subject token; nothing may have been issued.
    #[track_caller]
    fn refusal(&self, token: &str) -> String {
        self.refusal_of(&injected_pod(Identity::Direct, token))
    }

    #[track_caller]
    fn refusal_of(&self, pod: &InjectedPod) -> String {
        let ran = self.google.run_google_auth(pod);
        let error = ran.error().to_owned();
        let [entry] = self.entries("token");
        assert_eq!(entry["status"], 400, "{entry:#}");
        assert_eq!(entry.get("token_sha256"), None, "{entry:#}");
        error
    }

    /// Posts to the token endpoint what no client would, from within the sandbox.
    #[track_caller]
    fn post(&self, content_type: &str, change: &str, token: &str) -> Value {
        const SCRIPT: &str = r#"
import json, sys, requests, urllib.parse
content_type, change, token, audience = sys.argv[1:]
form = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    "scope": "https://www.googleapis.com/auth/cloud-platform",
    "audience": audience,
    "subject_token": token,
}
for name, value in urllib.parse.parse_qsl(change, keep_blank_values=True):
    form[name] = value
response = requests.post(
    "https://sts.googleapis.com/v1/token",
    data=json.dumps(form) if content_type == "application/json" else urllib.parse.urlencode(form),
    headers={"content-type": content_type},
    timeout=20,
)
body = response.json()
body.pop("access_token", None)
print(json.dumps([response.status_code, body]))
"#;
        let audience = format!("//iam.googleapis.com/{PROVIDER}");
        let ran = self.google.run_python(
            &InjectedPod::default(),
            &["-c", SCRIPT, content_type, change, token, &audience],
        );
        serde_json::from_str(ran.output()).expect("the script's JSON")
    }
}

/// What google-auth came back with.
#[track_caller]
fn came_back(ran: &Ran) -> Value {
    serde_json::from_str(ran.output()).expect("google-auth's line of JSON")
}

fn sha256(text: &str) -> String {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start sha256sum");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("write the text");
    drop(stdin);
    let output = child.wait_with_output().expect("sha256sum");
    let line = String::from_utf8(output.stdout).expect("text");
    line.split(' ').next().expect("a digest").to_owned()
}

const FORM: &str = "application/x-www-form-urlencoded";
