//! The whole cluster of one node. Both tests run at the same time, so nodes do run side by side.

use std::path::PathBuf;

use crate::traces::{assert_all_gone, cgroups_of, kill, processes_in, processes_of, within_ten_seconds};
use harness::node::{Node, build_image};

/// A web server, its Service, and a client that ends when it has got the page by the Service's name.
const WEB_AND_CLIENT: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: web
    image: localhost/busybox:1
    command: [sh, -c, "echo a page >/tmp/page; exec httpd -f -p 8080 -h /tmp"]
    readinessProbe: {httpGet: {path: /page, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  restartPolicy: Never
  securityContext: {runAsUser: 65532}
  containers:
  - name: client
    image: localhost/busybox:1
    command:
    - sh
    - -c
    - |
      until printf 'GET /page HTTP/1.0\r\n\r\n' | nc web.default.svc.cluster.local 80; do sleep 0.1; done
      nslookup sts.googleapis.com || echo that name is unknown
"#;

/// The image of this project, which only shows its help, and a pod that stays.
const OURS_AND_SLEEPER: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: ours}
spec:
  restartPolicy: Never
  containers:
  - name: ours
    image: IMAGE
    args: [--help]
    securityContext: {runAsNonRoot: true, readOnlyRootFilesystem: true}
---
apiVersion: v1
kind: Pod
metadata: {name: sleeper}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: sleeper, image: 'localhost/busybox:1', command: [sleep, '1000']}]
";

#[test]
fn pods_run_find_services_by_name_and_reach_them() {
    let Some(node) = Node::start_or_explain() else {
        return;
    };

    node.apply(WEB_AND_CLIENT);
    succeeded(&node, "client");

    let log = node.kubectl(&["logs", "client"]);
    assert!(log.contains("a page"), "{log}");
    assert!(log.contains("that name is unknown"), "{log}");
    let address = node.get(&["service", "web"])["spec"]["clusterIP"].clone();
    let address = address.as_str().unwrap();
    let page = format!("printf 'GET /page HTTP/1.0\\r\\n\\r\\n' | busybox nc {address} 80");
    assert!(node.in_netns(&["sh", "-c", &page]).output().contains("a page"));

    node.resolve(&["sts.googleapis.com"], address);
    node.kubectl(&["exec", "web", "--", "nslookup", "sts.googleapis.com"]);

    let traces = Traces::of(&node);
    kill(node.supervisor().id());
    traces.assert_gone();
}

#[test]
fn our_image_runs_and_pods_survive_a_restart_of_the_kubelet_and_the_api_server() {
    let Some(node) = Node::start_or_explain() else {
        return;
    };

    let image = node.load_image(&build_image("vertex-injector").archive);
    node.apply(&OURS_AND_SLEEPER.replace("IMAGE", &image));
    succeeded(&node, "ours");
    node.kubectl(&["wait", "--for=condition=Ready", "pod/sleeper", "--timeout=30s"]);
    node.restart_kubelet();
    node.restart_api_server();

    node.kubectl(&["exec", "sleeper", "--", "true"]);
    let pod = node.get(&["pod", "sleeper"]);
    assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0);

    let traces = Traces::of(&node);
    drop(node);
    traces.assert_gone();
}

#[track_caller]
fn succeeded(node: &Node, pod: &str) {
    let condition = "--for=jsonpath={.status.phase}=Succeeded";
    node.kubectl(&["wait", condition, &format!("pod/{pod}"), "--timeout=30s"]);
}

/// What there is of a running node, to be looked for when it has ended.
struct Traces {
    run: PathBuf,
    namespace: PathBuf,
}

impl Traces {
    /// Takes them down; a node that left none while it runs would prove nothing.
    #[track_caller]
    fn of(node: &Node) -> Self {
        let run = node.supervisor().path("DIR").to_owned();
        let namespace = std::fs::read_link(node.supervisor().path("NETNS")).unwrap();
        assert!(!processes_of(&run).is_empty());
        assert!(!processes_in(&namespace).is_empty());
        assert!(!cgroups_of(&run).is_empty());
        Self { run, namespace }
    }

    #[track_caller]
    fn assert_gone(&self) {
        assert_all_gone(&self.run);
        within_ten_seconds("the network namespace goes", || {
            processes_in(&self.namespace).is_empty()
        });
    }
}
