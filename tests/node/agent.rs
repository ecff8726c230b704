//! The image that takes the place of the systems' images: a shell that looks around and goes on until it is told to stop.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::process::run;

/// Its name.
pub(crate) const IMAGE: &str = "localhost/agent:1";

/// How the systems' images begin. Fracta's entrypoint puts two folders in front of PATH and starts its arguments; that of
/// Kartograph's jobs starts its agent with them.
const ENTRYPOINT: &str = r#"#!/bin/sh
export PATH="$PWD/.fracta/auth-helpers:/opt/fracta/auth-helpers:$PATH"
case $1 in -*) set -- claude "$@" ;; esac
exec "$@"
"#;

/// The agent. It tells what it sees, but no token; serves /health, as Kartograph's sessions do; and ends well when a test
/// says so.
const AGENT: &str = r#"#!/bin/sh
set -eu
say() { echo "agent: $*"; }
say "user $(id -u)"
say "configuration $(cat "$GOOGLE_APPLICATION_CREDENTIALS")"
token=$(sed -n 's/.*"credential_source":{"file":"\([^"]*\)".*/\1/p' "$GOOGLE_APPLICATION_CREDENTIALS")
say "token of $(cut -d. -f2 "$token" | wc -c) characters"
if helper=$(command -v fetch-vertex-token); then
  say "helper $helper"
  say "helper says $(fetch-vertex-token)"
fi
for url in $(echo "${CREDENTIAL_MCP_URLS:-}" | grep -o 'localhost:[0-9]*'); do
  say "sidecar says $(nc "${url%:*}" "${url#*:}" </dev/null)"
done
mkdir -p /tmp/www
echo well >/tmp/www/health
httpd -p 8787 -h /tmp/www
until [ -e /tmp/stop ]; do sleep 0.1; done
say done
"#;

/// Where a helper calls gcloud, this one says with what; the real one is run outside, against the fake Google.
const GCLOUD: &str = "#!/bin/sh\necho gcloud \"$@\"\n";

/// What stands in for the proxies of meshes: each answers the probes that its mesh gives it, and waits for it as the mesh's hooks
/// do. `linkerd-await` and `pilot-agent` have the names and arguments of the real ones.
const LINKERD_PROXY: &str = "#!/bin/sh\nexec httpd -f -p 4191 -h /mesh\n";
const LINKERD_AWAIT: &str = "#!/bin/sh\nuntil wget -q -O /dev/null http://127.0.0.1:4191/ready; do sleep 0.1; done\n";
const PILOT_AGENT: &str = r"#!/bin/sh
case $1 in
proxy) exec httpd -f -p 15021 -h /mesh ;;
wait) until wget -q -O /dev/null http://127.0.0.1:15021/healthz/ready; do sleep 0.1; done ;;
istio-iptables) ;;
*) exit 2 ;;
esac
";

/// Builds it from scratch with the machine's static busybox, and `fakes` as `vertex-injector-fakes`: an archive.
#[track_caller]
pub(crate) fn build(fakes: &Path) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("agent-image");
    // An earlier run's.
    let _ = fs::remove_dir_all(&folder);
    let files = folder.join("files");
    let bin = files.join("bin");
    fs::create_dir_all(&bin).expect("a folder for the image");
    let busybox = sh("command -v busybox");
    fs::copy(busybox.trim(), bin.join("busybox")).expect("busybox");
    fs::copy(fakes, bin.join("vertex-injector-fakes")).expect("the program that asks models");
    for applet in sh("busybox --list").lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", bin.join(applet)).expect("an applet");
    }
    for (path, text) in [
        (files.join("entrypoint.sh"), ENTRYPOINT),
        (bin.join("agent"), AGENT),
        (bin.join("claude"), AGENT),
        (bin.join("gcloud"), GCLOUD),
        (bin.join("linkerd2-proxy"), LINKERD_PROXY),
        (files.join("usr/lib/linkerd/linkerd-await"), LINKERD_AWAIT),
        (bin.join("pilot-agent"), PILOT_AGENT),
        // What the proxies answer to their probes.
        (files.join("mesh/live"), "live"),
        (files.join("mesh/ready"), "ready"),
        (files.join("mesh/healthz/ready"), "ready"),
    ] {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("a script");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its mode");
    }
    // Where images have a home and scratch space that their user can write.
    for writable in ["tmp", "workspace"] {
        fs::create_dir(files.join(writable)).expect("a folder");
        fs::set_permissions(files.join(writable), Permissions::from_mode(0o1777)).expect("its mode");
    }
    let containerfile = folder.join("Containerfile");
    let text =
        "FROM scratch\nCOPY . /\nENV PATH=/bin\nUSER 65532:65532\nENTRYPOINT [\"/entrypoint.sh\"]\nCMD [\"agent\"]\n";
    fs::write(&containerfile, text).expect("the Containerfile");

    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (root, state) = (path(&folder.join("root")), path(&folder.join("run")));
    let buildah = |arguments: &[&str]| {
        let mut command = Command::new("buildah");
        command
            .args(["--root", &root, "--runroot", &state, "--storage-driver", "vfs"])
            .args(arguments);
        run(&mut command, "", Duration::from_mins(1)).output()
    };
    let (containerfile, files) = (path(&containerfile), path(&files));
    buildah(&[
        "bud",
        "-q",
        "--isolation",
        "chroot",
        "--tag",
        IMAGE,
        "--file",
        &containerfile,
        &files,
    ]);
    let archive = folder.join("agent.tar");
    buildah(&[
        "push",
        "-q",
        IMAGE,
        &format!("docker-archive:{}:{IMAGE}", path(&archive)),
    ]);
    archive
}

fn sh(script: &str) -> String {
    run(Command::new("sh").args(["-c", script]), "", Duration::from_secs(10)).output()
}
