//! What a user would take instead to forward calls: nginx, which adds nothing and looks into nothing.

use super::processes::{Fake, processor_time};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// nginx with one worker before the fake Vertex AI, over TLS with its certificate checked and connections kept.
pub(crate) struct Nginx {
    child: Child,
    directory: PathBuf,
    pub address: SocketAddr,
}

impl Nginx {
    /// None when it is not installed (`apt-get install nginx-light`).
    pub(crate) fn start(fake: &Fake) -> Option<Self> {
        let found = Command::new("nginx").arg("-v").stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            return None;
        }
        let directory = fake.directory.join("nginx");
        std::fs::create_dir_all(&directory).expect("a directory");
        let address = {
            let free = TcpListener::bind("127.0.0.1:0").expect("a port");
            free.local_addr().expect("its address")
        };
        let (at, authority, fake) = (directory.display(), fake.directory.join("ca.crt"), fake.address.port());
        let configuration = format!(
            "daemon off; user root; worker_processes 1; pid {at}/pid; error_log {at}/error.log;
             events {{ worker_connections 4096; }}
             http {{
               access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;
               fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
               client_body_buffer_size 64k; keepalive_requests 1000000;
               upstream vertex {{ server localhost:{fake}; keepalive 1100; keepalive_requests 1000000; }}
               server {{ listen {address}; location / {{
                 proxy_pass https://vertex; proxy_http_version 1.1; proxy_buffering off;
                 proxy_set_header Connection ''; proxy_set_header Host localhost:{fake};
                 proxy_ssl_name localhost; proxy_ssl_server_name on; proxy_ssl_verify on;
                 proxy_ssl_trusted_certificate {authority}; }} }}
             }}",
            authority = authority.display(),
        );
        let file = directory.join("nginx.conf");
        std::fs::write(&file, configuration).expect("its configuration");
        let child = Command::new("nginx")
            .arg("-p")
            .arg(&directory)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .expect("start nginx");
        let nginx = Self {
            child,
            directory,
            address,
        };
        for _ in 0..500 {
            if TcpStream::connect(address).is_ok() {
                return Some(nginx);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nginx does not listen; see {}/error.log", nginx.directory.display());
    }

    /// Time of a processor that its worker has had.
    pub(crate) fn processor_time(&self) -> Duration {
        let process = self.child.id();
        let children = format!("/proc/{process}/task/{process}/children");
        let workers = std::fs::read_to_string(children).expect("its workers");
        workers
            .split_whitespace()
            .filter_map(|worker| worker.parse().ok())
            .map(processor_time)
            .sum()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers when it is asked, and leaves them when it is killed.
        let process = self.child.id().to_string();
        let _ = Command::new("kill").arg(process).status();
        let _ = self.child.wait();
    }
}
