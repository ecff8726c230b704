//! What is in a running agent, and what Google's real clients make of it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::installed::Agents;
use harness::google::{FakeConfig, GoogleSandbox, InjectedPod};
use harness::node::Node;

/// What an agent was given, taken out of its running container.
#[derive(Debug)]
pub(crate) struct Taken {
    /// For Google's clients.
    pub pod: InjectedPod,
    /// The credential configuration.
    pub configuration: Value,
    /// The claims of the token.
    pub claims: Value,
}

impl Agents<'_> {
    /// Takes the variables that the pod's specification names, with the values that they have in there, the credential
    /// configuration that they name, and the token that this names.
    #[track_caller]
    pub(crate) fn take(&self, pod: &str) -> Taken {
        let spec = self.get(&[pod])["spec"].clone();
        let named = spec["containers"][0]["env"].as_array().expect("variables");
        let named: Vec<&str> = named.iter().filter_map(|env| env["name"].as_str()).collect();
        let seen = self.exec(pod, &["env"]);
        let env: BTreeMap<String, String> = seen
            .lines()
            .filter_map(|line| line.split_once('='))
            .filter(|(name, _)| named.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let path = env["GOOGLE_APPLICATION_CREDENTIALS"].clone();
        let text = self.exec(pod, &["cat", &path]);
        let configuration: Value = serde_json::from_str(&text).expect("JSON");
        let token_path = configuration["credential_source"]["file"]
            .as_str()
            .expect("a path")
            .to_owned();
        let token = self.exec(pod, &["cat", &token_path]);
        let user = self.exec(pod, &["id", "-u"]).trim().parse().expect("a number");
        Taken {
            claims: claims(&token),
            configuration,
            pod: InjectedPod {
                env,
                files: BTreeMap::from([(path, text), (token_path, token)]),
                user: Some(user),
            },
        }
    }
}

/// A Google that trusts this cluster: its issuer and the keys that it publishes.
#[track_caller]
pub(crate) fn google(node: &Node, provider: &str, service_account: &str) -> Option<GoogleSandbox> {
    let published = |path: &str| -> Value {
        let text = node.kubectl(&["get", "--raw", path]);
        serde_json::from_str(&text).expect("JSON")
    };
    let discovery = published("/.well-known/openid-configuration");
    GoogleSandbox::start(&FakeConfig {
        issuer: discovery["issuer"].as_str().expect("an issuer").to_owned(),
        provider: provider.to_owned(),
        jwks: published("/openid/v1/jwks"),
        service_accounts: vec![service_account.to_owned()],
        ..FakeConfig::default()
    })
}

/// The claims of a token. The fake Google verifies the signature.
#[track_caller]
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a JSON Web Token");
    let bytes = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}
