//! The types that Anthropic and Google publish for requests, as the pinned clients have them: every member of them has been judged.

use super::inspection::rules;
use harness::google::processes::{cannot_run, python};
use serde_json::{Value, json};
use std::process::{Command, Output, Stdio};
use vertex_injector_core::contract::proxy::{Feature, Publisher, Rules};
use vertex_injector_sidecar::broker::proxy::inspect::{Purpose, inspect};
use vertex_injector_sidecar::broker::proxy::json::Json;
use vertex_injector_sidecar::broker::proxy::refusal::{Reason, Refusal};
use vertex_injector_sidecar::broker::proxy::target::Api;

/// Tools of the provider's that have been judged to be none that a policy can allow by a name of their own.
const NAMELESS: [&str; 3] = ["advisor_20260301", "exaAiSearch", "parallelAiSearch"];

#[test]
fn every_member_of_the_published_types_has_been_judged() {
    let python = match python() {
        Ok((python, _)) => python,
        Err(reason) => return cannot_run(&reason),
    };
    let Output { status, stdout, stderr } = Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../hack/clients/request_types.py"
        ))
        .stdin(Stdio::null())
        .output()
        .expect("start Python");
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let samples: Vec<Value> = String::from_utf8(stdout)
        .expect("text")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    // All four are read, each to its end.
    for (publisher, language, deep) in [
        ("anthropic", "python", "BetaMCPToolset"),
        ("anthropic", "node", "BetaMCPToolset"),
        ("google", "python", "TextResponseFormat"),
        ("google", "node", "TextResponseFormat"),
    ] {
        let of = samples.iter().filter(|sample| {
            let member = sample["member"].as_str().expect("a name");
            sample["publisher"] == publisher && member.starts_with(language)
        });
        let members: Vec<&Value> = of.map(|sample| &sample["member"]).collect();
        assert!(members.len() > 300, "{publisher} {language}: {}", members.len());
        assert!(
            members.iter().any(|member| member.as_str().unwrap().contains(deep)),
            "{publisher} {language}"
        );
    }
    let unjudged = unjudged(&samples);
    assert!(
        unjudged.is_empty(),
        "judge these in src/sidecar/broker/proxy/tables (what may such a member make the provider do?):\n{}",
        unjudged.join("\n")
    );
}

#[test]
fn a_member_that_nobody_has_judged_is_named() {
    let sample =
        |member: &str, publisher: &str, body: Value| json!({"member": member, "publisher": publisher, "body": body});
    let samples = [
        sample(
            "A.system",
            "anthropic",
            json!({"system": {"type": "text", "text": "x"}}),
        ),
        sample(
            "A.tools: B.type",
            "anthropic",
            json!({"tools": {"type": "time_travel_20300101"}}),
        ),
        sample(
            "B.made_up",
            "anthropic",
            json!({"messages": {"content": {"type": "text", "made_up": "x"}}}),
        ),
        sample("C.fileId", "google", json!({"generationConfig": {"fileId": "x"}})),
        sample(
            "D.content",
            "anthropic",
            json!({"messages": {"content": {"type": "hologram"}}}),
        ),
    ];
    let found = unjudged(&samples);
    let names: Vec<&str> = found.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["A.tools:", "B.made_up", "C.fileId", "D.content"]);
}

/// The members that are in no table, and what is said of them.
fn unjudged(samples: &[Value]) -> Vec<String> {
    let allowed: Vec<Feature> = Feature::ALL.to_vec();
    let all = Rules {
        models: vec!["*".parse().unwrap()],
        ..rules(&allowed)
    };
    let named: Vec<Feature> = allowed
        .into_iter()
        .filter(|feature| *feature != Feature::UnknownTools)
        .collect();
    let tools_by_name = Rules {
        allow: named,
        ..all.clone()
    };
    let mut unjudged = Vec::new();
    for sample in samples {
        let (member, body) = (sample["member"].as_str().unwrap(), sample["body"].to_string());
        let publisher = match sample["publisher"].as_str() {
            Some("anthropic") => Publisher::Anthropic,
            _ => Publisher::Google,
        };
        let judge = |rules: &Rules| -> Option<Refusal> {
            let purpose = Purpose {
                api: Api::of(publisher),
                names_model: false,
            };
            inspect(&Json::parse(body.as_bytes()).unwrap(), purpose, rules).err()
        };
        // That a resource of no project is refused is a judgement as well.
        let unknown = judge(&all).filter(|refusal| refusal.reason != Reason::Project);
        let tool = judge(&tools_by_name).filter(|refusal| {
            refusal.feature == Some(Feature::UnknownTools) && !NAMELESS.iter().any(|known| body.contains(known))
        });
        if let Some(refusal) = unknown.or(tool) {
            unjudged.push(format!("{member} in {body}: {}", refusal.message));
        }
    }
    unjudged
}
