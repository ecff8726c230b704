//! `vertex-injector probe`: whether the broker beside us listens, for the kubelet's exec probe.
//!
//! The kubelet cannot ask over the network, because the broker listens on loopback only.

use super::proxy::refusal::SERVER_NAME;
use anyhow::{Context, bail};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks both ports, or the one that there is.
///
/// # Errors
/// When a port does not answer as the broker does.
pub fn run(metadata_port: u16, proxy_port: Option<u16>) -> anyhow::Result<()> {
    let metadata = |head: &str| head.starts_with("http/1.1 200 ") && head.contains("\r\nmetadata-flavor: google\r\n");
    check(metadata_port, "metadata server", metadata)?;
    if let Some(port) = proxy_port {
        // It answers nothing but model calls, and says so in its own name.
        let server = format!("\r\nserver: {SERVER_NAME}\r\n");
        let proxy = |head: &str| head.starts_with("http/1.1 403 ") && head.contains(&server);
        check(port, "Vertex proxy", proxy)?;
    }
    Ok(())
}

fn check(port: u16, what: &str, is_ours: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let head = ask(address).with_context(|| format!("the broker does not answer on {address}"))?;
    if is_ours(&head.to_ascii_lowercase()) {
        return Ok(());
    }
    bail!("what answers on {address} is not a broker's {what}");
}

/// The beginning of the answer to `GET /`.
fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nMetadata-Flavor: Google\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    stream.take(4096).read_to_end(&mut head)?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}
