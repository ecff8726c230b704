//! An agent that is root owns the network of its pod: it writes `/etc/hosts`, listens on every port and reads every packet. Here it
//! does, in namespaces of its own, beside a broker and the wrapper of a sidecar: it sees no token and no credential, and cannot
//! answer in the name of a host.

use harness::process::{self, pause};
use harness::program::tied;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustix::net::{AddressFamily, RecvFlags, SocketType, eth, recv, socket};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const NAMES: [&str; 3] = [
    "sts.googleapis.com",
    "us-east5-aiplatform.googleapis.com",
    "creds.example.com",
];

const IDENTITY: &str = "canary-of-the-identity";
const FETCHER: &str = "canary-that-fetches-the-credential";
const ANSWERED: &str = "canary-that-is-answered";

/// Says to [`inside_the_pod`] that it is.
const INSIDE: &str = "VERTEX_ATTACK_INSIDE";

#[test]
fn an_agent_that_is_root_with_a_sniffer_and_a_hosts_file_sees_no_token_and_no_credential() {
    let within = ["--map-root-user", "--net", "--mount", "--"];
    let possible = Command::new("unshare").args(within).arg("true").output();
    let possible = possible.is_ok_and(|ran| ran.status.success());
    let missing = || process::Missing("no namespaces can be made here: allow unshare --map-root-user".to_owned());
    if process::or_explain(possible.then_some(()).ok_or_else(missing)).is_none() {
        return;
    }
    let mut command = Command::new("unshare");
    command.args(within).arg(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "network::inside_the_pod", "--nocapture"])
        .env(INSIDE, "1");
    let ran = process::run(&mut command, "", Duration::from_mins(3));
    assert!(
        ran.success() && ran.stdout.contains("1 passed"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}

#[test]
#[ignore = "runs in the namespaces that the test above makes"]
fn inside_the_pod() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    ran("ip", &["link", "set", "lo", "up"]);
    fs::write(
        path("hosts"),
        format!("127.0.0.1 localhost creds.platform.svc {}\n", NAMES.join(" ")),
    )
    .unwrap();
    ran("mount", &["--bind", &path("hosts"), "/etc/hosts"]);
    fs::write(path("identity"), IDENTITY).unwrap();
    fs::write(path("fetcher"), FETCHER).unwrap();
    let packets = sniff();
    let impostor = Impostor::listen(&directory.path().join("ca.pem"));
    let plain = Heard::default();
    let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
    serve(listener, plain.clone(), None);
    let lacks_tokens = |heard: &Heard| [IDENTITY, FETCHER, ANSWERED].iter().all(|canary| !heard.has(canary));

    // Whoever answers in the name of a host without its certificate gets nothing.
    for (trusted, ports) in [(false, ["18470", "18471"]), (true, ["28470", "28471"])] {
        let ca = if trusted { path("ca.pem") } else { String::new() };
        let before = impostor.connections();
        let _broker = Running::start(&broker(&path("identity"), ports), &ca);
        let _wrapper = Running::start(
            &wrapper("https://creds.example.com/v1/tool", &path("fetcher"), &[]),
            &ca,
        );
        until("the broker asked", || {
            ask_a_model(ports[1]) && impostor.connections() >= before + 2
        });
        if trusted {
            until("both tokens came", || {
                impostor.heard.has(IDENTITY) && impostor.heard.has(FETCHER)
            });
            // With the access token, which was answered by TLS, the model is asked by HTTP/2, which this impostor does not speak.
            until("the call came", || {
                ask_a_model(ports[1]) && impostor.heard.has("PRI * HTTP/2.0")
            });
        } else {
            pause(Duration::from_secs(1));
            assert!(
                lacks_tokens(&impostor.heard),
                "an impostor without a certificate has read something"
            );
        }
    }
    assert!(packets.has("ask a model"), "the sniffer hears nothing");
    assert!(lacks_tokens(&packets), "the sniffer has read a token or a credential");

    // Plain http is refused before anything is sent, unless it is said that the network may be read.
    let url = "http://creds.platform.svc:8080/v1/tool";
    let mut refused = Running::start(&wrapper(url, &path("fetcher"), &[]), "");
    let ended = process::wait(&mut refused.0, Instant::now() + Duration::from_secs(20));
    assert_eq!(ended.and_then(|status| status.code()), Some(2));
    assert!(lacks_tokens(&plain) && lacks_tokens(&packets));
    let _open = Running::start(&wrapper(url, &path("fetcher"), &["--plain-http", "services"]), "");
    until("the token came", || plain.has(FETCHER) && packets.has(FETCHER));
}

fn broker(token: &str, [metadata, proxy]: [&str; 2]) -> Vec<String> {
    let configuration = format!(
        r#"{{"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {{"file": "{token}"}}}}"#
    );
    let flags = [
        "broker",
        "--mode",
        "proxy",
        "--project",
        "my-project",
        "--regions",
        "us-east5",
        "--credentials-json",
    ];
    let ports = ["--metadata-port", metadata, "--proxy-port", proxy];
    let all = flags.iter().copied().chain([&*configuration]).chain(ports);
    all.map(str::to_owned).collect()
}

fn wrapper(url: &str, token: &str, more: &[&str]) -> Vec<String> {
    let hosts = "creds.example.com,creds.platform.svc:8080";
    let flags = [
        "exec",
        "--source",
        url,
        "--token-file",
        token,
        "--allow-host",
        hosts,
        "--env",
        "T=token",
    ];
    let command = ["--", "sleep", "60"];
    let all = flags.iter().chain(more).chain(&command);
    all.map(|&part| part.to_owned()).collect()
}

/// Calls the proxy as a client does; whether it answers.
fn ask_a_model(port: &str) -> bool {
    let body = r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":1,"messages":[{"role":"user","content":"ask a model"}]}"#;
    let path = "/v1/projects/my-project/locations/us-east5/publishers/anthropic/models/claude-haiku-4-5:rawPredict";
    let Ok(mut stream) = TcpStream::connect(format!("127.0.0.1:{port}")) else {
        return false;
    };
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let sent = stream.write_all(format!("{head}{body}").as_bytes());
    sent.is_ok() && stream.read(&mut [0; 64]).is_ok_and(|read| read > 0)
}

/// A program of ours; it ends with the test.
struct Running(Child);

impl Running {
    fn start(arguments: &[String], ca: &str) -> Self {
        let mut command = tied(env!("CARGO_BIN_EXE_vertex-injector"));
        command.args(arguments);
        command.env("VERTEX_INJECTOR_CA_FILES", ca);
        // Its own child outlives a wrapper that is killed, and would keep the test's output open.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bytes that somebody got to read.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn add(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }

    fn has(&self, text: &str) -> bool {
        self.0
            .lock()
            .unwrap()
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    }
}

/// Every packet of the namespace.
fn sniff() -> Heard {
    let packets = socket(AddressFamily::PACKET, SocketType::RAW, Some(eth::ALL)).expect("root has raw sockets");
    let (heard, mut buffer) = (Heard::default(), vec![0; 1 << 17]);
    let ours = heard.clone();
    thread::spawn(move || {
        while let Ok((read, _)) = recv(&packets, &mut buffer[..], RecvFlags::empty()) {
            ours.add(&buffer[..read]);
        }
    });
    heard
}

/// Who answers in the name of every host, with certificates of an authority of its own.
struct Impostor {
    heard: Heard,
    connected: Arc<Mutex<usize>>,
}

impl Impostor {
    fn listen(ca: &Path) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        fs::write(ca, parameters.self_signed(&ca_key).unwrap().pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = CertificateParams::new(NAMES.map(str::to_owned)).unwrap();
        let leaf = names.signed_by(&key, &Issuer::new(parameters, ca_key)).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = config
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        let impostor = Self {
            heard: Heard::default(),
            connected: Arc::default(),
        };
        let counted = Some((Arc::new(config), Arc::clone(&impostor.connected)));
        serve(
            TcpListener::bind("127.0.0.1:443").unwrap(),
            impostor.heard.clone(),
            counted,
        );
        impostor
    }

    fn connections(&self) -> usize {
        *self.connected.lock().unwrap()
    }
}

type Tls = (Arc<ServerConfig>, Arc<Mutex<usize>>);

/// Answers everything with a token, and remembers what it was sent.
fn serve(listener: TcpListener, heard: Heard, tls: Option<Tls>) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let (heard, tls) = (heard.clone(), tls.clone());
            thread::spawn(move || match tls {
                None => answer(stream, &heard),
                Some((config, connected)) => {
                    *connected.lock().unwrap() += 1;
                    answer(StreamOwned::new(ServerConnection::new(config).unwrap(), stream), &heard);
                }
            });
        }
    });
}

fn answer(mut stream: impl Read + Write, heard: &Heard) {
    let json = format!(
        r#"{{"access_token": "{ANSWERED}", "token": "{ANSWERED}", "expires_in": 3600, "token_type": "Bearer",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}}"#
    );
    let mut buffer = vec![0; 1 << 16];
    // One request is one read or two; what matters is what was said.
    loop {
        let said = match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(length) => &buffer[..length],
        };
        heard.add(said);
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
        let written = write!(stream, "{answer}\r\ncontent-length: {}\r\n\r\n{json}", json.len());
        if written.and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

fn ran(program: &str, arguments: &[&str]) {
    assert!(
        Command::new(program).args(arguments).status().unwrap().success(),
        "{program} {arguments:?}"
    );
}

fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_mins(1);
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        pause(Duration::from_millis(100));
    }
}
