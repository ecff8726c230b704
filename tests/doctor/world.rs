//! A pod beside a Google, both as they should be, for tests to break.

use crate::CANARY;
use crate::fake::Google;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use harness::process::{Ran, run};
use harness::program::tied;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const LIMIT: Duration = Duration::from_mins(1);
pub(crate) const PROVIDER: &str =
    "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/agents/providers/cluster";
pub(crate) const EMAIL: &str = "agent@my-project.iam.gserviceaccount.com";

pub(crate) struct World {
    pub directory: TempDir,
    pub google: Google,
    pub credential: Value,
    pub env: BTreeMap<&'static str, String>,
    pub arguments: Vec<String>,
}

/// What was reported, and how the program ended.
pub(crate) struct Told {
    pub code: Option<i32>,
    pub report: Value,
    pub text: String,
}

impl World {
    /// A broker's container, in which everything is fine.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let google = Google::start(&directory.path().join("ca.crt"));
        let at = google.address.port();
        let token = directory.path().join("token");
        let credential = json!({
            "type": "external_account",
            "audience": PROVIDER,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("https://localhost:{at}/v1/token"),
            "credential_source": {"file": token, "format": {"type": "text"}},
            "service_account_impersonation_url":
                format!("https://localhost:{at}/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken"),
        });
        let env = [
            ("VERTEX_INJECTOR_MODE", "proxy".to_owned()),
            ("VERTEX_INJECTOR_PROJECT", "my-project".to_owned()),
            ("VERTEX_INJECTOR_REGIONS", "us-east5,global".to_owned()),
            ("VERTEX_INJECTOR_MODELS", "claude-*,claude-haiku-4-5".to_owned()),
            ("VERTEX_INJECTOR_VERTEX_ENDPOINT", format!("https://localhost:{at}")),
        ];
        let world = Self {
            google,
            credential,
            env: env.into(),
            arguments: Vec::new(),
            directory,
        };
        world.write("token", &jwt(&json!({})));
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Without the service account.
    pub(crate) fn federated(&mut self) {
        self.credential
            .as_object_mut()
            .unwrap()
            .remove("service_account_impersonation_url");
    }

    /// Both formats, which say the same, and no secret.
    #[track_caller]
    pub(crate) fn told(&self) -> Told {
        let json = self.run(&["-o", "json"]);
        let text = self.run(&[]);
        for ran in [&json, &text] {
            let all = format!("{}{}", ran.stdout, ran.stderr);
            assert!(!all.contains(CANARY), "a secret is shown: {all}");
            assert!(!all.contains("eyJ"), "a token is shown: {all}");
        }
        assert_eq!(json.code, text.code, "{}{}", text.stdout, text.stderr);
        let report: Value =
            serde_json::from_str(&json.stdout).unwrap_or_else(|_| panic!("{}{}", json.stdout, json.stderr));
        Told {
            code: json.code,
            report,
            text: text.stdout,
        }
    }

    pub(crate) fn run(&self, more: &[&str]) -> Ran {
        let mut command = tied(env!("CARGO_BIN_EXE_vertex-injector"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("SSL_CERT_FILE", self.path("ca.crt"))
            .envs(self.env.iter().map(|(name, value)| (*name, value.as_str())));
        if self.env.contains_key("VERTEX_INJECTOR_MODE") {
            command.env("VERTEX_INJECTOR_CREDENTIALS_JSON", self.credential.to_string());
        }
        command.arg("doctor").args(&self.arguments).args(more);
        run(&mut command, "", LIMIT)
    }
}

impl Told {
    pub(crate) fn hops(&self) -> &[Value] {
        self.report["hops"].as_array().unwrap()
    }

    /// The hop that is broken.
    #[track_caller]
    pub(crate) fn broken(&self) -> &Value {
        let broken: Vec<_> = self.hops().iter().filter(|hop| hop["level"] == "broken").collect();
        assert_eq!(broken.len(), 1, "{}", self.text);
        broken[0]
    }
}

/// A token of the cluster's, with these claims in place of the usual.
pub(crate) fn jwt(other: &Value) -> String {
    let now = jiff::Timestamp::now().as_second();
    let mut claims = json!({
        "iss": "https://kubernetes.default.svc",
        "sub": "system:serviceaccount:agents:default",
        "aud": [format!("https:{PROVIDER}")],
        "iat": now,
        "exp": now + 3600,
    });
    for (name, value) in other.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let head = json!({"alg": "RS256", "kid": "one"});
    format!("{}.{}.{CANARY}-signature", part(&head), part(&claims))
}
