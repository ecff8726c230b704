//! A pod that the product gives a broker: the agent's container and the broker's, as a kubelet would start them.

use super::*;
use crate::injected::{KEY_SECRET, Secrets, injected, started};
use harness::google::broker::BrokerContainer;
use std::path::PathBuf;
use vertex_injector_core::names;

/// What a broker in mode proxy hands out instead of tokens.
pub(crate) const PLACEHOLDER: &str = "vertex-injector-placeholder";

/// The two containers.
pub(crate) struct Brokered {
    pub agent: InjectedPod,
    pub broker: BrokerContainer,
}

impl Brokered {
    /// The pod under a policy with these settings.
    #[track_caller]
    pub(crate) fn of(settings: &Value, secrets: &Secrets<'_>) -> Self {
        let pod = injected(settings);
        let broker = &pod["spec"]["initContainers"][0];
        assert_eq!(broker["name"], "vertex-injector-broker", "{pod:#}");
        assert_eq!(words(&broker["command"]), [names::PROGRAM_IN_IMAGE], "{broker:#}");
        Self {
            agent: started(&pod, &pod["spec"]["containers"][0], secrets),
            broker: BrokerContainer {
                program: PathBuf::from(env!("CARGO_BIN_EXE_vertex-injector")),
                container: started(&pod, broker, secrets),
                arguments: words(&broker["args"]),
                probe: words(&broker["startupProbe"]["exec"]["command"]),
            },
        }
    }
}

/// In `access: Metadata`, with `token` as the broker's projected ServiceAccount token.
#[track_caller]
pub(crate) fn metadata(token: &str) -> Brokered {
    without_files(&json!({"access": "Metadata"}), &secrets(token))
}

/// The same with a metadata server on this port, so that several brokers have room in one network.
#[track_caller]
pub(crate) fn metadata_on(port: u16, token: &str) -> Brokered {
    let settings = json!({"access": "Metadata", "broker": {"metadataPort": port}});
    without_files(&settings, &secrets(token))
}

/// In `access: Proxy`: models `claude-of-*` and `gemini-of-*` only.
#[track_caller]
pub(crate) fn proxy(token: &str) -> Brokered {
    let settings = json!({"access": "Proxy", "proxy": {"models": ["claude-of-*", "gemini-of-*"]}});
    without_files(&settings, &secrets(token))
}

/// In `access: Metadata` with a key Secret of this content; ID tokens for `https://allowed.example`.
#[track_caller]
pub(crate) fn with_key(key: &Value) -> Brokered {
    let key = key.to_string();
    let settings = json!({
        "access": "Metadata",
        "identity": {
            "serviceAccountKey": {"secretName": KEY_SECRET, "key": "key.json"},
            "idTokenAudiences": ["https://allowed.example"],
        },
    });
    without_files(&settings, &Secrets { token: "", key: &key })
}

/// For clients that demand a credential file: theirs holds no secret, and leads to the broker.
#[track_caller]
pub(crate) fn for_ambient(access: &str, token: &str) -> Brokered {
    let vertex = json!({"project": "my-project", "region": "us-east5", "clients": ["Ambient"]});
    Brokered::of(&json!({"access": access, "vertex": vertex}), &secrets(token))
}

/// A pod whose agent has no file of ours at all.
#[track_caller]
fn without_files(settings: &Value, secrets: &Secrets<'_>) -> Brokered {
    let pod = Brokered::of(settings, secrets);
    assert!(pod.agent.files.is_empty(), "{:?}", pod.agent.files.keys());
    pod
}

fn secrets(token: &str) -> Secrets<'_> {
    Secrets {
        token,
        ..Secrets::default()
    }
}

fn words(list: &Value) -> Vec<String> {
    serde_json::from_value(list.clone()).expect("a list of words")
}
