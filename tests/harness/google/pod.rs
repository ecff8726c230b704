//! A container of an injected pod, as the kubelet would start it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process::repository;

/// Which variables make programs trust the fake's CA: requests, gcloud, Node, and whoever uses OpenSSL's defaults or the broker's
/// TLS library. They are the only thing that a test adds to a pod.
const TRUST: [&str; 4] = [
    "REQUESTS_CA_BUNDLE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
];

/// What an injected pod's container has: its environment, and the files that volumes bring.
#[derive(Debug, Clone, Default)]
pub struct InjectedPod {
    /// The container's environment, without what its image sets.
    pub env: BTreeMap<String, String>,
    /// Absolute path → contents. Files of one directory are one volume, laid out as the kubelet
    /// does it (symbolic links through `..data`), owned by root, mode 0444, mounted read-only.
    pub files: BTreeMap<String, String>,
    /// The container's user; `None` for 65532.
    pub user: Option<u32>,
}

/// What the container's image has, and how long it may run.
pub(super) struct Launch<'a> {
    /// Directories of the machine, at their own paths.
    pub see: Vec<&'a Path>,
    /// Single programs, at paths of the image.
    pub programs: Vec<(&'a Path, &'a str)>,
    /// The image's `PATH`, where it is not the usual one.
    pub path: Option<&'a str>,
    /// When it is killed.
    pub limit: Duration,
}

impl Default for Launch<'_> {
    fn default() -> Self {
        Self {
            see: Vec::new(),
            programs: Vec::new(),
            path: None,
            limit: Duration::from_mins(2),
        }
    }
}

impl InjectedPod {
    /// Adds to `command`, which makes a mount namespace, what starts `program` in the container.
    pub(super) fn start(
        &self,
        command: &mut Command,
        sandbox: &Path,
        number: u32,
        launch: &Launch<'_>,
        program: &[&str],
    ) {
        let directory = sandbox.join(format!("run-{number}"));
        let root = directory.join("root");
        fs::create_dir_all(&root).expect("a directory for the run");
        command
            .arg(repository().join("hack/clients/in-pod"))
            .arg("--root")
            .arg(root)
            .arg("--hosts")
            .arg(sandbox.join("hosts"))
            .arg("--ca")
            .arg(sandbox.join("ca.crt"))
            .args(["--limit", &launch.limit.as_secs().to_string()])
            .args(["--user", &self.user.unwrap_or(65532).to_string()]);
        for place in &launch.see {
            command.arg("--see").arg(place);
        }
        for (file, path) in &launch.programs {
            command.arg("--program").arg(format!("{}:{path}", file.display()));
        }
        for (index, (path, files)) in volumes(&self.files).into_iter().enumerate() {
            let source = directory.join(format!("volume-{index}"));
            write_volume(&source, &files);
            command.arg("--mount").arg(format!("{}:{path}", source.display()));
        }
        // The image's own, then what the test adds so that clients trust the fake, then the pod's.
        if let Some(path) = launch.path {
            command.args(["--env", &format!("PATH={path}")]);
        }
        for name in TRUST {
            assert!(!self.env.contains_key(name), "the pod's {name} would be replaced");
            command.args(["--env", &format!("{name}=/etc/google-ca.crt")]);
        }
        for (name, value) in &self.env {
            command.args(["--env", &format!("{name}={value}")]);
        }
        command.arg("--").args(program);
    }
}

/// Directory → file name → contents.
fn volumes(files: &BTreeMap<String, String>) -> BTreeMap<&str, BTreeMap<&str, &str>> {
    let mut volumes: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (path, contents) in files {
        let (directory, name) = path.rsplit_once('/').expect("an absolute path");
        assert!(directory.starts_with('/'), "{path} is not absolute");
        volumes.entry(directory).or_default().insert(name, contents);
    }
    volumes
}

fn write_volume(source: &Path, files: &BTreeMap<&str, &str>) {
    let data = source.join("..2026_01_01_00_00_00.1");
    fs::create_dir_all(&data).expect("the volume");
    for directory in [source, &data] {
        // Whatever umask the tests run under.
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    symlink("..2026_01_01_00_00_00.1", source.join("..data")).expect("..data");
    for (name, contents) in files {
        let file = data.join(name);
        fs::write(&file, contents).expect("a file of the volume");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).expect("its mode");
        symlink(format!("..data/{name}"), source.join(name)).expect("its link");
    }
}
