//! What each file of a release says.

use crate::made::{Checkout, PROGRAMS, file, names, output, programs, release, shared};
use harness::process::repository;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use vertex_injector_core::manifest::documents;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A JSON file within an archive.
fn within(archive: &Path, file: &str) -> Value {
    let archive = archive.to_str().expect("UTF-8");
    let text = output("tar", &["--extract", "--to-stdout", "--file", archive, file]);
    serde_json::from_str(&text).expect("JSON")
}

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).expect(path)
}

fn digest(file: &Path) -> String {
    let sum = output("sha256sum", &[file.to_str().expect("UTF-8")]);
    sum.split_whitespace().next().expect("a digest").to_owned()
}

#[test]
fn a_release_is_the_same_from_another_folder() {
    let Some(one) = shared() else { return };
    let Some(other) = release() else { return };
    for name in names(one) {
        let [here, there] = [one, other.path()].map(|folder| digest(&folder.join(&name)));
        assert_eq!(here, there, "{name}");
    }
    let sums = file(one, "SHA256SUMS");
    let listed = fs::read_to_string(sums).expect("SHA256SUMS");
    let expected: BTreeSet<String> = names(one)
        .iter()
        .filter(|name| *name != "SHA256SUMS")
        .map(|name| format!("{}  {name}", digest(&one.join(name))))
        .collect();
    assert_eq!(listed.lines().map(str::to_owned).collect::<BTreeSet<_>>(), expected);
}

#[test]
fn what_cannot_be_built_here_is_said_and_has_an_exit_code_and_the_rest_is_made() {
    let Some(checkout) = Checkout::new() else { return };
    let foreign = if cfg!(target_arch = "x86_64") { "arm64" } else { "amd64" };
    let own = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let machine = if foreign == "arm64" { "aarch64" } else { "x86_64" };
    let target = format!("{machine}-unknown-linux-gnu");
    let libraries = output("rustc", &["--print", "target-libdir", "--target", &target]);
    if Path::new(libraries.trim()).exists() {
        // This machine can build for the other one, which takes minutes.
        return;
    }
    let programs = programs(&[own]);
    let out = tempfile::TempDir::new().expect("a folder");
    let made = checkout.build(out.path(), &["--prebuilt", programs.path().to_str().expect("UTF-8")]);
    assert_eq!(made.code, Some(3), "{made:?}");
    let why = format!(
        "NOT_BUILT={foreign}: there is no standard library for {foreign}; 'rustup target add {target}' installs it"
    );
    assert!(made.stdout.lines().any(|line| line == why), "{}", made.stdout);
    file(out.path(), &format!("linux-{own}.tar.gz"));
    let krew = fs::read_to_string(file(out.path(), ".yaml")).expect("a manifest");
    assert!(krew.contains(own) && !krew.contains(foreign), "{krew}");
}

#[test]
fn a_version_is_that_of_the_crates_and_of_the_chart() {
    let chart = &documents(&text("charts/vertex-injector/Chart.yaml")).expect("YAML")[0];
    assert_eq!([&chart["version"], &chart["appVersion"]], [VERSION; 2]);
    assert!(text("CHANGELOG.md").contains(&format!("\n## {VERSION}\n")));
}

#[test]
fn the_packaged_chart_needs_no_value_and_installs_the_released_image() {
    let Some(release) = shared() else { return };
    let chart = file(release, &format!("{VERSION}.tgz"));
    let helm = repository().join("hack/kube/bin/helm");
    let [helm, chart] = [&helm, &chart].map(|path| path.to_str().expect("UTF-8"));
    let rendered = documents(&output(helm, &["template", "test", chart])).expect("objects");
    let deployment = rendered
        .iter()
        .find(|object| object["kind"] == "Deployment")
        .expect("a Deployment");
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(*image, format!("ghcr.io/acme/injector:{VERSION}"));

    // The same name is in the archive of the image.
    let archive = file(release, "-image.tar");
    let index = within(&archive, "index.json");
    let name = &index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"];
    assert_eq!(name, image);
}

#[test]
fn the_image_is_for_both_architectures_and_of_the_containerfiles_last_stage() {
    let Some(release) = shared() else { return };
    let archive = file(release, "-image.tar");
    let blob = |digest: &Value| -> Value {
        let name = digest.as_str().expect("a digest").replace(':', "/");
        within(&archive, &format!("blobs/{name}"))
    };
    let index = within(&archive, "index.json");
    let manifests = blob(&index["manifests"][0]["digest"]);
    let manifests = manifests["manifests"].as_array().expect("manifests");
    let mut arches = Vec::new();
    for manifest in manifests {
        let manifest = blob(&manifest["digest"]);
        // From scratch: one layer, ours.
        assert_eq!(manifest["layers"].as_array().expect("layers").len(), 1);
        let image = blob(&manifest["config"]["digest"]);
        assert_eq!(image["config"]["User"], "65532:65532");
        assert_eq!(image["config"]["Entrypoint"], json!(["/vertex-injector"]));
        arches.push(image["architecture"].clone());
    }
    assert_eq!(arches, ["amd64", "arm64"]);

    let containerfile = text("Containerfile");
    let (build, last) = containerfile
        .split_once("\nFROM scratch\n")
        .expect("a last stage from scratch");
    assert_eq!(
        last.trim(),
        "COPY --from=build /files /\nUSER 65532:65532\nENTRYPOINT [\"/vertex-injector\"]"
    );
    // Docker compiles as we do, by the Rust that we test.
    assert!(build.contains("hack/image/compile release"), "{build}");
    let rust = output("cargo", &["metadata", "--no-deps", "--format-version", "1"]);
    let rust: Value = serde_json::from_str(&rust).expect("JSON");
    let rust = rust["packages"][0]["rust_version"].as_str().expect("a version");
    assert!(build.contains(&format!("library/rust:{rust}-")), "{build}");
}

/// What a person finds in the archive of an architecture.
#[test]
fn an_archive_has_both_programs_the_manual_and_the_license() {
    let Some(release) = shared() else { return };
    for arch in ["amd64", "arm64"] {
        let archive = file(release, &format!("linux-{arch}.tar.gz"));
        let listed = output(
            "tar",
            &["--list", "--verbose", "--file", archive.to_str().expect("UTF-8")],
        );
        for program in PROGRAMS {
            let line = listed
                .lines()
                .find(|line| line.ends_with(&format!(" {program}")))
                .expect("the program");
            assert!(line.starts_with("-rwxr-xr-x 0/0 "), "{line}");
        }
        for file in ["LICENSE", "man/vertex-injector.1", "man/vertex-injector-inject.1"] {
            assert!(
                listed.lines().any(|line| line.ends_with(&format!(" {file}"))),
                "{listed}"
            );
        }
    }
}

#[test]
fn the_bill_of_materials_names_every_crate_that_is_linked() {
    let Some(release) = shared() else { return };
    for program in PROGRAMS {
        let bill = fs::read_to_string(release.join(format!("{program}-{VERSION}.cdx.json"))).expect("the bill");
        assert!(!bill.contains("file:///tmp"), "it says where it was made");
        let bill: Value = serde_json::from_str(&bill).expect("JSON");
        assert_eq!(bill["bomFormat"], "CycloneDX");
        assert_eq!(bill["metadata"]["component"]["name"], program);
        let components = bill["components"].as_array().expect("components");
        let named: BTreeSet<(&str, &str)> = components
            .iter()
            .map(|each| {
                (
                    each["name"].as_str().expect("a name"),
                    each["version"].as_str().expect("a version"),
                )
            })
            .collect();
        let locked = text("Cargo.lock");
        for arch in ["x86_64", "aarch64"] {
            let target = format!("{arch}-unknown-linux-gnu");
            let tree = [
                "tree",
                "--locked",
                "--edges",
                "normal",
                "--prefix",
                "none",
                "--package",
                program,
                "--target",
                &target,
            ];
            let linked = output("cargo", &tree);
            for line in linked.lines().skip(1).filter(|line| !line.contains("(proc-macro)")) {
                let (name, rest) = line.split_once(" v").expect("NAME vVERSION");
                let version = rest.split_whitespace().next().expect("a version");
                assert!(
                    named.contains(&(name, version)),
                    "{program}: {name} {version} is missing"
                );
                assert!(locked.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")));
            }
        }
    }
}

/// <https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/>
#[test]
fn the_manifest_for_krew_has_what_krew_demands() {
    let Some(release) = shared() else { return };
    let manifest = file(release, ".yaml");
    let manifest = &documents(&fs::read_to_string(manifest).expect("the manifest")).expect("YAML")[0];
    assert_eq!(manifest["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
    assert_eq!(manifest["kind"], "Plugin");
    assert_eq!(manifest["metadata"]["name"], "vertex-injector");
    let spec = &manifest["spec"];
    assert_eq!(spec["version"], format!("v{VERSION}"));
    for (field, longest) in [("shortDescription", 50), ("description", 1000), ("homepage", 200)] {
        let length = spec[field].as_str().map_or(0, str::len);
        assert!((1..=longest).contains(&length), "{field}: {length}");
    }
    let platforms = spec["platforms"].as_array().expect("platforms");
    assert_eq!(platforms.len(), 2);
    for platform in platforms {
        let labels = &platform["selector"]["matchLabels"];
        let arch = labels["arch"].as_str().expect("an architecture");
        assert_eq!(labels["os"], "linux");
        let archive = file(release, &format!("linux-{arch}.tar.gz"));
        let name = archive.file_name().and_then(|name| name.to_str()).expect("a name");
        assert_eq!(
            platform["uri"],
            format!("https://github.com/acme/injector/releases/download/v{VERSION}/{name}")
        );
        assert_eq!(platform["sha256"], digest(&archive));
        let taken: Vec<&str> = { platform["files"].as_array().expect("files").iter() }
            .filter_map(|file| file["from"].as_str())
            .collect();
        assert!(taken.contains(&platform["bin"].as_str().expect("a program")));
        let listed = output("tar", &["--list", "--file", archive.to_str().expect("UTF-8")]);
        for from in taken {
            assert!(listed.lines().any(|name| name == from), "{from}");
        }
    }
}

#[test]
fn the_workflow_only_calls_our_scripts_and_takes_actions_by_their_commit() {
    let workflow = &documents(&text(".github/workflows/release.yaml")).expect("YAML")[0];
    assert_eq!(workflow["permissions"], json!({}), "nothing that no job asks for");
    let pinned = Regex::new(r"^[a-z-]+/[a-z-]+@[0-9a-f]{40}$").expect("an expression");
    let mut used = Vec::new();
    for (_, job) in workflow["jobs"].as_object().expect("jobs") {
        for step in job["steps"].as_array().expect("steps") {
            if let Some(script) = step["run"].as_str() {
                assert_eq!(script.lines().count(), 1, "{script}");
                let program = script.split_whitespace().next().expect("a program");
                assert!(
                    program.starts_with("hack/release/") && repository().join(program).is_file(),
                    "{script}"
                );
                let help = output(program, &["--help"]);
                for flag in script.split_whitespace().filter(|word| word.starts_with("--")) {
                    assert!(help.contains(flag), "{program} has no {flag}");
                }
            } else {
                let action = step["uses"].as_str().expect("an action");
                assert!(pinned.is_match(action), "{action}");
                used.push(action.split('@').next().expect("a name"));
            }
        }
    }
    for needed in ["actions/attest-build-provenance", "sigstore/cosign-installer"] {
        assert!(used.contains(&needed), "{used:?}");
    }
}
