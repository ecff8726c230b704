//! The agent: a directory of its own, git's real client, and nothing but variables that say where to go.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use vertex_injector_core::git::config::{GitHost, git_config_env};

use harness::process::{Ran, run};

const PATIENCE: Duration = Duration::from_mins(1);

/// An agent in a directory of its own.
pub(super) struct Agent {
    home: PathBuf,
    env: BTreeMap<String, String>,
}

impl Agent {
    /// An agent whose pod already configures git, injected to use the proxy on `port` for `host`.
    pub(super) fn injected(directory: &Path, port: u16, host: &str) -> Self {
        let home = directory.join("agent");
        fs::create_dir_all(&home).expect("a directory");
        let asked = home.join("asked-for-a-password");
        let askpass = home.join("askpass");
        fs::write(&askpass, format!("#!/bin/sh\ntouch {}\necho none\n", asked.display())).expect("a program");
        fs::set_permissions(&askpass, fs::Permissions::from_mode(0o755)).expect("executable");
        let mut env = BTreeMap::from([
            ("HOME".to_owned(), home.display().to_string()),
            ("PATH".to_owned(), std::env::var("PATH").expect("a path")),
            ("GIT_ASKPASS".to_owned(), askpass.display().to_string()),
            ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
        ]);
        let own = [
            "user.name=Agent",
            "user.email=agent@example.com",
            "init.defaultBranch=main",
        ];
        for (n, pair) in own.iter().enumerate() {
            let (key, value) = pair.split_once('=').expect("a pair");
            env.insert(format!("GIT_CONFIG_KEY_{n}"), key.to_owned());
            env.insert(format!("GIT_CONFIG_VALUE_{n}"), value.to_owned());
        }
        env.insert("GIT_CONFIG_COUNT".to_owned(), own.len().to_string());
        let host: GitHost = host.parse().expect("a host");
        let added = git_config_env(|name| env.get(name).map(String::as_str), port, &[host]).expect("configuration");
        env.extend(added);
        Self { home, env }
    }

    /// Sets a variable of its environment.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    pub(super) fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// Runs git below its directory.
    #[track_caller]
    pub(super) fn git(&self, below: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(self.home.join(below))
            .env_clear()
            .envs(&self.env);
        run(&mut command, "", PATIENCE)
    }

    /// Clones a repository to `app`.
    #[track_caller]
    pub(super) fn clone_app(&self, url: &str) {
        self.git("", &["clone", "--quiet", url, "app"]).output();
    }

    /// Whether git ever asked for a password.
    pub(super) fn was_asked(&self) -> bool {
        self.home.join("asked-for-a-password").exists()
    }

    /// A commit of one file in a clone.
    #[track_caller]
    pub(super) fn commit(&self, clone: &str, file: &str, content: &[u8]) {
        fs::write(self.home.join(clone).join(file), content).expect("a file");
        self.git(clone, &["add", "--all"]).output();
        self.git(clone, &["commit", "--quiet", "--message", file]).output();
    }
}
