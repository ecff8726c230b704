//! Every command in a block of shell.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::text::{blocks, commands, commands_of, pages, prose, quoted};
use harness::kube::ControlPlane;
use harness::process::{Ran, or_explain, repository, run};

/// Who runs a command of a page.
#[derive(Debug, PartialEq, Eq)]
enum Runner {
    /// This program, as it stands.
    Shell,
    /// This program, against a control plane.
    Cluster,
    /// `make VERB`: what runs us, or what another test runs.
    Make(String),
}

/// A command that nobody would run is a mistake of this test.
fn runner(command: &str) -> Runner {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["cargo", "run", "--", ..] => Runner::Shell,
        ["cargo", "bench", "--bench", "admission"] => Runner::Make("bench".to_owned()),
        ["kubectl" | "helm", ..] => Runner::Cluster,
        ["make", verb] => Runner::Make((*verb).to_owned()),
        _ => panic!("a page has a command that no test runs: {command}"),
    }
}

fn commands_for(runners: impl Fn(&Runner) -> bool) -> Vec<String> {
    commands("sh")
        .into_iter()
        .filter(|command| runners(&runner(command)))
        .collect()
}

/// `bash` in the root of the repository, as a person types it.
fn shell(mut bash: Command, script: &str) -> Ran {
    bash.args(["-euo", "pipefail", "-c", script]).current_dir(repository());
    // The first may have to compile.
    run(&mut bash, "", Duration::from_mins(15))
}

#[test]
fn commands_that_need_no_cluster_succeed_and_print_something() {
    let all = commands_for(|runner| *runner == Runner::Shell);
    assert!(all.len() >= 4, "{all:?}");
    for command in all {
        let ran = shell(Command::new("bash"), &command);
        assert!(!ran.output().trim().is_empty(), "{command} prints nothing");
    }
}

#[test]
fn the_first_command_injects_the_demo() {
    let first = commands("sh").remove(0);
    let injected = shell(Command::new("bash"), &first).output();
    for expected in [
        "CLAUDE_CODE_USE_VERTEX",
        "vertex-injector-credentials",
        "mountPath: /gcloud/config",
    ] {
        assert!(injected.contains(expected), "{injected}");
    }
}

#[test]
fn the_commands_of_an_installation_succeed_one_after_the_other() {
    let Some(cluster) = or_explain(ControlPlane::start_own()) else {
        return;
    };
    let programs = repository().join("hack/kube/bin");
    let own = Path::new(env!("CARGO_BIN_EXE_vertex-injector"));
    let own = own.parent().expect("its folder");
    let bash = || {
        let mut bash = cluster.command(Path::new("bash"));
        let path = std::env::var("PATH").expect("PATH");
        bash.env("PATH", format!("{}:{}:{path}", own.display(), programs.display()));
        bash
    };
    let (readme, others) = pages().split_first().expect("pages");

    let said = shell(bash(), &of_a_cluster(&readme.text).join("\n"));

    assert!(said.success(), "{}{}", said.stdout, said.stderr);
    let namespace = cluster.get(&["namespace", "kartograph-workloads"]);
    assert_eq!(
        namespace["metadata"]["labels"]["vertex-injector.dev/injection"],
        "enabled"
    );
    let deployment = cluster.get(&["--namespace", "vertex-injector", "deployment", "vertex-injector"]);
    let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .expect("an image");
    assert_eq!(
        image,
        concat!("registry.example.com/vertex-injector:", env!("CARGO_PKG_VERSION"))
    );
    // Those that change it, roll it back and take it away.
    for page in others {
        let commands = of_a_cluster(&page.text);
        let said = shell(bash(), &commands.join("\n"));
        assert!(
            said.success(),
            "{}: {}{}",
            page.path.display(),
            said.stdout,
            said.stderr
        );
    }
}

/// The commands of a page for a cluster.
fn of_a_cluster(page: &str) -> Vec<String> {
    let commands = commands_of(page, "sh").into_iter();
    commands.filter(|command| runner(command) == Runner::Cluster).collect()
}

/// `node`: run by tests/demo, against a node. `registry`: those need one. `variables`: what the reader sets.
#[test]
fn every_block_has_a_language_that_a_test_knows() {
    let known = [
        "",
        "json",
        "sh",
        "sh gcloud",
        "sh node",
        "sh registry",
        "sh variables",
        "text",
        "yaml",
    ];
    for block in blocks() {
        assert!(known.contains(&block.language), "{}: {}", block.language, block.text);
    }
    let built = concat!("target/image/vertex-injector-", env!("CARGO_PKG_VERSION"), ".tar");
    for command in commands("sh registry").into_iter().chain(commands("sh variables")) {
        let parsed = run(
            Command::new("bash").args(["-n", "-c", &command]),
            "",
            Duration::from_secs(10),
        );
        assert!(parsed.success(), "{command}");
        assert!(
            !command.contains("target/image") || command.contains(built),
            "{command}"
        );
    }
}

#[test]
fn make_has_every_verb_that_is_named_and_lists_it() {
    let listed = run(
        Command::new("make").current_dir(repository()),
        "",
        Duration::from_secs(30),
    )
    .output();
    let fenced = commands_for(|runner| matches!(runner, Runner::Make(_)));
    let named = quoted(&prose());
    for command in fenced.iter().chain(&named) {
        let Some(words) = command.strip_prefix("make ") else {
            continue;
        };
        for verb in words.split_whitespace().filter(|word| !word.contains('=')) {
            assert!(
                listed.contains(&format!("  make {verb} ")),
                "{command} is not in:\n{listed}"
            );
            assert!(!recipe(verb).is_empty(), "{command} runs nothing");
        }
    }
}

/// It is what runs this very test; to run it from here would not end.
#[test]
fn make_test_is_what_continuous_integration_ends_with_and_it_runs_every_test() {
    assert!(commands("sh").contains(&"make test".to_owned()));
    let ci = std::fs::read_to_string(repository().join(".ci/run")).expect(".ci/run");
    assert_eq!(ci.lines().last(), Some("make test"));
    assert!(ci.contains("export CI=true"), "{ci}");

    let recipe = recipe("test");
    assert_eq!(
        recipe.lines().last(),
        Some("cargo test --locked --workspace"),
        "{recipe}"
    );
}

/// The node's tests build it in the dev profile, run it and install it; here, that it is the same script.
#[test]
fn make_image_is_what_the_nodes_tests_build() {
    assert!(commands("sh").contains(&"make image".to_owned()));
    let recipe = recipe("image");
    assert_eq!(recipe.trim(), "hack/image/build release");
}

/// What a verb would run. The `make` that runs these tests would have this one announce its folder.
fn recipe(verb: &str) -> String {
    let mut dry = Command::new("make");
    dry.args(["--no-print-directory", "--dry-run", verb])
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .current_dir(repository());
    run(&mut dry, "", Duration::from_secs(30)).output()
}
