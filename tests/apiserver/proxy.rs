//! The API server over plain HTTP, for many requests in little time: `kubectl proxy`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::webhook::spawn_tied;
use crate::world::{World, kubectl};
use harness::program::tied;

/// How many requests are under way at a time.
const AT_A_TIME: usize = 6;

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running proxy; it ends with this.
#[derive(Debug)]
pub(crate) struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    #[track_caller]
    pub(crate) fn start(world: &World) -> Self {
        let mut command = tied(&kubectl());
        command
            .env("KUBECONFIG", world.cluster.kubeconfig())
            .args(["proxy", "--port=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = spawn_tied(command);
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("where it listens");
        let address = line.trim().rsplit(' ').next().and_then(|address| address.parse().ok());
        Self {
            child,
            address: address.unwrap_or_else(|| panic!("kubectl proxy says {line:?}")),
        }
    }

    /// The API server's answers about pods that are created and not stored, in their order.
    pub(crate) fn dry_run(&self, pods: &[Value]) -> Vec<Value> {
        let next = Mutex::new(0..pods.len());
        let answers = Mutex::new(vec![Value::Null; pods.len()]);
        thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(|| {
                    while let Some(index) = { next.lock().expect("the others").next() } {
                        let answer = self.create(&pods[index]);
                        answers.lock().expect("the others")[index] = answer;
                    }
                });
            }
        });
        answers.into_inner().expect("all are done")
    }

    fn create(&self, pod: &Value) -> Value {
        let namespace = pod["metadata"]["namespace"].as_str().expect("a namespace");
        let body = pod.to_string();
        let request = format!(
            "POST /api/v1/namespaces/{namespace}/pods?dryRun=All HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).expect("the proxy");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(request.as_bytes()).expect("to ask");
        // Without a length: it ends with the connection.
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
