//! A real server of the Model Context Protocol behind the wrapper, the exchange with a strict control plane before it, and a real
//! client as the agent: in a root file system of its own, as another user, where no credential can be found.

use super::process::{Directory, PATIENCE, Wrapper, children};
use aws_lc_rs::digest::{SHA256, digest};
use harness::google::processes::{cannot_run, fake, fresh_directory, namespaces};
use harness::process::repository;
use harness::request::ask;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const SESSION: &str = "session-of-a-real-agent";

/// The Python that has the pinned client and server, and the prefix of the Python that it is made from.
fn python() -> Result<(PathBuf, PathBuf), String> {
    static ANSWER: OnceLock<Result<(PathBuf, PathBuf), String>> = OnceLock::new();
    ANSWER
        .get_or_init(|| {
            let python = said(Command::new(repository().join("hack/clients/install")).args(["--print", "mcp"]))?;
            let prefix = said(Command::new(&python).args(["-c", "import sys; print(sys.base_prefix)"]))?;
            Ok((python.into(), prefix.into()))
        })
        .clone()
}

fn said(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

/// The fake control plane; it ends with its standard input, and so with the test.
struct ControlPlane {
    child: Child,
    address: SocketAddr,
    directory: Directory,
}

impl ControlPlane {
    fn start(credentials: &Value) -> Self {
        let directory = Directory::new();
        let file = directory.write("credentials.json", &credentials.to_string());
        let mut child = Command::new(fake())
            .args([
                "control-plane",
                "--credentials",
                &file,
                "--directory",
                &directory.path(""),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the control plane");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        let address = line
            .trim()
            .strip_prefix("LISTENING ")
            .expect("an address")
            .parse()
            .expect("an address");
        Self {
            child,
            address,
            directory,
        }
    }

    fn becomes(&self, credentials: &Value) {
        self.directory.write("credentials.json", &credentials.to_string());
    }

    /// Operation, path and status of all requests.
    fn journal(&self) -> Vec<(String, u64)> {
        let lines = self.directory.read("journal.jsonl");
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        lines
            .map(|line| {
                (
                    line["path"].as_str().unwrap().to_owned(),
                    line["status"].as_u64().unwrap(),
                )
            })
            .collect()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The agent, which asks the server what it holds whenever it is told to.
struct Agent {
    child: Child,
    root: PathBuf,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Agent {
    fn start(transport: &str, url: &str) -> Self {
        let (python, prefix) = python().expect("it is installed");
        let root = fresh_directory();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--"]);
        command
            .arg(repository().join("hack/clients/in-pod"))
            .arg("--root")
            .arg(&root);
        for seen in [prefix, repository().join("hack/clients/mcp")] {
            command.arg("--see").arg(seen);
        }
        let mut child = command
            .arg("--")
            .arg(python)
            .arg(repository().join("hack/clients/mcp/client.py"))
            .args([transport, url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the agent");
        let orders = child.stdin.take().expect("a pipe");
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Self {
            child,
            root,
            orders,
            answers,
        }
    }

    /// What the tool of the server says.
    fn hears(&mut self) -> Value {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn asks(&mut self) -> Value {
        self.orders.write_all(b"\n").expect("an order");
        self.hears()
    }

    /// The client's own process, below what puts it into its pod.
    fn process(&self) -> PathBuf {
        let mut process = PathBuf::from(format!("/proc/{}", self.child.id()));
        loop {
            let id = process.file_name().unwrap().to_str().unwrap().parse().unwrap();
            match children(id).first() {
                Some(child) => process.clone_from(child),
                None => return process,
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn sha256(text: &str) -> String {
    digest(&SHA256, text.as_bytes())
        .as_ref()
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its address")
        .port()
}

fn wait_until_it_listens(port: u16, wrapper: &Wrapper) {
    let end = Instant::now() + 2 * PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "the server does not listen: {}", wrapper.output());
        harness::process::pause(Duration::from_millis(20));
    }
}

/// Every file of the agent's own file system that holds a text: all but the programs of the machine, which are shared.
fn files_with(root: &Path, texts: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    let mut looked_at = 0;
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory").map_while(Result::ok) {
            let path = entry.path();
            let kind = entry.file_type().expect("a kind");
            let shared = ["usr", "proc", "dev", "bin", "sbin", "lib", "lib64"];
            if kind.is_dir() {
                let inner = path.strip_prefix(root).unwrap();
                let python = inner.ends_with(".venv") || inner.ends_with("lib/python3.11") || inner.ends_with(".pyenv");
                if !shared.iter().any(|name| inner == Path::new(name)) && !python {
                    directories.push(path);
                }
            } else if kind.is_file() {
                looked_at += 1;
                let bytes = fs::read(&path).unwrap_or_default();
                if texts
                    .iter()
                    .any(|text| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
                {
                    found.push(path);
                }
            }
        }
    }
    assert!(looked_at > 0, "nothing was looked at");
    found
}

fn a_refresh_reaches_the_server(transport: &str, path: &str) {
    if let Err(reason) = namespaces().and_then(|()| python().map(drop)) {
        return cannot_run(&reason);
    }
    let credentials = |token: &str, config: &str| {
        json!({"github-1": {"provider": "github", "token": token, "url": "https://git.example", "config": config},
               "jira-1": {"provider": "jira", "token": "canary-of-another-session"}})
    };
    let platform = ControlPlane::start(&credentials("canary-token-1", "canary-config-1"));
    let sidecar = Directory::new();
    let port = free_port();
    let file = sidecar.path("credential");
    let mapped = format!("{file}=config");
    let (python, _) = python().expect("it is installed");
    let server = repository().join("hack/clients/mcp/server.py");
    let token_url = format!("http://{}/token", platform.address);
    let api_url = format!("http://{}", platform.address);
    let key = platform.directory.read("public-key.pem");
    let mut wrapper = Wrapper::start(
        &[
            "--source=ambient",
            "--env=GITHUB_PERSONAL_ACCESS_TOKEN=token",
            "--file",
            &mapped,
            "--grace-period=2",
            "--control-port=0",
            "--",
            python.to_str().unwrap(),
            server.to_str().unwrap(),
            transport,
            &port.to_string(),
        ],
        &[
            ("SESSION_ID", SESSION),
            ("AMBIENT_API_URL", &api_url),
            ("AMBIENT_CP_TOKEN_URL", &token_url),
            ("AMBIENT_CP_TOKEN_PUBLIC_KEY", &key),
            ("CREDENTIAL_IDS", r#"{"github":"github-1"}"#),
            ("CREDENTIAL_FILE", &file),
        ],
    );
    wait_until_it_listens(port, &wrapper);
    let first: Vec<(String, u64)> = [
        "/token",
        "/api/ambient/v1/credentials/github-1/token",
        "/api/ambient/v1/credentials/github-1",
    ]
    .map(|path| (path.to_owned(), 200))
    .into();
    assert_eq!(platform.journal(), first);

    let mut agent = Agent::start(transport, &format!("http://127.0.0.1:{port}{path}"));
    assert_eq!(
        agent.hears(),
        json!({"variable": sha256("canary-token-1"), "file": sha256("canary-config-1")})
    );

    // Nothing of it is where the agent can look: its environment, its arguments, its files.
    let process = agent.process();
    let secrets = [
        "canary-token",
        "canary-config",
        "canary-of",
        SESSION,
        "BEGIN PUBLIC KEY",
    ];
    let environment = fs::read_to_string(process.join("environ")).expect("its environment");
    assert!(
        environment.contains("HOME=/home/agent"),
        "the client itself, not what started it: {environment:?}"
    );
    for secret in secrets {
        assert!(!environment.contains(secret), "{secret}");
    }
    for one in [
        process.join("cmdline"),
        format!("/proc/{}/cmdline", wrapper.id()).into(),
    ] {
        let line = fs::read_to_string(&one).expect("its arguments");
        assert!(!line.contains("canary"), "{}", one.display());
    }
    let own = files_with(&process.join("root"), &secrets);
    assert_eq!(own, Vec::<PathBuf>::new(), "files that hold a secret");
    let outside = process.join("root").join(file.trim_start_matches('/'));
    assert!(
        !outside.exists(),
        "the sidecar's file is not in the agent's file system"
    );

    // A refresh brings the same, or another one.
    platform.becomes(&credentials("canary-token-2", "canary-config-2"));
    assert_eq!(wrapper.ask("POST", "/refresh"), (200, "refreshed\n".to_owned()));
    wrapper.wait_for_nth("the child has started", 1);
    wait_until_it_listens(port, &wrapper);
    assert_eq!(
        agent.asks(),
        json!({"variable": sha256("canary-token-2"), "file": sha256("canary-config-2")})
    );
    assert_eq!(platform.journal().len(), 6);
    assert_eq!(wrapper.ask("GET", "/readyz").0, 200);

    for secret in secrets {
        assert!(!wrapper.output().contains(secret), "{secret}: {}", wrapper.output());
    }
    wrapper.signal("TERM");
    assert_eq!(wrapper.ended().0, Some(0));
}

#[test]
fn a_refresh_reaches_a_real_mcp_server_over_sse() {
    a_refresh_reaches_the_server("sse", "/sse");
}

#[test]
fn a_refresh_reaches_a_real_mcp_server_over_streamable_http() {
    a_refresh_reaches_the_server("streamable-http", "/mcp");
}

#[test]
fn the_fake_control_plane_is_as_strict_as_the_real_one() {
    let platform = ControlPlane::start(&json!({"github-1": {"provider": "github", "token": "t"}}));
    let key = platform.directory.path("public-key.pem");
    // Encrypted by another implementation than the one that decrypts.
    let encrypted = |session: &str, digest: &str| {
        let file = platform.directory.write("session", session);
        let option = format!("rsa_oaep_md:{digest}");
        let script = r#"openssl pkeyutl -encrypt -pubin -inkey "$1" -in "$2" -pkeyopt rsa_padding_mode:oaep -pkeyopt "$3" | base64 -w0"#;
        said(Command::new("sh").args(["-c", script, "sh", &key, &file, &option])).expect("openssl")
    };
    let get = |method: &str, path: &str, bearer: &str| {
        let header = if bearer.is_empty() {
            String::new()
        } else {
            format!("Authorization: {bearer}\r\n")
        };
        let request = format!("{method} {path} HTTP/1.1\r\nHost: cp\r\nConnection: close\r\n{header}\r\n");
        let answer = ask(platform.address, request.as_bytes());
        (answer.status, answer.body)
    };
    let good = encrypted(SESSION, "sha256");
    for (method, path, bearer, status) in [
        ("GET", "/token", String::new(), 401),
        ("GET", "/token", "Bearer ".to_owned(), 401),
        ("GET", "/token", "Bearer no base64".to_owned(), 401),
        ("GET", "/token", format!("Basic {good}"), 401),
        (
            "GET",
            "/token",
            format!("Bearer {}", good.replace('+', "-").trim_end_matches('=')),
            401,
        ),
        ("GET", "/token", format!("Bearer {}", encrypted(SESSION, "sha1")), 401),
        (
            "GET",
            "/token",
            format!("Bearer {}", encrypted("short-7", "sha256")),
            403,
        ),
        (
            "GET",
            "/token",
            format!("Bearer {}", encrypted("with white space", "sha256")),
            403,
        ),
        ("POST", "/token", format!("Bearer {good}"), 405),
        ("GET", "/token/", format!("Bearer {good}"), 404),
        (
            "GET",
            "/api/ambient/v1/credentials/github-1/token",
            format!("Bearer {good}"),
            401,
        ),
        ("GET", "/api/ambient/v1/credentials/github-1", String::new(), 401),
        ("GET", "/token", format!("Bearer {good}"), 200),
    ] {
        let (answered, body) = get(method, path, &bearer);
        assert_eq!(answered, status, "{method} {path}: {body}");
    }
    let minted: Value = serde_json::from_str(&get("GET", "/token", &format!("Bearer {good}")).1).expect("JSON");
    let bearer = format!("Bearer {}", minted["token"].as_str().expect("a token"));
    assert_eq!(get("GET", "/api/ambient/v1/credentials/unknown/token", &bearer).0, 404);
    let (status, body) = get("GET", "/api/ambient/v1/credentials/github-1/token", &bearer);
    assert_eq!(status, 200);
    assert_eq!(
        serde_json::from_str::<Value>(&body).expect("JSON"),
        json!({"credential_id": "github-1", "provider": "github", "token": "t"})
    );
}
