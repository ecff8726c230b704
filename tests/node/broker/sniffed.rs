//! A root agent that reads every packet of its pod and owns its hosts file, beside all that may say `isolation: Required`.

use std::time::{Duration, Instant};

use regex::bytes::Regex;
use serde_json::{Value, json};

use super::world::{Access, BROKER, PATIENCE, Told, google, namespace, pod, told, until_told};
use crate::agent::IMAGE;
use crate::container::Container;
use crate::fake_google::HOSTS;
use crate::installed::{Agents, WELL, node};
use crate::token::claims;

/// What the fake's endpoint for credentials hands out, and who holds it in the pod.
const CREDENTIAL: &str = "fake-credential-of-a-tool";
const SIDECAR: &str = "vertex-injector-tool";

/// Shaped like a token of the cluster, and sent in plain text by the agent itself.
const CANARY: &str = "eyJhbGciOiJjYW5hcnkifQ.eyJzdWIiOiJjYW5hcnkifQ.canarycanarycanary";

/// A client that trusts the impostor brings it a token.
const BELIEVE: &str = r#"
echo canary >/tmp/token
echo '{"type": "external_account", "audience": "a", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
  "token_url": "https://sts.googleapis.com/v1/token", "credential_source": {"file": "/tmp/token"}}' >/tmp/configuration
unset GCE_METADATA_HOST
export SSL_CERT_FILE=/tmp/seen/ca.crt GOOGLE_APPLICATION_CREDENTIALS=/tmp/configuration
export ANTHROPIC_VERTEX_PROJECT_ID=p CLOUD_ML_REGION=us-east5
vertex-injector-fakes agent >/dev/null 2>&1
true
"#;

/// A pod under attack: its name, who holds what the agent wants, and what comes to the impostor when its holder is anew.
struct Pod {
    name: &'static str,
    holder: &'static str,
    host: &'static str,
    /// What the agent asks for every second.
    ask: &'static str,
    /// Whether the answer has come.
    answered: fn(&Told) -> bool,
}

const ASK_A_MODEL: &str = "vertex-injector-fakes agent 2>&1";

const PODS: [Pod; 3] = [
    Pod {
        name: "metadata",
        holder: BROKER,
        host: "sts.googleapis.com",
        ask: ASK_A_MODEL,
        answered: Told::has_answer,
    },
    Pod {
        name: "proxy",
        holder: BROKER,
        host: "sts.googleapis.com",
        ask: ASK_A_MODEL,
        answered: Told::has_answer,
    },
    Pod {
        name: "tool",
        holder: SIDECAR,
        host: "credentials.example.com",
        ask: "wget -q -O - http://127.0.0.1:9100/sum",
        answered: |told| told.0.iter().any(|line| line.ends_with("  -")),
    },
];

/// The server tells a checksum of the credential, which it has in a variable.
fn policy() -> Value {
    json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy", "metadata": {"name": "tool"},
        "spec": {
            "isolation": "Required",
            "sidecars": [{
                "name": "tool", "image": IMAGE, "port": 9100,
                "command": [
                    "sh", "-c",
                    "mkdir -p /tmp/www && printf %s \"$TOOL_TOKEN\" | sha256sum >/tmp/www/sum && exec httpd -f -p 127.0.0.1:9100 -h /tmp/www",
                ],
                "credential": {"http": {"url": "https://credentials.example.com/v1/tool", "audience": "credentials.example.com"}},
                "credentialEnv": [{"name": "TOOL_TOKEN", "field": "token"}],
            }],
        },
    })
}

/// Root with what the standard `baseline` leaves it, which raw sockets are part of.
fn hostile(of: &Pod) -> Value {
    let hosts: Vec<String> = HOSTS.iter().map(|host| format!("--host {host}")).collect();
    let script = format!(
        "mkdir /tmp/seen; (tail -f /dev/null | vertex-injector-fakes attacker --directory /tmp/seen {hosts}) >/tmp/log 2>&1 &
         until grep -q LISTENING /tmp/log; do sleep 0.1; done
         until [ -e /tmp/stop ]; do {ask} || echo failed; sleep 1; done",
        hosts = hosts.join(" "),
        ask = of.ask,
    );
    let mut pod = pod(of.name, Access::Metadata, &script);
    pod["metadata"]["annotations"]["vertex-injector.dev/policy"] = of.name.into();
    pod["spec"]["securityContext"] = json!({"runAsUser": 0});
    pod["spec"]["containers"][0]["securityContext"] = json!({});
    pod
}

/// A pod that is attacked, and the eyes of its agent.
struct Attacked<'a> {
    agents: &'a Agents<'a>,
    pod: &'a Pod,
    agent: Container,
}

impl Attacked<'_> {
    fn path(&self) -> String {
        format!("pod/{}", self.pod.name)
    }

    /// Every packet of the pod that the agent has read.
    fn packets(&self) -> Vec<u8> {
        self.agent.read("/tmp/seen/packets").expect("the packets")
    }

    fn has_seen(&self, pattern: &str) -> bool {
        let pattern = Regex::new(&format!("(?s-u){pattern}")).expect("a pattern");
        pattern.is_match(&self.packets())
    }

    /// Ends the process that holds the credential, as a crash does; the kubelet starts another, which knows nothing.
    fn anew(&self) {
        Container::of(self.agents, &self.path(), self.pod.holder).kill();
    }

    /// What nobody but the holder may have.
    #[track_caller]
    fn has_seen_no_secret(&self, identities: &[String]) {
        let packets = self.packets();
        let has = |text: &str| packets.windows(text.len()).any(|window| window == text.as_bytes());
        let name = self.pod.name;
        assert!(
            !identities.is_empty() && !identities.iter().any(|token| has(token)),
            "{name}"
        );
        assert!(!self.has_seen(r"eyJ[\w-]{10,}\.eyJ"), "{name}: a token of the cluster");
        assert!(!has(CREDENTIAL), "{name}: the credential");
        // Handing out access tokens on loopback is what mode Metadata is for; it shows that the agent reads along.
        assert_eq!(has("ya29."), name == "metadata", "{name}: an access token");
        assert!(
            self.agent.read("/tmp/seen/heard").is_none(),
            "{name}: the impostor was believed"
        );
    }
}

#[track_caller]
fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        harness::process::pause(Duration::from_millis(200));
    }
}

#[test]
fn a_root_agent_that_reads_all_packets_and_owns_its_hosts_file_has_no_identity_no_credential_and_nobodys_name() {
    let (Some(node), Some(_)) = (node(), google()) else {
        return;
    };
    let _well = WELL.read();
    let agents = namespace(node, "sniffed");
    agents.policy(&policy());
    let pods: Vec<Value> = PODS.iter().map(hostile).collect();
    agents.create(&json!({"apiVersion": "v1", "kind": "List", "items": pods}));
    let attacked = PODS.each_ref().map(|pod| {
        let path = format!("pod/{}", pod.name);
        agents.until_ready(&path);
        until_told(&agents, &path, &Told::nothing(), PATIENCE, pod.answered);
        let agent = Container::of(&agents, &path, "agent");
        Attacked {
            agents: &agents,
            pod,
            agent,
        }
    });

    // The first token of a process, with the agent reading from before it was started.
    for pod in &attacked {
        pod.anew();
    }
    let identities = attacked.each_ref().map(|pod| {
        until_told(
            &agents,
            &pod.path(),
            &told(&agents, &pod.path()),
            PATIENCE,
            pod.pod.answered,
        );
        let of_holder = Container::of(&agents, &pod.path(), pod.pod.holder).tokens_on_disk();
        of_holder.into_iter().map(|held| held.token).collect::<Vec<_>>()
    });
    for (pod, identities) in attacked.iter().zip(&identities) {
        until("the agent read its exchange", || pod.has_seen(pod.pod.host));
        pod.has_seen_no_secret(identities);
    }
    let [.., tool] = &identities;
    assert_eq!(claims(&tool[0])["aud"], json!(["credentials.example.com"]));

    // Google's hosts and the platform's lead to the agent itself.
    for pod in &attacked {
        agents.exec(&pod.path(), &["touch", "/tmp/seen/poison"]);
        until("the hosts file was written", || {
            agents.exec(&pod.path(), &["cat", "/etc/hosts"]).contains(pod.pod.host)
        });
        pod.anew();
    }
    for (pod, identities) in attacked.iter().zip(&identities) {
        let path = pod.path();
        let to_the_agent = format!(
            r"\x7f\x00\x00\x01\x7f\x00\x00\x01..\x01\xbb.{{0,4000}}{}",
            pod.pod.host.replace('.', r"\.")
        );
        until("the holder came to the impostor", || pod.has_seen(&to_the_agent));
        // With the next call there is nothing but a failure.
        let fails = until_told(&agents, &path, &told(&agents, &path), PATIENCE, |told| {
            told.failures() > 1
        });
        assert!(!(pod.pod.answered)(&fails), "{path}: {:?}", fails.0);
        pod.has_seen_no_secret(identities);
    }

    // An agent that could see nothing would have passed all of this.
    for pod in &attacked {
        let google = google().expect("it runs").address();
        for address in ["127.0.0.1", &google] {
            let canary = format!("{CANARY}-to-{address}");
            let send = format!("echo {canary} | nc -w 2 {address} 443 >/dev/null 2>&1; true");
            agents.exec(&pod.path(), &["sh", "-c", &send]);
            until("the agent read a canary", || pod.has_seen(&canary));
        }
        assert!(pod.has_seen(r"eyJ[\w-]{10,}\.eyJ"));
        agents.exec(&pod.path(), &["sh", "-c", BELIEVE]);
        until("the impostor was believed", || {
            pod.agent.read("/tmp/seen/heard").is_some()
        });
        agents.kubectl(&["delete", &pod.path(), "--now", "--wait=false"]);
    }
}
