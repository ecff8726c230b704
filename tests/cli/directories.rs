//! Where `crds` and `man` write their files.

use crate::{Files, run};
use std::fs;

const WRITERS: [(&str, &str); 2] = [("crds", "injectionpolicies.yaml"), ("man", "vertex-injector.1")];

#[test]
fn a_directory_that_does_not_exist_is_made() {
    for (verb, file) in WRITERS {
        let files = Files::new(&[]);
        assert_eq!(run(&[verb, "--output-dir", &files.path("not/yet")]).output(), "");
        assert!(fs::exists(files.path(&format!("not/yet/{file}"))).unwrap(), "{verb}");
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_told() {
    for (verb, _) in WRITERS {
        let files = Files::new(&[("file", "")]);
        let directory = files.path("file/below");
        let ran = run(&[verb, "--output-dir", &directory]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{verb}");
        let told = format!("error: {directory} cannot be made: ");
        assert!(ran.stderr.starts_with(&told), "{}", ran.stderr);
    }
}
