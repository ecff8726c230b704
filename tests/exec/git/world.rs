//! A host of repositories, a sidecar with a token for it, and an agent without.

use super::agent::Agent;
use super::forge::Forge;
use super::sidecar::Sidecar;
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use harness::request::{Answer, ask};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

/// All of it. The host lets `x-access-token` in with the token.
pub(super) struct World {
    pub token: String,
    pub forge: Forge,
    pub sidecar: Sidecar,
    pub agent: Agent,
    directory: TempDir,
}

impl World {
    /// A world in which the sidecar has these rules, each without its host.
    pub(super) fn new(rules: &[&str]) -> Self {
        let token = token();
        Self::with(rules, &token, &format!(r#"{{"token":"{token}"}}"#))
    }

    /// The same with another JSON as credential; no credential at all when it is empty.
    pub(super) fn with(rules: &[&str], token: &str, credential: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let forge = Forge::start(directory.path(), &format!("x-access-token:{token}"));
        let sidecar = Sidecar::start(directory.path(), &forge, rules, credential);
        let agent = Agent::injected(directory.path(), sidecar.port(), &forge.host());
        Self {
            token: token.to_owned(),
            forge,
            sidecar,
            agent,
            directory,
        }
    }

    /// Makes a repository on the host with one file `README` that holds its name.
    pub(super) fn repository(&self, name: &str) -> PathBuf {
        let path = self.forge.path(name);
        let seed = self.directory.path().join("seed").join(name);
        let script = r#"
            git init --quiet --bare "$1" && git init --quiet "$2" && cd "$2"
            printf %s "$3" > README && git add README && git commit --quiet --message "First"
            git push --quiet "$1" HEAD:refs/heads/main && git -C "$1" symbolic-ref HEAD refs/heads/main"#;
        let mut command = Command::new("sh");
        command.args(["-euc", script, "sh"]).arg(&path).arg(&seed).arg(name);
        for (name, value) in [("GIT_AUTHOR_NAME", "Seed"), ("GIT_COMMITTER_NAME", "Seed")] {
            command.env(name, value);
        }
        for name in ["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
            command.env(name, "seed@example.com");
        }
        harness::process::run(&mut command, "", std::time::Duration::from_secs(30)).output();
        path
    }

    /// What a commit is called on the host.
    pub(super) fn head(&self, repository: &str, reference: &str) -> String {
        let path = self.forge.path(repository);
        let mut command = Command::new("git");
        command.arg("-C").arg(path).args(["rev-parse", reference]);
        harness::process::run(&mut command, "", std::time::Duration::from_secs(30)).output()
    }

    /// Sends bytes to the proxy.
    pub(super) fn ask(&self, request: &str) -> Answer {
        ask(([127, 0, 0, 1], self.sidecar.port()).into(), request.as_bytes())
    }

    /// Asks what there is to fetch from a repository, as git does.
    pub(super) fn discover(&self, repository: &str) -> Answer {
        let host = self.forge.host();
        self.ask(&format!(
            "GET /{host}/{repository}/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        ))
    }

    /// The token in every spelling in which it could come out.
    pub(super) fn spellings(&self) -> Vec<String> {
        spellings(&self.token)
    }
}

/// A token, as the spellings in which it could come out.
pub(super) fn spellings(token: &str) -> Vec<String> {
    let login = format!("x-access-token:{token}");
    vec![
        token.to_owned(),
        BASE64_STANDARD.encode(&login),
        BASE64_URL_SAFE_NO_PAD.encode(&login),
    ]
}

/// A token that nobody has seen before.
pub(super) fn token() -> String {
    let mut bytes = [0; 20];
    rand::fill(&mut bytes).expect("randomness");
    let hexadecimal: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("ghs_{}", hexadecimal.concat())
}
