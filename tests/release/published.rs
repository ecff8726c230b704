//! What `hack/release/publish` sends where, and what it signs. The registries cannot exist here: programs of the names that it calls write
//! down what they are given.

use harness::process::{Ran, repository, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_mins(1);

/// Writes down who was called with what, token and all, and answers as the real one does.
const STAND_IN: &str = r#"#!/bin/bash
name=${0##*/}
case "$*" in *login*) read -r token; echo "$name $* <$token" >>"$CALLS"; exit ;; esac
echo "$name $*" >>"$CALLS"
case $name in
  skopeo) [ -f "${6#oci-archive:}" ] && printf sha256:1111 >"$5" ;;
  helm) [ -f "$2" ] && echo "Digest: sha256:2222" >&2 ;;
  cosign) case $1 in sign-blob) echo signature >"$4" ;; esac ;;
esac
"#;

struct Release {
    folder: TempDir,
    programs: TempDir,
}

impl Release {
    /// A folder as `hack/release/build` leaves it.
    fn new() -> Self {
        let (folder, programs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for program in ["skopeo", "helm", "cosign", "gh"] {
            let path = programs.path().join(program);
            fs::write(&path, STAND_IN).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for name in [
            "vertex-injector-1.2.3-image.tar",
            "vertex-injector-1.2.3.tgz",
            "vertex-injector.yaml",
        ] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let sums = run(
            Command::new("sh")
                .args(["-c", "sha256sum -- * >SHA256SUMS"])
                .current_dir(&folder),
            "",
            LIMIT,
        );
        sums.output();
        Self { folder, programs }
    }

    /// Publishes it; what was called is given back, too.
    fn publish(&self) -> (Ran, String) {
        let calls = self.programs.path().join("calls");
        fs::write(&calls, "").unwrap();
        let path = format!("{}:{}", self.programs.path().display(), std::env::var("PATH").unwrap());
        let mut publish = Command::new(repository().join("hack/release/publish"));
        publish
            .arg(self.folder.path())
            .arg("owner/name")
            .envs([
                ("PATH", path.as_str()),
                ("GH_TOKEN", "hunter2"),
                ("GITHUB_ACTOR", "actor"),
            ])
            .env("CALLS", &calls);
        let ran = run(&mut publish, "", LIMIT);
        (ran, fs::read_to_string(calls).unwrap())
    }
}

#[test]
fn image_and_chart_are_signed_by_the_digests_that_were_pushed_and_the_rest_by_its_sums() {
    let release = Release::new();
    let (ran, calls) = release.publish();
    assert!(ran.success(), "{ran:?}");
    let digests = calls
        .lines()
        .find_map(|line| line.split("--digestfile ").nth(1)?.split(' ').next());
    let expected = format!(
        "\
skopeo login ghcr.io --username actor --password-stdin <hunter2
helm registry login ghcr.io --username actor --password-stdin <hunter2
cosign login ghcr.io --username actor --password-stdin <hunter2
skopeo copy --all --preserve-digests --digestfile {} oci-archive:vertex-injector-1.2.3-image.tar docker://ghcr.io/owner/name:1.2.3
cosign sign --yes ghcr.io/owner/name@sha256:1111
helm push vertex-injector-1.2.3.tgz oci://ghcr.io/owner/charts
cosign sign --yes ghcr.io/owner/charts/vertex-injector@sha256:2222
cosign sign-blob --yes --bundle SHA256SUMS.sigstore.json SHA256SUMS
gh release create v1.2.3 --repo owner/name --verify-tag --title 1.2.3 --notes See CHANGELOG.md ./SHA256SUMS ./SHA256SUMS.sigstore.json \
./vertex-injector-1.2.3-image.tar ./vertex-injector-1.2.3.tgz ./vertex-injector.yaml
",
        digests.unwrap_or_default()
    );
    assert_eq!(calls, expected);
    // No token is an argument, which every process of the machine may read, or is printed.
    assert!(
        !ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"),
        "{ran:?}"
    );
}

#[test]
fn a_file_that_is_not_as_it_was_built_is_not_published() {
    let release = Release::new();
    fs::write(release.folder.path().join("vertex-injector-1.2.3.tgz"), "another").unwrap();
    let (ran, calls) = release.publish();
    assert!(!ran.success());
    assert_eq!(calls, "");
    assert!(
        ran.stderr.contains("vertex-injector-1.2.3.tgz") || ran.stdout.contains("vertex-injector-1.2.3.tgz"),
        "{ran:?}"
    );
}
