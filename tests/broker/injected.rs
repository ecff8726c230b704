//! The container that the injector writes is one that the program understands.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use support::golden::{BROKERED, Case};

const BROKER: &str = "vertex-injector-broker";

#[test]
fn the_program_starts_with_exactly_this_environment_and_says_what_it_was_told() {
    for case in BROKERED {
        let admission = Case::named(case).admit();
        let environment = admission.injected().container(BROKER).literals();
        let mut broker = Command::new(env!("CARGO_BIN_EXE_vertex-injector-sidecar"));
        broker.arg("broker").env_clear().envs(environment.iter().copied());
        // What only the pod has: its ports, which other tests use, its certificates, and the key in its volume.
        for (name, value) in [
            ("VERTEX_INJECTOR_METADATA_PORT", "0"),
            ("VERTEX_INJECTOR_PROXY_PORT", "0"),
            ("VERTEX_INJECTOR_METRICS_LISTEN", "127.0.0.1:0"),
        ] {
            if environment.iter().any(|(set, _)| *set == name) {
                broker.env(name, value);
            }
        }
        broker.env_remove("SSL_CERT_FILE");
        let key = environment
            .iter()
            .any(|(name, _)| *name == "VERTEX_INJECTOR_CREDENTIALS");
        let mut broker = broker.stderr(Stdio::piped()).spawn().expect("start the broker");
        let mut first = String::new();
        let mut log = BufReader::new(broker.stderr.take().expect("a pipe"));
        log.read_line(&mut first).expect("a line");
        // The operator's certificates are in no file here.
        if first.contains("no more certificates are trusted") {
            first.clear();
            log.read_line(&mut first).expect("a line");
        }
        broker.kill().expect("end it");
        broker.wait().expect("its end");
        if key {
            // Everything else is understood before the key is looked for.
            assert!(
                first.contains("cannot read --credentials /var/run/secrets/vertex-injector/"),
                "{case}: {first}"
            );
            continue;
        }
        let line: Value = serde_json::from_str(&first).unwrap_or_else(|_| panic!("{case}: {first}"));
        assert_eq!(line["message"], "serving", "{case}: {line}");
        let mode = if environment.contains(&("VERTEX_INJECTOR_MODE", "proxy")) {
            "proxy"
        } else {
            "metadata"
        };
        assert_eq!(line["mode"], mode);
        assert_eq!(line["proxy"].is_string(), mode == "proxy", "{line}");
    }
}
