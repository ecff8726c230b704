//! Credentials in files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::tempdir;
use vertex_injector_sidecar::exec::source::file::FileSource;
use vertex_injector_sidecar::exec::source::{Credential, FetchError, Source};

async fn fetch(path: &Path) -> Result<Credential, FetchError> {
    Source::File(FileSource::new(path.to_owned())).fetch().await
}

async fn value(path: &Path, name: &str) -> String {
    let credential = fetch(path).await.unwrap_or_else(|error| panic!("{error}"));
    credential.fields.get(name).expect("the field").expose().to_owned()
}

async fn problem(path: &Path) -> String {
    let error = fetch(path).await.expect_err("no credential");
    assert!(!error.refused, "files may come later");
    assert!(!error.detail.contains("canary"), "{error}");
    error.detail
}

#[tokio::test]
async fn one_file_is_a_token_or_a_json_object_of_fields() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("credential");
    for (text, token) in [
        ("t0k3n", "t0k3n"),
        ("t0k3n\n", "t0k3n"),
        ("t0k3n\r\n", "t0k3n"),
        ("a\nb\n", "a\nb"),
    ] {
        fs::write(&file, text).unwrap();
        assert_eq!(value(&file, "token").await, token, "{text:?}");
    }
    fs::write(
        &file,
        " {\"apiToken\": \"x\\n\", \"url\": \"u\", \"on\": true, \"none\": null}\n",
    )
    .unwrap();
    assert_eq!(value(&file, "apiToken").await, "x\n");
    assert_eq!(value(&file, "on").await, "true");
    assert_eq!(fetch(&file).await.unwrap().fields.names(), "apiToken, on, url");
}

#[tokio::test]
async fn a_directory_is_a_mounted_secret_and_its_renewal_is_seen() {
    // As the kubelet lays it out.
    let directory = tempdir().unwrap();
    let root = directory.path();
    for (generation, text) in [("..1", "old\n"), ("..2", "new")] {
        fs::create_dir(root.join(generation)).unwrap();
        fs::write(root.join(generation).join("token"), text).unwrap();
        fs::write(root.join(generation).join("sa.json"), r#"{"type": "x"}"#).unwrap();
    }
    symlink("..1", root.join("..data")).unwrap();
    symlink("..data/token", root.join("token")).unwrap();
    symlink("..data/sa.json", root.join("sa.json")).unwrap();
    fs::create_dir(root.join("directory")).unwrap();
    assert_eq!(fetch(root).await.unwrap().fields.names(), "sa.json, token");
    assert_eq!(value(root, "token").await, "old");
    assert_eq!(value(root, "sa.json").await, r#"{"type": "x"}"#);

    // Half of the next generation is not a credential.
    fs::write(root.join("..2").join("half"), "x").unwrap();
    assert_eq!(fetch(root).await.unwrap().fields.names(), "sa.json, token");
    fs::remove_file(root.join("..2").join("half")).unwrap();
    symlink("..2", root.join("..tmp")).unwrap();
    fs::rename(root.join("..tmp"), root.join("..data")).unwrap();
    assert_eq!(value(root, "token").await, "new");
}

#[tokio::test]
async fn what_cannot_be_a_credential_is_said_without_its_content() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("credential");
    assert!(problem(&file).await.ends_with("does not exist"));
    assert!(problem(directory.path()).await.ends_with("holds no field"));
    for (bytes, words) in [
        (b"".to_vec(), "holds no field"),
        (b" \n".to_vec(), "holds no field"),
        (b"{}".to_vec(), "holds no field"),
        (b"{\"token\": \"canary".to_vec(), "is not JSON (line 1, column 17)"),
        (
            b"{\"token\": \"canary\"} canary".to_vec(),
            "is not JSON (line 1, column 21)",
        ),
        (b"{\"token\": \"\\ud800canary\"}".to_vec(), "not"),
        (b"\xff\xfecanary".to_vec(), "is not UTF-8 text"),
        (vec![b'x'; 1024 * 1024 + 1], "is longer than 1048576 bytes"),
        (
            format!(
                "{{{}\"n\":1}}",
                (0..256)
                    .map(|n| format!("\"f{n}\":\"canary\","))
                    .collect::<Vec<_>>()
                    .concat()
            )
            .into_bytes(),
            "has more than 256 fields",
        ),
    ] {
        fs::write(&file, bytes).unwrap();
        let problem = problem(&file).await;
        assert!(problem.contains(words), "{problem}");
    }
}

#[tokio::test]
async fn a_pipe_is_not_waited_for() {
    let directory = tempdir().unwrap();
    let pipe = directory.path().join("token");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let start = Instant::now();
    assert!(problem(&pipe).await.ends_with("is not a file"));
    assert!(problem(directory.path()).await.ends_with("holds no field"));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_secret_in_the_middle_of_an_update_is_no_credential() {
    let directory = tempdir().unwrap();
    let path = directory.path();
    let generation = |name: &str| {
        let generation = path.join(name);
        fs::create_dir(&generation).unwrap();
        fs::write(generation.join("token"), name).unwrap();
        fs::write(generation.join("url"), name).unwrap();
        generation
    };
    let (first, second) = (generation("..1"), generation("..2"));
    symlink("..1", path.join("..data")).unwrap();
    assert_eq!(fetch(path).await.unwrap().fields.names(), "token, url");
    // A file that is listed and gone.
    fs::remove_file(first.join("url")).unwrap();
    symlink("nowhere", first.join("url")).unwrap();
    assert!(problem(path).await.contains("does not exist"));
    // A part of it that cannot be read as it should.
    fs::remove_file(path.join("..data")).unwrap();
    symlink("..2", path.join("..data")).unwrap();
    fs::write(second.join("url"), b"canary\xff").unwrap();
    assert!(problem(path).await.contains("is not UTF-8 text"));
    // A generation that goes while it is read, again and again, is seen whole or not at all.
    fs::write(second.join("url"), "..2").unwrap();
    let turning = path.to_owned();
    let turn = std::thread::spawn(move || {
        for round in 3..200 {
            let (old, new) = (
                turning.join(format!("..{}", round - 1)),
                turning.join(format!("..{round}")),
            );
            fs::create_dir(&new).unwrap();
            fs::write(new.join("token"), format!("..{round}")).unwrap();
            fs::write(new.join("url"), format!("..{round}")).unwrap();
            symlink(format!("..{round}"), turning.join("..tmp")).unwrap();
            fs::rename(turning.join("..tmp"), turning.join("..data")).unwrap();
            fs::remove_dir_all(old).unwrap();
        }
    });
    while !turn.is_finished() {
        if let Ok(credential) = fetch(path).await {
            let value = |name: &str| credential.fields.get(name).map(|value| value.expose().to_owned());
            assert_eq!(value("token"), value("url"));
            assert!(value("token").is_some());
        }
    }
    turn.join().unwrap();
}

#[tokio::test]
async fn half_a_file_is_no_credential() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("credential");
    for text in [
        b"{\"token\": \"canary\"".as_slice(),
        b"{\"token\": \"canary\", \"ur",
        b"canary\xff",
        b"",
        b"{",
    ] {
        fs::write(&file, text).unwrap();
        problem(&file).await;
    }
}
