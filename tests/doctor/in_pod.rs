//! `doctor --in-pod`: the container that is added to a pod, what is shown of it, and what is said where it may not be.

use crate::CANARY;
use crate::job::injected;
use crate::world::LIMIT;
use harness::process::{Ran, run};
use harness::program::tied;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use vertex_injector_core::manifest;

const FINE: &str =
    "✓ configuration: the broker's Vertex proxy\n✓ vertex claude-haiku-4-5 in us-east5: the model answered\n";

/// What an API server with one pod knows, answers and was asked.
struct Api {
    pod: Value,
    /// What it says to an added container instead of taking it.
    refusal: Option<(u16, String)>,
    /// What the container's log holds, and the code with which it ends.
    log: &'static str,
    code: i32,
    /// Why the container does not begin.
    stuck: Option<&'static str>,
    /// Whether its log goes on for ever.
    endless: bool,
    added: Option<Value>,
    looks: u32,
}

/// It serves until the test's process ends.
struct Cluster {
    api: Arc<Mutex<Api>>,
    folder: TempDir,
}

impl Cluster {
    fn with(pod: Value) -> Self {
        let api = Arc::new(Mutex::new(Api {
            pod,
            refusal: None,
            log: FINE,
            code: 0,
            stuck: None,
            endless: false,
            added: None,
            looks: 0,
        }));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": format!("http://{}", listener.local_addr().unwrap())}}],
            "users": [{"name": "it", "user": {"token": format!("{CANARY}-user")}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": "team"}}],
        });
        std::fs::write(folder.path().join("config"), config.to_string()).unwrap();
        let served = Arc::clone(&api);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let api = Arc::clone(&served);
                std::thread::spawn(move || serve(stream, &api));
            }
        });
        Self { api, folder }
    }

    fn set(&self, change: impl FnOnce(&mut Api)) {
        change(&mut self.api.lock().unwrap());
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = tied(env!("CARGO_BIN_EXE_vertex-injector"));
        command
            .env("KUBECONFIG", self.folder.path().join("config"))
            .args(["doctor", "--in-pod", "hello"])
            .args(more);
        command
    }

    /// Runs it; no secret is shown.
    #[track_caller]
    fn doctor(&self, more: &[&str]) -> Ran {
        let ran = run(&mut self.command(more), "", LIMIT);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!all.contains(CANARY), "a secret is shown: {all}");
        ran
    }

    /// The container that was added.
    #[track_caller]
    fn added(&self) -> Value {
        self.api.lock().unwrap().added.clone().expect("a container")
    }
}

fn serve(stream: TcpStream, api: &Mutex<Api>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut stream = reader.into_inner();
    let line = head.lines().next()?.to_owned();
    let mut api = api.lock().unwrap();
    let (status, text) = if line.starts_with("PATCH /api/v1/namespaces/team/pods/hello/ephemeralcontainers") {
        assert!(
            head.to_ascii_lowercase()
                .contains("application/strategic-merge-patch+json"),
            "{head}"
        );
        let patch: Value = serde_json::from_slice(&body).unwrap();
        match api.refusal.clone() {
            Some((code, message)) => (
                code,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "Forbidden", "code": code})
                    .to_string(),
            ),
            None => {
                api.added = Some(patch["spec"]["ephemeralContainers"][0].clone());
                (200, api.pod.to_string())
            }
        }
    } else if line.starts_with("GET /api/v1/namespaces/team/pods/hello/log?") {
        assert!(line.contains("follow=true"), "{line}");
        if api.endless {
            let log = api.log;
            drop(api);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n{log}"
            );
            harness::process::pause(Duration::from_mins(1));
            return Some(());
        }
        (200, api.log.to_owned())
    } else if line.starts_with("GET /api/v1/namespaces/team/pods/hello ")
        || line.starts_with("GET /api/v1/namespaces/team/pods/hello?")
    {
        (200, status_of(&mut api).to_string())
    } else {
        (404, json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not found", "reason": "NotFound", "code": 404}).to_string())
    };
    let head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    stream.write_all((head + &text).as_bytes()).ok()
}

/// The pod, whose container begins at the second look and has ended at the fourth.
fn status_of(api: &mut Api) -> Value {
    let mut pod = api.pod.clone();
    let Some(added) = &api.added else { return pod };
    api.looks += 1;
    let state = match (api.stuck, api.looks) {
        (_, 1) => json!({"waiting": {"reason": "ContainerCreating"}}),
        (Some(reason), _) => json!({"waiting": {"reason": reason, "message": "no such image"}}),
        (None, 2 | 3) => json!({"running": {}}),
        _ => json!({"terminated": {"exitCode": api.code, "reason": "Completed"}}),
    };
    pod["status"]["ephemeralContainerStatuses"] = json!([{"name": added["name"], "state": state}]);
    pod
}

fn names(list: &Value) -> Vec<&str> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(|one| one["name"].as_str()).collect()
}

#[test]
fn beside_a_broker_the_container_has_what_the_agent_has_and_nothing_of_the_brokers() {
    for access in ["Proxy", "Metadata"] {
        let mut pod = injected(access);
        let agent = &mut pod["spec"]["containers"][0];
        let env = agent["env"].as_array_mut().unwrap();
        env.push(json!({"name": "API_KEY", "value": format!("{CANARY}-key")}));
        env.push(
            json!({"name": "ANTHROPIC_SMALL_FAST_MODEL", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
        );
        env.push(json!({"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"}));
        let mounts = json!([{"name": "work", "mountPath": "/"}, {"name": "ca", "mountPath": "/ca"}, {"name": "work", "mountPath": "/cab"}]);
        agent["volumeMounts"] = mounts;
        let cluster = Cluster::with(pod.clone());
        let ran = cluster.doctor(&[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), FINE), "{}", ran.stderr);

        let added = cluster.added();
        let broker = &pod["spec"]["initContainers"][0];
        assert_eq!(broker["name"], "vertex-injector-broker");
        assert_eq!((&added["name"], &added["image"]), (&json!("doctor"), &broker["image"]));
        assert_eq!(added["securityContext"], broker["securityContext"]);
        assert_eq!(added.get("targetContainerName"), None);
        assert_eq!(
            added["volumeMounts"],
            json!([{"name": "ca", "mountPath": "/ca", "readOnly": true}])
        );
        let env = names(&added["env"]);
        assert!(
            env.contains(&"GCE_METADATA_HOST") && env.contains(&"CLOUD_ML_REGION"),
            "{env:?}"
        );
        assert_eq!(env.contains(&"ANTHROPIC_VERTEX_BASE_URL"), access == "Proxy", "{env:?}");
        for not in [
            "API_KEY",
            "ANTHROPIC_SMALL_FAST_MODEL",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "VERTEX_INJECTOR_MODE",
        ] {
            assert!(!env.contains(&not), "{env:?}");
        }
        let mut arguments = vec!["doctor", "--reach=https://sts.googleapis.com:443"];
        if access == "Proxy" {
            arguments.push("--reach=https://us-east5-aiplatform.googleapis.com:443");
        }
        assert_eq!(added["args"], json!(arguments));
        assert!(!added.to_string().contains("serviceAccountToken") && !added.to_string().contains("secretKeyRef"));
    }
}

#[test]
fn it_leaves_by_the_proxy_of_the_broker_where_only_that_leaves_and_by_the_agents_where_the_agent_does() {
    for (access, expected) in [
        ("Proxy", "http://brokers:3128"),
        ("Metadata", "http://user:canary@agents:3128"),
    ] {
        let mut pod = injected(access);
        let push = |container: &mut Value, value: &str| {
            let entry = json!({"name": "HTTPS_PROXY", "value": value});
            container["env"].as_array_mut().unwrap().push(entry);
        };
        push(&mut pod["spec"]["containers"][0], "http://user:canary@agents:3128");
        push(&mut pod["spec"]["initContainers"][0], "http://brokers:3128");
        let cluster = Cluster::with(pod);
        cluster.doctor(&[]).output();
        let added = cluster.added();
        let env = added["env"].as_array().unwrap();
        let proxies: Vec<&Value> = env.iter().filter(|it| it["name"] == "HTTPS_PROXY").collect();
        assert_eq!(proxies.len(), 1);
        assert_eq!(proxies[0]["value"], expected);
        // The broker's way is not to be seen by another proxy.
        assert_eq!(
            added["args"].to_string().contains("--reach"),
            access == "Proxy",
            "{added}"
        );
        // Neither is it printed where the Job is.
        cluster.set(|api| api.refusal = Some((422, "no".to_owned())));
        assert_eq!(cluster.doctor(&[]).code, Some(2));
    }
}

#[test]
fn with_a_file_it_has_the_agents_token_and_user_in_an_image_that_is_named() {
    let mut pod = injected("File");
    pod["spec"]["containers"][0]["securityContext"] = json!({"runAsUser": 1000});
    let cluster = Cluster::with(pod.clone());
    let ran = cluster.doctor(&[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("say --image"), "{}", ran.stderr);
    let arguments = ["--image=registry.example.com/v:1", "--region=global", "--model=$(A)"];
    cluster.doctor(&arguments).output();
    let added = cluster.added();
    assert_eq!(added["image"], "registry.example.com/v:1");
    assert_eq!(added["args"], json!(["doctor", "--region=global", "--model=$$(A)"]));
    assert_eq!(names(&added["volumeMounts"]), ["vertex-injector-credentials"]);
    assert!(names(&added["env"]).contains(&"GOOGLE_APPLICATION_CREDENTIALS"));
    assert_eq!(added["securityContext"]["runAsUser"], 1000);

    // Root's number is not taken over, and who says none gets none, so that a platform can choose.
    pod["spec"]["containers"][0]["securityContext"] = json!({});
    for (of_pod, expected) in [
        (json!(0), json!(65532)),
        (json!(7), Value::Null),
        (Value::Null, Value::Null),
    ] {
        pod["spec"]["securityContext"] = json!({"runAsUser": of_pod});
        let cluster = Cluster::with(pod.clone());
        cluster.doctor(&arguments).output();
        assert_eq!(cluster.added()["securityContext"]["runAsUser"], expected);
        assert_eq!(cluster.added()["securityContext"]["runAsNonRoot"], true);
    }
}

#[test]
fn variables_come_with_those_that_they_are_made_of() {
    let mut pod = injected("Proxy");
    pod["spec"]["containers"][0]["env"] = json!([
        {"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
        {"name": "TWO", "value": "a-$(ONE)"},
        {"name": "OTHER", "value": "x"},
        {"name": "GOOGLE_CLOUD_PROJECT", "value": "$(TWO)"},
    ]);
    let cluster = Cluster::with(pod);
    cluster.doctor(&[]).output();
    assert_eq!(names(&cluster.added()["env"]), ["ONE", "TWO", "GOOGLE_CLOUD_PROJECT"]);
}

#[test]
fn a_name_is_used_once() {
    let mut pod = injected("Proxy");
    pod["spec"]["ephemeralContainers"] = json!([{"name": "doctor"}, {"name": "doctor-2"}]);
    let cluster = Cluster::with(pod);
    cluster.doctor(&[]).output();
    assert_eq!(cluster.added()["name"], "doctor-3");
}

#[test]
fn whoever_refuses_is_named_and_the_job_printed_instead() {
    for (code, message, said) in [
        (
            403,
            "pods \"hello\" is forbidden: User \"me\" cannot patch resource \"pods/ephemeralcontainers\" in API group \"\" in the namespace \"team\"",
            "needs patch on pods/ephemeralcontainers in namespace team",
        ),
        (
            403,
            "pods \"hello\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
            "Pod Security of its namespace refuses it: pods \"hello\" is forbidden: violates",
        ),
        (
            403,
            "pods \"hello\" is forbidden: ValidatingAdmissionPolicy 'vertex-injector-broker' with binding 'vertex-injector-broker' denied request: spec.ephemeralContainers: doctor would reach",
            "the guard of vertex-injector refuses it (admissionPolicies.brokerGuard): ",
        ),
        (
            403,
            "admission webhook \"validate.kyverno.svc\" denied the request: no debugging",
            "an admission policy of the cluster refuses it: ",
        ),
        (
            422,
            "Pod \"hello\" is invalid: static pods do not support ephemeral containers",
            "the API server refuses it: Pod \"hello\" is invalid: static pods",
        ),
    ] {
        let cluster = Cluster::with(injected("Proxy"));
        cluster.set(|api| api.refusal = Some((code, message.to_owned())));
        let ran = cluster.doctor(&[]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{said} is not in {}", ran.stderr);
        let job = manifest::documents(&ran.stdout).unwrap().remove(0);
        assert_eq!(
            (&job["kind"], &job["metadata"]["name"]),
            (&json!("Job"), &json!("doctor-hello"))
        );
    }
    let mut ended = injected("Proxy");
    ended["status"] = json!({"phase": "Succeeded"});
    let cluster = Cluster::with(ended);
    let ran = cluster.doctor(&[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("the pod has ended (Succeeded)") && ran.stdout.contains("kind: Job"));
    assert!(cluster.api.lock().unwrap().added.is_none());
}

#[test]
fn it_ends_as_the_container_does_and_shows_no_escapes() {
    let cluster = Cluster::with(injected("Proxy"));
    cluster.set(|api| {
        api.log = "✗ broker 127.0.0.1:8471: status 503\x1b[2J\n    BrokerNoToken: x\n";
        api.code = 1;
    });
    let ran = cluster.doctor(&[]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stdout.starts_with("✗ broker 127.0.0.1:8471: status 503"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains('\x1b'));
    let coloured = {
        let cluster = Cluster::with(injected("Proxy"));
        cluster.doctor(&["--color=always"]).output()
    };
    assert!(coloured.starts_with("\x1b[32m✓\x1b[0m configuration"), "{coloured:?}");

    let cluster = Cluster::with(injected("Proxy"));
    cluster.set(|api| api.log = "{\"hops\": []}\n");
    assert_eq!(cluster.doctor(&["-o", "json"]).output(), "{\"hops\": []}\n");
    assert!(cluster.added()["args"].to_string().contains("--output=json"));

    let cluster = Cluster::with(injected("Proxy"));
    cluster.set(|api| api.code = 137);
    let ran = cluster.doctor(&[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("has ended with code 137"), "{}", ran.stderr);
}

#[test]
fn what_cannot_begin_says_why() {
    let cluster = Cluster::with(injected("Proxy"));
    cluster.set(|api| api.stuck = Some("ImagePullBackOff"));
    let ran = cluster.doctor(&[]);
    assert_eq!(ran.code, Some(2));
    let said = "container doctor cannot begin: ImagePullBackOff: no such image";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
}

#[test]
fn a_pod_that_does_not_exist_or_was_not_injected_is_told() {
    let cluster = Cluster::with(injected("Proxy"));
    let ran = cluster.doctor(&["-n", "other"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("there is no pod hello in namespace other"),
        "{}",
        ran.stderr
    );
    let plain = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "hello"}, "spec": {"containers": [{"name": "a", "image": "i"}]}});
    let ran = Cluster::with(plain).doctor(&[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("vertex-injector explain"), "{}", ran.stderr);
}

#[test]
fn hops_are_shown_as_they_come_and_ctrl_c_ends_it() {
    let cluster = Cluster::with(injected("Proxy"));
    cluster.set(|api| api.endless = true);
    let mut command = cluster.command(&[]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The container is still at work.
    assert!(lines.next().unwrap().unwrap().starts_with("✓ configuration"));
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("kubectl logs hello -n team -c doctor"), "{said}");
}
