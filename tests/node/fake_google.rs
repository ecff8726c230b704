//! Google, played in the cluster: pods of `hack/fakes` behind a Service, which trust this cluster's ServiceAccount tokens.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

use crate::agent::IMAGE;
use harness::node::Node;

/// The workload identity provider that it plays.
pub(crate) const PROVIDER: &str =
    "projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster";
/// The service account that the provider's identities may impersonate.
pub(crate) const SERVICE_ACCOUNT: &str = "agent@my-project.iam.gserviceaccount.com";
/// The hosts that it answers for.
pub(crate) const HOSTS: [&str; 4] = [
    "sts.googleapis.com",
    "iamcredentials.googleapis.com",
    "us-east5-aiplatform.googleapis.com",
    "credentials.example.com",
];
/// The Service of a mesh's webhook, which has a certificate of the same CA.
pub(crate) const MESH: &str = "webhook.mesh.svc";
/// How long its federated tokens live, in seconds: short, so that brokers come again within a test.
const FEDERATED_LIFETIME: &str = "40";

/// The CA of all fakes of this run. Theirs would end with their process.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

/// A CA with a certificate for Google's hosts.
#[derive(Debug)]
struct Authority {
    ca: String,
    certificate: String,
    key: String,
}

/// The CA's certificate, for those who have to trust it.
pub(crate) fn ca() -> &'static str {
    &AUTHORITY.ca
}

/// The certificate of Google's hosts and of [`MESH`], with its key, as a Secret of this name.
pub(crate) fn certificate(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": AUTHORITY.certificate, "tls.key": AUTHORITY.key},
    })
}

/// A running fake.
#[derive(Debug)]
pub(crate) struct FakeGoogle {
    node: &'static Node,
    name: &'static str,
}

impl FakeGoogle {
    /// Starts one in a namespace of its name and waits until it answers.
    #[track_caller]
    pub(crate) fn start(node: &'static Node, name: &'static str) -> Self {
        let discovery = node.kubectl(&["get", "--raw", "/.well-known/openid-configuration"]);
        let discovery: Value = serde_json::from_str(&discovery).expect("JSON");
        let issuer = discovery["issuer"].as_str().expect("an issuer");
        let keys = node.kubectl(&["get", "--raw", "/openid/v1/jwks"]);
        node.create_namespace(name, &[]);
        let google = Self { node, name };
        let create = google.in_namespace(&["create", "--filename", "-"]);
        node.kubectl_stdin(&create, &objects(name, issuer, &keys).to_string());
        google.until_ready();
        google
    }

    /// The address of its Service.
    #[track_caller]
    pub(crate) fn address(&self) -> String {
        let service = self.node.get(&self.in_namespace(&["service", self.name]));
        service["spec"]["clusterIP"].as_str().expect("an address").to_owned()
    }

    /// What it was asked and what it answered so far, oldest first.
    #[track_caller]
    pub(crate) fn journal(&self) -> Vec<Value> {
        let read = ["exec", &self.deployment(), "--", "cat", "/journal/journal.jsonl"];
        let text = self.node.kubectl(&self.in_namespace(&read));
        // Not the one that is being written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let line = |line| serde_json::from_str(line).expect("a line of the journal");
        whole.lines().map(line).collect()
    }

    /// Waits until its kubelet, which may have been restarted, lets others into it.
    #[track_caller]
    pub(crate) fn until_reachable(&self) {
        let enter = ["exec", &self.deployment(), "--", "true"];
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let entered = self.node.try_kubectl(&self.in_namespace(&enter));
            if entered.success() {
                return;
            }
            assert!(Instant::now() < until, "{}", entered.stderr);
        }
    }

    /// Takes it away; returns when its process is gone.
    #[track_caller]
    pub(crate) fn take_away(&self) {
        self.scale(0);
        let pods = format!("--selector=app={}", self.name);
        let until = Instant::now() + Duration::from_secs(30);
        while self.node.get(&self.in_namespace(&["pods", &pods]))["items"] != json!([]) {
            assert!(Instant::now() < until, "{} is still there", self.name);
        }
    }

    /// Brings it back; returns when it answers.
    #[track_caller]
    pub(crate) fn bring_back(&self) {
        self.scale(1);
        self.until_ready();
    }

    #[track_caller]
    fn scale(&self, replicas: u32) {
        let replicas = format!("--replicas={replicas}");
        let scale = ["scale", &self.deployment(), &replicas];
        self.node.kubectl(&self.in_namespace(&scale));
    }

    #[track_caller]
    fn until_ready(&self) {
        let rollout = ["rollout", "status", &self.deployment(), "--timeout=60s"];
        self.node.kubectl(&self.in_namespace(&rollout));
        // kube-proxy may be a moment behind.
        let connect = format!(
            "until (exec 3<>/dev/tcp/{}/443) 2>/dev/null; do sleep 0.1; done",
            self.address()
        );
        self.node.in_netns(&["timeout", "30", "bash", "-c", &connect]).output();
    }

    fn deployment(&self) -> String {
        format!("deployment/{}", self.name)
    }

    fn in_namespace<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [&["--namespace", self.name], arguments].concat()
    }
}

/// The cluster's keys are a file, as an administrator uploads them where Google cannot reach the cluster: an API server that is
/// slow for a moment would otherwise be a refused token.
fn objects(name: &str, issuer: &str, keys: &str) -> Value {
    let (labels, metadata) = (json!({"app": name}), json!({"name": name}));
    let container = json!({
        "name": "google", "image": IMAGE,
        "command": [
            "vertex-injector-fakes", "google", "--allow-non-loopback", "--listen=0.0.0.0:8443", "--directory=/journal",
            "--tls-certificate=/tls/tls.crt", "--tls-key=/tls/tls.key",
            "--issuer", issuer, "--provider", PROVIDER, "--service-account", SERVICE_ACCOUNT,
            "--federated-lifetime", FEDERATED_LIFETIME,
            "--jwks-file=/keys/jwks.json",
        ],
        // It ends when its standard input does.
        "stdin": true,
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "tls", "mountPath": "/tls"},
            {"name": "keys", "mountPath": "/keys"},
            {"name": "journal", "mountPath": "/journal"},
        ],
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [
        certificate("tls"),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "keys"}, "data": {"jwks.json": keys}},
        {
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 443, "targetPort": 8443}]},
        },
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {"selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [container],
                    "volumes": [
                        {"name": "tls", "secret": {"secretName": "tls"}},
                        {"name": "keys", "configMap": {"name": "keys"}},
                        {"name": "journal", "emptyDir": {}},
                    ],
                },
            }},
        },
    ]})
}

impl Authority {
    fn new() -> Self {
        let ca_key = KeyPair::generate().expect("the CA's key");
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca_certificate = ca.self_signed(&ca_key).expect("the CA");
        let key = KeyPair::generate().expect("the server's key");
        let mut server = CertificateParams::new(
            [&HOSTS[..], &[MESH]]
                .concat()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        )
        .expect("host names");
        server.use_authority_key_identifier_extension = true;
        let certificate = server
            .signed_by(&key, &Issuer::new(ca, ca_key))
            .expect("the certificate");
        Self {
            ca: ca_certificate.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}
