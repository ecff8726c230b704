//! Clients beside Google's and Anthropic's SDKs: a file for each, with a test for each mode that `docs/clients.md` claims for it.

/// A test for each of these modes, of the name that `docs/clients.md` has for it.
macro_rules! answers_in {
    ($($test:ident: $mode:ident),+) => {
        $(#[test]
        fn $test() {
            answers(Mode::$mode);
        })+
    };
}

mod ai_sdk;
mod claude_code;
mod curl;
mod gemini_cli;
mod go;
mod java;
mod langchain;
mod langchain_vertex;
mod litellm;
mod litellm_2025;
mod opencode;

use crate::brokered::{Brokered, PLACEHOLDER};
use crate::injected::{Secrets, injected, started};
use crate::*;
use harness::google::broker::Broker;
use std::collections::BTreeSet;

/// How the pod's policy lets its agent at Google.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    File,
    Metadata,
    Proxy,
}

/// A pod of the product under a policy in this mode, beside Google.
pub(crate) struct Ready {
    setting: Setting,
    pub agent: InjectedPod,
    mode: Mode,
    /// Ends with Google's sandbox.
    _broker: Option<Broker>,
}

/// The models that the policy allows in mode proxy.
const MODELS: [&str; 2] = ["claude-of-*", "gemini-of-*"];

/// The calls of a client that asks for a message, whole and streamed.
pub(crate) const CLAUDE: [&str; 2] = ["rawPredict", "streamRawPredict"];
pub(crate) const GEMINI: [&str; 2] = ["generateContent", "streamGenerateContent"];

/// What the model says.
pub(crate) const ANSWER: &str = "Hello from Vertex AI.";

/// A pod for these clients, with these models of theirs in the policy; `None` where the machine cannot run it, which is said.
#[track_caller]
pub(crate) fn ready(mode: Mode, clients: &[&str], models: &Value) -> Option<Ready> {
    let setting = setting()?;
    let token = setting.good_token();
    let secrets = Secrets {
        token: &token,
        ..Secrets::default()
    };
    let vertex = json!({"project": "my-project", "region": "us-east5", "clients": clients, "models": models});
    let (agent, broker) = match mode {
        Mode::File => {
            let pod = injected(&json!({"vertex": vertex}));
            (started(&pod, &pod["spec"]["containers"][0], &secrets), None)
        }
        Mode::Metadata => with_broker(&setting, &json!({"vertex": vertex, "access": "Metadata"}), &secrets),
        Mode::Proxy => with_broker(
            &setting,
            &json!({"vertex": vertex, "access": "Proxy", "proxy": {"models": MODELS}}),
            &secrets,
        ),
    };
    Some(Ready {
        setting,
        agent,
        mode,
        _broker: broker,
    })
}

#[track_caller]
fn with_broker(setting: &Setting, settings: &Value, secrets: &Secrets<'_>) -> (InjectedPod, Option<Broker>) {
    let Brokered { agent, broker } = Brokered::of(settings, secrets);
    assert!(agent.files.is_empty(), "{:?}", agent.files.keys());
    (agent, Some(setting.google.start_broker(&broker)))
}

impl Ready {
    /// Runs a program in the agent's container, which sees these directories of the machine.
    #[track_caller]
    pub(crate) fn run(&self, see: &[&Path], program: &[&str]) -> Ran {
        self.setting.google.run_program(&self.agent, see, program)
    }

    /// Runs a program of `hack/clients` by Node.
    #[track_caller]
    pub(crate) fn node(&self, program: &str, arguments: &[&str]) -> Ran {
        let arguments = [&[program][..], arguments].concat();
        self.setting.google.run_node(&self.agent, &arguments)
    }

    /// Runs a program of `hack/clients` by the Python of one of its folders.
    #[track_caller]
    pub(crate) fn python(&self, folder: &str, arguments: &[&str]) -> Ran {
        let python = installed(&format!("{folder}/.venv/bin/python"));
        self.setting
            .google
            .run_other_python(&self.agent, Path::new(&python), arguments)
    }

    /// This is the token that the pod has been given: one of Google's, or a placeholder in mode proxy.
    #[track_caller]
    pub(crate) fn hands_out(&self, token: &Value) {
        let token = token.as_str().expect("a token");
        if self.mode == Mode::Proxy {
            assert_eq!(token, PLACEHOLDER);
        } else {
            let [exchange] = self.setting.entries("token");
            assert_eq!(exchange["token_sha256"], sha256(token));
        }
    }

    /// Vertex AI has answered calls of these kinds for the model, in the policy's project and region, with tokens of this pod's
    /// identity: in mode proxy the broker's, where nobody else has one. Google was asked for nothing beside models and tokens.
    #[track_caller]
    pub(crate) fn answered(&self, model: &str, operations: &[&str]) {
        let journal = self.setting.google.journal();
        let (calls, others): (Vec<&Value>, Vec<&Value>) =
            journal.iter().partition(|entry| entry["service"] == "aiplatform");
        let issued: BTreeSet<&str> = others
            .iter()
            .filter_map(|entry| entry["token_sha256"].as_str())
            .collect();
        for other in &others {
            assert_eq!(
                (&other["operation"], &other["status"]),
                (&json!("token"), &json!(200)),
                "{other:#}"
            );
        }
        if self.mode != Mode::File {
            assert_eq!(
                others.len(),
                1,
                "the broker exchanges the pod's token once: {others:#?}"
            );
        }
        for call in &calls {
            assert_eq!(call["parameters"]["project"], "my-project", "{call:#}");
            assert_eq!(call["parameters"]["location"], "us-east5", "{call:#}");
            assert_eq!(call["parameters"]["model"], model, "{call:#}");
            assert_eq!(call["principal"], PRINCIPAL, "{call:#}");
            assert!(
                call["bearer_sha256"]
                    .as_str()
                    .is_some_and(|token| issued.contains(token)),
                "{call:#}"
            );
            // What the broker speaks to Google, whatever the client speaks to the broker.
            assert!(self.mode != Mode::Proxy || call["protocol"] == "HTTP/2.0", "{call:#}");
        }
        let answered: BTreeSet<&str> = { calls.iter() }
            .filter(|call| call["status"] == 200)
            .filter_map(|call| call["operation"].as_str())
            .collect();
        assert_eq!(answered, operations.iter().copied().collect(), "{calls:#?}");
    }

    /// The client, told to use a model that the policy does not allow, has shown our own words, and nothing has reached Google.
    #[track_caller]
    pub(crate) fn refused(&self, ran: &Ran, model: &str) {
        let shown = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!ran.success, "the client succeeded:\n{shown}");
        let words = format!(
            "vertex-injector: model {model} is not allowed: the policy's proxy.models allows {}",
            MODELS.join(", ")
        );
        assert!(shown.contains(&words), "{words:?} is not in:\n{shown}");
        let journal = self.setting.google.journal();
        assert!(
            journal.iter().all(|entry| entry["service"] != "aiplatform"),
            "{journal:#?}"
        );
    }
}

/// As [`Ready::refused`], where the machine could run it.
#[track_caller]
pub(crate) fn refused(ran: Option<(Ready, Ran)>, model: &str) {
    if let Some((ready, ran)) = ran {
        ready.refused(&ran, model);
    }
}

/// A file of `hack/clients`, where `hack/clients/install` puts programs.
pub(crate) fn installed(path: &str) -> String {
    let path = harness::process::repository().join("hack/clients").join(path);
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// A program has written the JSON of the model's own answer.
#[track_caller]
pub(crate) fn said_once(ran: &Ran) {
    let said = came_back(ran);
    let claude = said.pointer("/content/0/text");
    let gemini = said.pointer("/candidates/0/content/parts/0/text");
    assert_eq!(claude.or(gemini), Some(&json!(ANSWER)), "{said}");
}

/// A program of `hack/clients` has printed the model's answer, which came whole and in pieces.
#[track_caller]
pub(crate) fn said_twice(ran: &Ran) {
    let said = came_back(ran);
    let pieces: Vec<&str> = said["stream"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(
        (said["message"].as_str(), pieces.concat().as_str()),
        (Some(ANSWER), ANSWER)
    );
    assert!(pieces.len() > 1, "{said}");
}
