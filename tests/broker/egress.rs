//! Networks that let programs out by an HTTP proxy only.

use super::http2::{Secure, ask};
use super::process::{Broker, program};
use super::vertex::{MODELS, post, read_until};
use harness::request::{self, Answer};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use vertex_injector_net::egress::Egress;

/// A name of Vertex AI that only the proxy knows.
const HOST: &str = "vertex.example.com";

/// An HTTP proxy that connects everybody with one address, or nobody.
struct Proxy {
    address: SocketAddr,
    /// Everything that it was sent, connection by connection.
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Proxy {
    fn start(to: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let all = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let all = Arc::clone(&all);
                std::thread::spawn(move || serve(stream, to, &all));
            }
        });
        Self { address, seen }
    }

    /// How it is named in the environment.
    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .collect()
    }
}

fn serve(mut stream: TcpStream, to: Option<SocketAddr>, all: &Mutex<Vec<Vec<u8>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a whole head");
        head.extend(byte);
    }
    let number = {
        let mut all = all.lock().unwrap();
        all.push(head);
        all.len() - 1
    };
    let Some(to) = to else {
        let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
        return;
    };
    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").expect("an answer");
    let mut there = TcpStream::connect(to).expect("a connection");
    let (mut back, mut here) = (
        there.try_clone().expect("a clone"),
        stream.try_clone().expect("a clone"),
    );
    std::thread::spawn(move || std::io::copy(&mut back, &mut here));
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        all.lock().unwrap()[number].extend_from_slice(&buffer[..read]);
        if there.write_all(&buffer[..read]).is_err() {
            return;
        }
    }
}

/// The answer to a call.
fn called(broker: &Broker) -> Answer {
    let request = post(
        &format!("{MODELS}/claude-short:streamRawPredict"),
        "",
        r#"{"messages":[]}"#,
    );
    request::ask(broker.address("proxy"), &request)
}

#[test]
fn a_proxy_learns_the_host_and_nothing_else() {
    let vertex = Secure::start("egress", usize::MAX);
    let proxy = Proxy::start(Some(vertex.address));
    let url = format!("http://somebody:s%40cret@{}", proxy.address);
    for variable in ["HTTPS_PROXY", "https_proxy"] {
        let broker = vertex.broker_at(HOST, &[(variable, &url)]);
        read_until(&mut ask(&broker, "claude-short"), "0\r\n\r\n");
        assert_eq!(broker.startup["https_proxy"], proxy.address.to_string());
        let log = broker.log();
        assert!(!log.contains("s%40cret") && !log.contains("s@cret"), "{log}");
    }
    let seen = proxy.seen();
    assert_eq!(seen.len(), 2, "one connection each");
    for connection in seen {
        let (head, rest) = connection.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.lines();
        let target = format!("{HOST}:{}", vertex.address.port());
        assert_eq!(lines.next(), Some(format!("CONNECT {target} HTTP/1.1").as_str()));
        let mut rest_of_head: Vec<String> = lines.map(str::to_ascii_lowercase).collect();
        rest_of_head.sort_unstable();
        // somebody:s@cret
        let authorization = "proxy-authorization: basic c29tzwjvzhk6c0bjcmv0";
        assert_eq!(rest_of_head, [format!("host: {target}"), authorization.to_owned()]);
        assert!(!rest.contains("Bearer") && !rest.contains("claude"), "it is encrypted");
    }
}

#[test]
fn loopback_and_excepted_hosts_are_reached_without_it() {
    let vertex = Secure::start("egress-straight", usize::MAX);
    let proxy = Proxy::start(Some(vertex.address));
    let broker = vertex.broker_at("localhost", &[("HTTPS_PROXY", &proxy.url())]);
    read_until(&mut ask(&broker, "claude-short"), "0\r\n\r\n");
    let excepted = [
        ("HTTPS_PROXY", proxy.url()),
        ("NO_PROXY", "10.0.0.0/8, .example.com".to_owned()),
    ];
    let excepted = excepted.each_ref().map(|(name, value)| (*name, value.as_str()));
    // Nobody else knows the name.
    let answer = called(&vertex.broker_at(HOST, &excepted));
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("cannot be reached"), "{}", answer.body);
    assert_eq!(proxy.seen(), Vec::<String>::new());
}

#[test]
fn a_proxy_that_refuses_is_an_outage_and_no_end() {
    let vertex = Secure::start("egress-refused", usize::MAX);
    let proxy = Proxy::start(None);
    let broker = vertex.broker_at(HOST, &[("HTTPS_PROXY", &proxy.url())]);
    for _ in 0..2 {
        let answer = called(&broker);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")));
    }
    assert_eq!(proxy.seen().len(), 2);
}

#[test]
fn what_is_no_proxy_is_said_before_anything_listens_and_not_repeated() {
    for url in [
        "https://me:s3cr3t@proxy.example.com:3128",
        "socks5://me:s3cr3t@proxy.example.com",
        "http://me:s3cr3t@proxy.example.com/path",
        "http://me:s3cr3t@/",
        "s3cr3t proxy",
    ] {
        let ended = program()
            .args([
                "broker",
                "--mode=metadata",
                "--project=p",
                "--node-metadata-server=127.0.0.1:1",
            ])
            .args(["--metadata-port=0"])
            .env("HTTPS_PROXY", url)
            .stdin(Stdio::null())
            .output()
            .expect("run the program");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{url}: {said}");
        assert!(said.contains("HTTPS_PROXY has to be http://HOST:PORT"), "{said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
}

#[test]
fn proxies_are_named_with_and_without_what_may_be_left_out() {
    let of = |url: &str| {
        let egress = Egress::of(|name| (name == "HTTPS_PROXY").then(|| url.to_owned())).expect("a proxy");
        egress.proxy().map(str::to_owned)
    };
    assert_eq!(of(""), None);
    assert_eq!(of("http://proxy"), Some("proxy:80".to_owned()));
    assert_eq!(of("proxy.example.com:3128"), Some("proxy.example.com:3128".to_owned()));
    assert_eq!(
        of("http://me:secret@[fd00::1]:3128/"),
        Some("[fd00::1]:3128".to_owned())
    );
    let debug = format!("{:?}", Egress::of(|_| Some("http://me:secret@proxy:1".to_owned())));
    assert!(!debug.contains("secret"), "{debug}");
}
