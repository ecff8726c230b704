//! A host of git repositories: git's own `http-backend` behind TLS and Basic authentication, and what else a host may answer.

use axum::body::Body;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A host that runs until it is dropped.
pub(super) struct Forge {
    state: Arc<State>,
    port: u16,
    ca: PathBuf,
    _runtime: tokio::runtime::Runtime,
}

struct State {
    repositories: PathBuf,
    /// `user:password` that may enter.
    login: Mutex<String>,
    manner: Mutex<Manner>,
    seen: Mutex<Vec<Seen>>,
    /// Called in the middle of each exchange.
    watch: Mutex<Option<Box<dyn FnMut() + Send>>>,
}

/// How requests are answered.
#[derive(Clone)]
pub(super) enum Manner {
    /// As a host of git repositories does.
    Git,
    /// With this, whatever is asked; `{authorization}` in body or headers is what the request had.
    Fixed(u16, Vec<(&'static str, String)>, String),
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub line: String,
    pub headers: HeaderMap,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Forge {
    /// A host in a directory of its own, which `user:password` may enter.
    pub(super) fn start(directory: &Path, login: &str) -> Self {
        let repositories = directory.join("repositories");
        fs::create_dir_all(&repositories).expect("a directory");
        let ca = directory.join("ca.crt");
        // A client that prefers HTTP/2 must not be given what the host does not speak.
        let tls = harness::tls::localhost(&ca, "http/1.1");
        let state = Arc::new(State {
            repositories,
            login: Mutex::new(login.to_owned()),
            manner: Mutex::new(Manner::Git),
            seen: Mutex::default(),
            watch: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("its port").port();
        runtime.spawn(serve(listener, tls, Arc::clone(&state)));
        Self {
            state,
            port,
            ca,
            _runtime: runtime,
        }
    }

    /// `HOST:PORT`, as rules and URLs name it.
    pub(super) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// The URL that people use for a repository.
    pub(super) fn url(&self, repository: &str) -> String {
        format!("https://{}/{repository}", self.host())
    }

    /// The file of certificates to trust.
    pub(super) fn ca(&self) -> &Path {
        &self.ca
    }

    /// Where a bare repository is kept.
    pub(super) fn path(&self, repository: &str) -> PathBuf {
        self.state.repositories.join(format!("{repository}.git"))
    }

    pub(super) fn let_in(&self, login: &str) {
        login.clone_into(&mut lock(&self.state.login));
    }

    pub(super) fn answer(&self, manner: Manner) {
        *lock(&self.state.manner) = manner;
    }

    pub(super) fn watch(&self, watch: impl FnMut() + Send + 'static) {
        *lock(&self.state.watch) = Some(Box::new(watch));
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        lock(&self.state.seen).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panicked with it")
}

async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, state: Arc<State>) {
    let acceptor = TlsAcceptor::from(tls);
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(state.respond(request).await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(Duration::from_mins(1));
            // Clients may leave at any time.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl State {
    async fn respond(&self, request: Request<Incoming>) -> Response<Body> {
        let target = request
            .uri()
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default();
        lock(&self.seen).push(Seen {
            line: format!("{} {target}", request.method()),
            headers: request.headers().clone(),
        });
        let authorization = request.headers().get("authorization").cloned();
        let given = authorization
            .as_ref()
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if let Manner::Fixed(status, headers, body) = lock(&self.manner).clone() {
            let mut response = Response::new(Body::from(body.replace("{authorization}", given)));
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            for (name, value) in headers {
                let value = value.replace("{authorization}", given);
                response.headers_mut().append(
                    HeaderName::from_static(name),
                    HeaderValue::try_from(value).expect("a value"),
                );
            }
            return response;
        }
        let expected = format!("Basic {}", BASE64_STANDARD.encode(lock(&self.login).as_bytes()));
        if given != expected {
            let mut response = Response::new(Body::from("who are you?"));
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            let challenge = HeaderValue::from_static("Basic realm=\"forge\"");
            response.headers_mut().insert("www-authenticate", challenge);
            return response;
        }
        if let Some(watch) = &mut *lock(&self.watch) {
            watch();
        }
        self.git(request).await
    }

    /// Git's own CGI program.
    async fn git(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let mut command = Command::new("git");
        command
            .arg("http-backend")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", "/nonexistent")
            .env("GIT_PROJECT_ROOT", &self.repositories)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REMOTE_USER", "someone")
            .env("REMOTE_ADDR", "127.0.0.1")
            .env("REQUEST_METHOD", head.method.as_str())
            .env("PATH_INFO", head.uri.path())
            .env("QUERY_STRING", head.uri.query().unwrap_or_default());
        for (variable, name) in [
            ("CONTENT_TYPE", "content-type"),
            ("CONTENT_LENGTH", "content-length"),
            ("HTTP_CONTENT_ENCODING", "content-encoding"),
            ("GIT_PROTOCOL", "git-protocol"),
        ] {
            if let Some(value) = header(name) {
                command.env(variable, value);
            }
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start git http-backend");
        let mut input = file(child.stdin.take().expect("a pipe"));
        tokio::spawn(async move {
            while let Some(Ok(frame)) = body.frame().await {
                if let Ok(data) = frame.into_data()
                    && input.write_all(&data).await.is_err()
                {
                    return;
                }
            }
            // What is written so far is written by others.
            let _ = input.flush().await;
        });
        let mut output = BufReader::new(file(child.stdout.take().expect("a pipe")));
        // When nobody reads its output any more, it ends.
        tokio::task::spawn_blocking(move || child.wait());
        let mut response = Response::new(Body::empty());
        loop {
            let mut line = String::new();
            output.read_line(&mut line).await.expect("a header of the CGI program");
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            if name == "Status" {
                let status = value.split(' ').next().expect("a number");
                *response.status_mut() = status.parse().expect("a status");
            } else {
                let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
                response
                    .headers_mut()
                    .insert(name, HeaderValue::from_str(value).expect("a value"));
            }
        }
        let chunks = futures::stream::unfold(output, |mut output| async move {
            let mut chunk = vec![0; 64 * 1024];
            let read = output.read(&mut chunk).await.expect("the output of the CGI program");
            chunk.truncate(read);
            (read > 0).then_some((Ok::<_, Infallible>(Bytes::from(chunk)), output))
        });
        *response.body_mut() = Body::from_stream(chunks);
        response
    }
}

/// A pipe for a runtime.
fn file(pipe: impl Into<OwnedFd>) -> File {
    File::from_std(fs::File::from(pipe.into()))
}
