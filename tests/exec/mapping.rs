//! What the child gets of a credential.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use tempfile::tempdir;
use vertex_injector_core::contract::choice::{Choice, ToFile, ToVariable};
use vertex_injector_net::secret::Secret;
use vertex_injector_sidecar::exec::fields::Fields;
use vertex_injector_sidecar::exec::mapping::Mapping;

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in pairs {
        fields.insert(*name, Secret::new(*value));
    }
    fields
}

fn mapping(variables: &[&str], files: &[&str]) -> Mapping {
    Mapping {
        variables: variables.iter().map(|text| text.parse().expect("a variable")).collect(),
        files: files.iter().map(|text| text.parse().expect("a file")).collect(),
    }
}

#[test]
fn the_first_alternative_that_is_there_and_not_empty_is_taken() {
    let choice: Choice = "apiToken|token".parse().unwrap();
    let taken = |pairs: &[(&str, &str)]| fields(pairs).chosen(&choice).map(|secret| secret.expose().to_owned());
    assert_eq!(taken(&[("apiToken", "a"), ("token", "t")]).unwrap(), "a");
    assert_eq!(taken(&[("token", "t")]).unwrap(), "t");
    assert_eq!(taken(&[("apiToken", ""), ("token", "t")]).unwrap(), "t");
    let missing = taken(&[("url", "canary"), ("user", "canary")]).unwrap_err().to_string();
    assert_eq!(
        missing,
        "the credential has no field apiToken or token; its fields are: url, user"
    );
}

#[test]
fn names_that_could_be_secrets_or_break_a_line_are_counted_not_shown() {
    let odd = fields(&[("a\nb", "x"), (&"c".repeat(65), "x"), ("token", "x")]);
    assert_eq!(odd.names(), "token and 2 with unusual names");
    assert_eq!(format!("{odd:?}"), "Fields(token and 2 with unusual names)");
    assert_eq!(fields(&[]).names(), "none");
}

#[test]
fn what_is_no_mapping_is_refused() {
    for text in [
        "",
        "NAME",
        "=field",
        "1A=field",
        "A-B=field",
        "A B=field",
        "NAME=",
        "NAME=a|",
        "NAME=a b",
        "NAME=a/b",
    ] {
        assert!(text.parse::<ToVariable>().is_err(), "{text}");
    }
    for text in ["", "/a", "a/b=field", "/=field", "/a/..=field", "/a=", "=field"] {
        assert!(text.parse::<ToFile>().is_err(), "{text}");
    }
}

#[test]
fn a_file_without_a_directory_is_refused_before_anything_happens() {
    let directory = tempdir().unwrap();
    let path = directory.path().display().to_string();
    let wrong = |mapping: &Mapping| mapping.check().expect_err("refused");
    assert!(wrong(&mapping(&[], &["/nowhere/f=x"])).contains("its directory does not exist"));
    assert!(wrong(&mapping(&[], &[&format!("{path}=x")])).ends_with("is a directory"));
    assert!(mapping(&["A=x", "B=x"], &[&format!("{path}/f=x")]).check().is_ok());
}

#[test]
fn a_missing_field_is_told_with_the_flag_that_wants_it() {
    let error = mapping(&["TOKEN=apiToken"], &[])
        .of(&fields(&[("token", "canary")]))
        .expect_err("missing");
    assert_eq!(
        error.to_string(),
        "--env TOKEN=apiToken: the credential has no field apiToken; its fields are: token"
    );
    let error = mapping(&["TOKEN=token"], &[])
        .of(&fields(&[("token", "can\0ary")]))
        .expect_err("no variable");
    assert!(error.to_string().contains("zero byte"), "{error}");
}

#[test]
fn a_file_is_replaced_whole_and_nobody_else_may_read_it() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    fs::write(&path, "someone else's").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let mut reader = fs::File::open(&path).unwrap();
    let mapping = mapping(&[], &[&format!("{}=kubeconfig", path.display())]);
    for text in ["first", "second"] {
        mapping.of(&fields(&[("kubeconfig", text)])).unwrap().write().unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(metadata.mode() & 0o7777, 0o600);
    }
    let mut old = String::new();
    reader.read_to_string(&mut old).unwrap();
    assert_eq!(old, "someone else's", "who reads the old file reads it to its end");
    assert_eq!(
        fs::read_dir(directory.path()).unwrap().count(),
        1,
        "nothing is left behind"
    );
}
