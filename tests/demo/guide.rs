//! The commands of the quickstart and of troubleshooting, typed one after the other into a shell beside a real node.
//!
//! Google is the one of the demo. The images have the names that the pages say; ours trusts the fake's CA as it would Google's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::show::can_run;
use harness::node::{Node, build_image};
use harness::process::{repository, run, scratch};

/// What the reader sets, in place of what the pages say.
const VARIABLES: [(&str, &str); 3] = [
    ("PROJECT", "my-project"),
    ("PROJECT_NUMBER", "123456789012"),
    ("REGISTRY", "registry.example.com"),
];

#[test]
fn every_command_of_quickstart_and_troubleshooting_works_and_prints_what_the_pages_show() {
    if can_run().is_none() {
        return;
    }
    let folder = scratch().join("guide");
    // An earlier run's.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    let images = images(&folder);
    let Some(node) = Node::start_or_explain() else { return };
    for image in &images {
        node.load_image(image);
    }
    start_google(&node, &folder);

    let (quickstart, troubleshooting) = (page("quickstart.md"), page("troubleshooting.md"));
    let (until_the_end, the_end) = quickstart.split_once("## Taking it all away").expect("its end");
    let text = [until_the_end, &troubleshooting, the_end].concat();
    let blocks = blocks(&text);
    assert!(blocks.len() > 12, "{blocks:?}");

    let mut script = "exec 2>&1\ncd \"$0\"\nln -sfn \"$1/hack\" hack; ln -sfn \"$1/charts\" charts\n".to_owned();
    for block in &blocks {
        script.push_str(&block.commands);
        script.push_str("\necho @@@@\n");
    }
    let mut bash = node.command(Path::new("bash"));
    let programs = repository().join("hack/kube/bin");
    let own = Path::new(env!("CARGO_BIN_EXE_vertex-injector"));
    let own = own.parent().expect("its folder");
    let path = std::env::var("PATH").expect("PATH");
    bash.args(["-euo", "pipefail", "-c", &script])
        .args([&folder, repository()])
        .env("PATH", format!("{}:{}:{path}", own.display(), programs.display()))
        .envs(VARIABLES);
    let said = run(&mut bash, "", Duration::from_mins(10));
    assert!(said.success(), "{}{}", said.stdout, said.stderr);

    for (block, printed) in blocks.iter().zip(said.stdout.split("@@@@\n")) {
        for line in block.shown.lines() {
            assert!(
                printed.lines().any(|printed| is_like(printed, line)),
                "{}\ndoes not print {line:?}, but\n{printed}",
                block.commands
            );
        }
    }
    // The answer of the model, and who has asked it.
    for expected in [
        "Hello from Vertex AI.",
        "ANTHROPIC_VERTEX_BASE_URL=http://127.0.0.1:8471/v1",
    ] {
        assert!(said.stdout.contains(expected), "{}", said.stdout);
    }
    for gone in ["agents", "vertex-injector"] {
        assert!(
            node.try_kubectl(&["get", "namespace", gone])
                .error()
                .contains("NotFound")
        );
    }
    let crds = node.kubectl(&["get", "crds"]);
    assert!(!crds.contains("vertex-injector"), "{crds}");
}

/// Commands, and what the page shows below them.
#[derive(Debug)]
struct Block {
    commands: String,
    shown: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let language = line.strip_prefix("```");
        if language.is_none() {
            continue;
        }
        let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match (language, blocks.last_mut()) {
            (Some("sh node"), _) => blocks.push(Block {
                commands: inside.join("\n"),
                shown: String::new(),
            }),
            (Some("text"), Some(last)) => last.shown = inside.join("\n"),
            _ => {}
        }
    }
    blocks
}

/// Whether a line is as the page shows it: `…` stands for anything, spaces for any number of them.
fn is_like(printed: &str, shown: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (printed, shown) = (squeeze(printed), squeeze(shown));
    let mut rest = printed.as_str();
    let parts: Vec<&str> = shown.split('…').collect();
    let (first, last) = (parts[0], parts[parts.len() - 1]);
    if parts.len() == 1 {
        return printed == shown;
    }
    if !rest.starts_with(first) || !rest.ends_with(last) {
        return false;
    }
    for part in parts {
        let Some((_, after)) = rest.split_once(part.trim()) else {
            return false;
        };
        rest = after;
    }
    true
}

fn page(name: &str) -> String {
    fs::read_to_string(repository().join("docs").join(name)).expect("the page")
}

/// Ours under the name that the quickstart gives it, the fake Google, and the shell that asks.
fn images(folder: &Path) -> Vec<PathBuf> {
    let ours = build_image("vertex-injector");
    let fakes = build_image("vertex-injector-fakes");
    sh(
        folder,
        "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -keyout tls.key -out ca.crt \
         -config \"$ROOT/hack/demo/live/google.cnf\" 2>/dev/null",
    );
    let version = env!("CARGO_PKG_VERSION");
    let ours = format!("oci-archive:{}", ours.archive.display());
    let shell = format!(
        "docker-archive:{}/hack/kube/bin/images/busybox.tar",
        repository().display()
    );
    let files = [
        (
            "ours",
            ours,
            "COPY ca.crt /etc/ssl/certs/ca-certificates.crt",
            format!("registry.example.com/vertex-injector:{version}"),
        ),
        ("shell", shell.clone(), "", "docker.io/library/busybox:1.37".to_owned()),
        (
            "agent",
            shell,
            "COPY fakes /bin/vertex-injector-fakes",
            "localhost/agent:1".to_owned(),
        ),
    ];
    fs::copy(&fakes.binary, folder.join("fakes")).expect("the fakes");
    files
        .into_iter()
        .map(|(file, base, more, name)| {
            fs::write(folder.join("Containerfile"), format!("FROM {base}\n{more}\n")).expect("a Containerfile");
            sh(
                folder,
                &format!(
                    "b() {{ buildah --root \"$PWD/root\" --runroot \"$PWD/run\" --storage-driver vfs \"$@\"; }}
                     b bud -q --isolation chroot --tag {name} --file Containerfile . >/dev/null
                     b push -q {name} docker-archive:$PWD/{file}.tar:{name}"
                ),
            );
            folder.join(file).with_extension("tar")
        })
        .collect()
}

/// Under Google's names, as the demo has it.
fn start_google(node: &Node, folder: &Path) {
    node.create_namespace("google", &[]);
    let file = |name: &str| folder.join(name).to_str().expect("UTF-8").to_owned();
    let certificate = [
        format!("--cert={}", file("ca.crt")),
        format!("--key={}", file("tls.key")),
    ];
    let in_google = ["--namespace", "google"];
    node.kubectl(
        &[
            &in_google[..],
            &[
                "create",
                "secret",
                "tls",
                "google-tls",
                &certificate[0],
                &certificate[1],
            ],
        ]
        .concat(),
    );
    let google = repository().join("hack/demo/live/google.yaml");
    node.apply(&fs::read_to_string(google).expect("the fake"));
    node.kubectl(
        &[
            &in_google[..],
            &["rollout", "status", "deployment/google", "--timeout=60s"],
        ]
        .concat(),
    );
    node.resolve(
        &["sts.googleapis.com", "us-east5-aiplatform.googleapis.com"],
        "10.96.0.42",
    );
}

#[track_caller]
fn sh(folder: &Path, script: &str) {
    let mut bash = Command::new("bash");
    bash.args(["-euc", script])
        .current_dir(folder)
        .env("ROOT", repository());
    run(&mut bash, "", Duration::from_mins(2)).output();
}
