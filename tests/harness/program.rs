//! The product's programs, started by tests.

use std::process::Command;

/// How to call a program that the kernel kills when the thread that started it is gone, however that went.
///
/// The environment of the tests tells it nothing: our own variables and those that name a proxy are taken away.
pub fn tied(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("VERTEX_INJECTOR_") || name.to_ascii_uppercase().ends_with("_PROXY") {
            command.env_remove(&*name);
        }
    }
    command
}
