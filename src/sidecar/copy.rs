//! `vertex-injector copy`: our image has no other program that could copy this one.

use crate::ending::Ending;
use anyhow::Context;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use vertex_injector_core::contract::TO;
use vertex_injector_net::remarks::say;

/// Copy this program into a directory, from which other containers of the pod can run it.
///
/// It is the init container of pods with credential sidecars whose images lack it.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The directory; the file is called vertex-injector-sidecar and may be run by everybody
    #[arg(long = TO.flag, value_name = "DIRECTORY", value_hint = clap::ValueHint::DirPath)]
    to: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let target = args.to.join(vertex_injector_core::names::PROGRAM);
    copy(&program, &args.to, &target).with_context(|| format!("cannot write {}", target.display()))?;
    say("copied", &target.display().to_string());
    Ok(Ending::Done)
}

/// At once: whoever finds it finds it whole.
fn copy(program: &Path, directory: &Path, target: &Path) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".vertex-injector-")
        .tempfile_in(directory)?;
    io::copy(&mut File::open(program)?, &mut file)?;
    file.as_file().set_permissions(Permissions::from_mode(0o555))?;
    file.persist(target)?;
    Ok(())
}
