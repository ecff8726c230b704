//! Directories of manifests.

use std::fs;
use vertex_injector_core::manifest::{self, Document};

#[test]
fn manifests_are_read_in_the_order_of_their_names_and_nothing_else_is() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("b.yml", "kind: B\n");
    write("a.yaml", "kind: A\n");
    write("c.json", "{\"kind\": \"C\"}");
    write("README.md", "not: [a manifest");
    write(".hidden.yaml", "not: [a manifest");
    fs::create_dir(directory.path().join("nested.yaml")).unwrap();
    let read = manifest::read(directory.path()).unwrap();
    assert_eq!(read.iter().map(Document::kind).collect::<String>(), "ABC");
}

#[test]
fn a_mounted_config_map_reads_as_its_keys() {
    use std::os::unix::fs::symlink;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("..2026_01_01");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("policy.yaml"), "kind: A\n").unwrap();
    symlink("..2026_01_01", directory.path().join("..data")).unwrap();
    symlink("..data/policy.yaml", directory.path().join("policy.yaml")).unwrap();
    assert_eq!(manifest::read(directory.path()).unwrap().len(), 1);
}

#[test]
fn every_broken_file_is_told() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.yaml"), "a: 1\na: 2\n").unwrap();
    fs::write(directory.path().join("b.yaml"), "a: [\n").unwrap();
    assert_eq!(manifest::read(directory.path()).unwrap_err().len(), 2);
}
