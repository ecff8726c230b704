//! Every label, annotation, path and name that vertex-injector owns, each defined once.
//!
//! The chart, the CRDs, the README and the tests use the same names; `tests/chart` compares them.

/// API group of the policies, and prefix of all our labels and annotations.
pub const GROUP: &str = "vertex-injector.dev";

/// The only served version of the policies.
pub const VERSION: &str = "v1alpha1";

/// Namespace label that opts a namespace in, with the value [`INJECTION_ENABLED`].
pub const NAMESPACE_INJECTION: &str = "vertex-injector.dev/injection";

/// Value of [`NAMESPACE_INJECTION`] that opts in.
pub const INJECTION_ENABLED: &str = "enabled";

/// Namespaces whose pods are never sent to the webhook, whatever their labels, beside the webhook's own.
pub const NEVER_SENT: [&str; 3] = ["kube-node-lease", "kube-public", "kube-system"];

/// Pod label: `"true"` asks explicitly (injected or denied), `"false"` opts out.
pub const INJECT: &str = "vertex-injector.dev/inject";

/// Pod annotation that narrows the choice to the policy of this name.
pub const POLICY: &str = "vertex-injector.dev/policy";

/// Pod annotation that narrows the choice of containers, comma-separated.
pub const CONTAINERS: &str = "vertex-injector.dev/containers";

/// Pod annotation that we write: `namespace/name@generation` of the policy. Information only: where a pod has one it is kept up
/// to date, and its value is never believed.
pub const POLICY_REF: &str = "vertex-injector.dev/policy-ref";

/// Pod annotation that we write when a pod that asked explicitly is skipped: the reason code.
pub const SKIPPED: &str = "vertex-injector.dev/skipped";

/// Pod annotation that holds the `external_account` JSON (no secret); the downward API turns it into a file.
pub const CREDENTIAL_CONFIGURATION: &str = "vertex-injector.dev/credential-configuration";

/// Pod annotation that holds the credential file of [`LOOPBACK_VOLUME`] (no secret); the downward API turns it into a file.
pub const LOOPBACK_CONFIGURATION: &str = "vertex-injector.dev/loopback-configuration";

/// Pod annotation that lists the environment variables that an injection wrote (`container/NAME`,
/// comma-separated), and keys that it merged into a variable of the pod's own (`container/NAME/KEY`).
///
/// It lets a policy edit reach pods that are created from an already injected template: under
/// `conflicts.values: Keep` nothing else tells our earlier value from the user's. Believing it is safe, because the
/// only thing a forged entry can do is to let the policy's value win over the pod's own.
pub const RENDERED_ENV: &str = "vertex-injector.dev/rendered-env";

/// Prefix of every volume and container that we add to a pod. What carries it is ours to replace.
pub const NAME_PREFIX: &str = "vertex-injector-";

/// The volume with the credential file and, for workload identity federation, the token.
pub const CREDENTIALS_VOLUME: &str = "vertex-injector-credentials";

/// The native sidecar that holds the pod's Google credential in the agent's place.
pub const BROKER_CONTAINER: &str = "vertex-injector-broker";

/// The init container that copies [`PROGRAM`] into [`PROGRAM_VOLUME`].
pub const COPY_CONTAINER: &str = "vertex-injector-copy";

/// The volume in memory with [`PROGRAM`], for sidecars whose images lack it.
pub const PROGRAM_VOLUME: &str = "vertex-injector-program";

/// Where [`PROGRAM_VOLUME`] is mounted.
pub const PROGRAM_DIRECTORY: &str = "/run/vertex-injector/program";

/// The small program that stands beside agents: its file name in [`PROGRAM_VOLUME`].
pub const PROGRAM: &str = "vertex-injector-sidecar";

/// The same in our image, whose entrypoint is the program with every verb.
pub const PROGRAM_IN_IMAGE: &str = "/vertex-injector-sidecar";

/// Where a credential sidecar has what its credential is made of or fetched with: a Secret or a token.
pub const SIDECAR_CREDENTIAL_DIRECTORY: &str = "/run/vertex-injector/credential";

/// Pod annotation that holds the MCP configuration of [`MCP_VOLUME`] (no secret); the downward API turns it into a file.
pub const MCP_CONFIGURATION: &str = "vertex-injector.dev/mcp-configuration";

/// The volume with the MCP configuration.
pub const MCP_VOLUME: &str = "vertex-injector-mcp";

/// Where files of certificates are mounted that a sidecar takes over from the pod, each in a directory named after the variable
/// that names it.
pub const POD_TRUST_DIRECTORY: &str = "/run/vertex-injector/trust";

/// The volume with the CA certificates that the operator gives our containers.
pub const TRUST_VOLUME: &str = "vertex-injector-trust";

/// Where [`TRUST_VOLUME`] is mounted.
pub const TRUST_DIRECTORY: &str = "/etc/vertex-injector/trust";

/// File name of the certificates in [`TRUST_VOLUME`].
pub const TRUST_FILE: &str = "ca-bundle.crt";

/// The volume with the credential file that leads to the broker and holds no secret, for clients that demand a file.
pub const LOOPBACK_VOLUME: &str = "vertex-injector-loopback";

/// Path, on the broker's metadata port, of the endpoints that [`LOOPBACK_CONFIGURATION`] names.
pub const LOOPBACK_ROOT: &str = "/vertex-injector/v1";

/// Below [`LOOPBACK_ROOT`]: where the subject token comes from.
pub const LOOPBACK_SUBJECT: &str = "/subject-token";

/// Below [`LOOPBACK_ROOT`]: where it is exchanged (RFC 8693).
pub const LOOPBACK_EXCHANGE: &str = "/token";

/// The audience that [`LOOPBACK_CONFIGURATION`] names. It is no provider's, so that no client looks one up.
pub const LOOPBACK_AUDIENCE: &str = "//vertex-injector.dev/loopback";

/// The empty volume that covers the API token's mount path in our containers, so that the ServiceAccount
/// admission plugin does not mount a token there.
pub const NO_API_TOKEN_VOLUME: &str = "vertex-injector-no-api-token";

/// Where the ServiceAccount admission plugin would mount the API token.
pub const API_TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Where credentials are mounted when a policy does not say otherwise.
pub const CREDENTIAL_DIRECTORY: &str = "/var/run/secrets/vertex-injector";

/// File name of the credential configuration, the name that Google's own tools use.
pub const CREDENTIAL_FILE: &str = "application_default_credentials.json";

/// File name of the projected ServiceAccount token beside [`CREDENTIAL_FILE`].
pub const TOKEN_FILE: &str = "token";

/// ServiceAccount annotation of GKE workload identity.
pub const GKE_SERVICE_ACCOUNT: &str = "iam.gke.io/gcp-service-account";

/// Node label of nodes that run the GKE metadata server.
pub const GKE_METADATA_NODE: &str = "iam.gke.io/gke-metadata-server-enabled";

/// Label of the namespace's own name, set by the API server.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Field manager of everything that the webhook writes to the API server.
pub const FIELD_MANAGER: &str = "vertex-injector";
