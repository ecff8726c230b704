//! What mends each breakage, with what is known put in.

use super::known::Known;
use super::problem::Problem;

impl Problem {
    /// What mends it: sentences, and commands with what is known put in. Words in capitals stand for what is not.
    pub fn remedy(self, known: &Known) -> Vec<String> {
        let project = known.project.or("PROJECT");
        let number = known.number.or("NUMBER");
        let namespace = known.namespace.or("NAMESPACE");
        let email = known.email.or("EMAIL");
        let model = known.model.or("MODEL");
        let describe = format!(
            "gcloud iam workload-identity-pools providers describe {}",
            known.provider_flags()
        );
        let update = format!(
            "gcloud iam workload-identity-pools providers update-oidc {}",
            known.provider_flags()
        );
        let policies = format!("kubectl get injectionpolicies -n {namespace} -o yaml");
        let enable = |api: &str, project: &str| format!("gcloud services enable {api} --project={project}");
        let remedy: Vec<String> = match self {
            Self::CredentialUnusable => vec![
                "correct the file or variable that it names; a policy's identity writes it for injected pods".to_owned(),
                policies,
            ],
            Self::TokenFileMissing | Self::TokenFileUnreadable | Self::TokenNotJwt => vec![
                "mount a projected ServiceAccount token where the credential configuration says; injected pods have it in the volume vertex-injector-credentials, readable for the pod's fsGroup".to_owned(),
                format!("kubectl describe pod POD -n {namespace}"),
            ],
            Self::TokenAudienceUnusual => vec![
                "if the exchange is refused, let the policy's audience and the provider's agree".to_owned(),
                describe,
            ],
            Self::TokenExpired => vec![
                "the kubelet renews the token in the volume, but not in a copy, nor where the file is mounted with subPath".to_owned(),
                format!("kubectl get events -n {namespace} --field-selector reason=FailedMount"),
            ],
            Self::TokenUrlFails => vec![
                "what a CI platform lends to a job ends with the job; check credential_source.url and its headers".to_owned(),
            ],
            Self::NameUnknown => vec![
                "let the pod ask a resolver that knows Google's names; a NetworkPolicy of egress must allow port 53 to kube-dns".to_owned(),
                format!("kubectl get networkpolicies -n {namespace}"),
                "kubectl get pods -n kube-system -l k8s-app=kube-dns".to_owned(),
            ],
            Self::ProxyUnreachable | Self::ProxyRefuses | Self::ProxyWantsUser => vec![
                match self {
                    Self::ProxyWantsUser => "give the proxy its user: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, by broker.httpsProxy of the chart".to_owned(),
                    _ => format!(
                        "let the proxy connect to {}:443, correct HTTPS_PROXY (broker.httpsProxy of the chart), or except the host with NO_PROXY",
                        known.host.or("HOST")
                    ),
                },
                "helm get values RELEASE -n SYSTEM".to_owned(),
            ],
            Self::ConnectionRefused | Self::ConnectionFails => vec![
                format!(
                    "let the pod reach {} by TCP: NetworkPolicies, the cloud's firewall, Private Google Access, or HTTPS_PROXY where only a proxy leads out",
                    known.host.or("HOST")
                ),
                format!("kubectl get networkpolicies -n {namespace}"),
            ],
            Self::AuthorityUntrusted => vec![
                "give the authority's certificate to the broker: broker.caConfigMap of the chart, or VERTEX_INJECTOR_CA_FILES; for clients with access: File, SSL_CERT_FILE".to_owned(),
                format!("kubectl get configmaps -n {namespace}"),
            ],
            Self::CertificateInvalid | Self::TlsFails => vec![
                format!("find out who answers in the place of {}, and whether the node's clock is right", known.host.or("HOST")),
                format!("kubectl get pod POD -n {namespace} -o jsonpath='{{.spec.hostAliases}}'"),
            ],
            Self::ClockWrong => vec![
                "set the node's clock (NTP); a key's assertions are refused, and tokens are renewed too late".to_owned(),
                "kubectl get nodes -o wide".to_owned(),
            ],
            Self::AudienceRefused => vec![
                "let the token's audience and the provider's agree: the policy's audience, or the provider's allowed audiences".to_owned(),
                describe,
                format!("{update} --allowed-audiences=AUDIENCE"),
            ],
            Self::IssuerRefused => vec![
                "let the provider's issuer be this cluster's".to_owned(),
                "kubectl get --raw /.well-known/openid-configuration".to_owned(),
                format!("{update} --issuer-uri={}", known.issuer.or("ISSUER")),
            ],
            Self::IssuerKeys => vec![
                "upload the cluster's keys (again, when it has rotated them); an issuer that Google reads itself must be public".to_owned(),
                "kubectl get --raw /openid/v1/jwks >jwks.json".to_owned(),
                format!("{update} --jwk-json-path=jwks.json"),
            ],
            Self::TokenRefused => vec![
                "compare the token's times with Google's: the clock of the API server, which signs it, may be wrong".to_owned(),
                "kubectl get nodes -o wide".to_owned(),
            ],
            Self::AttributeCondition => vec![
                format!("let the provider's condition admit the namespace {namespace}"),
                describe,
                format!("{update} --attribute-condition=\"assertion['kubernetes.io']['namespace'] in ['{namespace}']\""),
            ],
            Self::ProviderUnknown => vec![
                "create, restore or enable the pool and its provider, or correct provider in the policy".to_owned(),
                format!(
                    "gcloud iam workload-identity-pools providers list --project={number} --location=global --workload-identity-pool={} --show-deleted",
                    known.pool.or("POOL")
                ),
                format!(
                    "gcloud iam workload-identity-pools providers undelete {}",
                    known.provider_flags()
                ),
            ],
            Self::ExchangeRefused => vec!["compare the provider with the token above".to_owned(), describe],
            Self::ExchangeApiDisabled => vec![enable("sts.googleapis.com", number)],
            Self::ImpersonationRole => vec![
                format!(
                    "gcloud iam service-accounts add-iam-policy-binding {email} --role=roles/iam.workloadIdentityUser --member=\"{}\"",
                    known.principal()
                ),
                "new bindings take some minutes".to_owned(),
            ],
            Self::AccountUnknown => vec![
                "correct serviceAccount in the policy, or create it".to_owned(),
                format!("gcloud iam service-accounts describe {email}"),
            ],
            Self::AccountDisabled => vec![format!("gcloud iam service-accounts enable {email}")],
            Self::ImpersonationApiDisabled => vec![enable("iamcredentials.googleapis.com", number)],
            Self::ImpersonationRefused => vec![format!("gcloud iam service-accounts get-iam-policy {email}")],
            Self::OAuthRefused => vec![
                "make a new key, or log in again; a deleted or disabled key stays refused".to_owned(),
                format!("gcloud iam service-accounts keys list --iam-account={email}"),
                "gcloud auth application-default login".to_owned(),
            ],
            Self::MetadataAbsent => vec![
                "beside a broker: look whether its container runs; on GKE: whether the node pool has the GKE metadata server".to_owned(),
                format!("kubectl logs POD -n {namespace} -c vertex-injector-broker"),
                "gcloud container node-pools update NODEPOOL --cluster=CLUSTER --workload-metadata=GKE_METADATA".to_owned(),
            ],
            Self::MetadataRefused => vec![
                "beside a broker: its own words say which hop failed; on GKE: annotate and bind the ServiceAccount".to_owned(),
                format!("kubectl logs POD -n {namespace} -c vertex-injector-broker"),
                format!(
                    "gcloud iam service-accounts add-iam-policy-binding {email} --role=roles/iam.workloadIdentityUser --member=\"serviceAccount:{project}.svc.id.goog[{namespace}/{}]\"",
                    known.service_account.or("SERVICEACCOUNT")
                ),
            ],
            Self::BrokerAbsent => vec![
                "the broker's container is not running, or this is another pod".to_owned(),
                format!("kubectl get pod POD -n {namespace} -o jsonpath='{{.status.initContainerStatuses}}'"),
                format!("kubectl logs POD -n {namespace} -c vertex-injector-broker --previous"),
            ],
            Self::BrokerRefuses => vec![
                "ask for what the policy allows, or let it allow this: proxy.models, proxy.regions, proxy.methods".to_owned(),
                policies,
            ],
            Self::BrokerNoToken | Self::BrokerCutOff => vec![
                "the broker's own words say what failed; look from beside it, with the Job of: kubectl get pod POD -o json | vertex-injector doctor --job -".to_owned(),
                format!("kubectl logs POD -n {namespace} -c vertex-injector-broker"),
            ],
            Self::NothingNamed => vec![format!(
                "vertex-injector doctor --project {project} --region {} --model {model}",
                known.region.or("REGION")
            )],
            Self::VertexApiDisabled => vec![
                enable("aiplatform.googleapis.com", project),
                "it takes some minutes".to_owned(),
            ],
            Self::VertexRole => vec![
                format!(
                    "gcloud projects add-iam-policy-binding {project} --role=roles/aiplatform.user --condition=None --member=\"{}\"",
                    known.member()
                ),
                "new bindings take some minutes".to_owned(),
            ],
            Self::ModelNotEnabled => vec![
                format!(
                    "enable {model} in Model Garden, or choose a location that offers it: https://console.cloud.google.com/vertex-ai/model-garden?project={project}"
                ),
                format!("gcloud ai model-garden models list --project={project} --model-filter={model}"),
            ],
            Self::RegionUnknown => vec![
                format!("correct region in the policy ({}): a location of Vertex AI, or global, us, eu", known.region.or("REGION")),
                format!("gcloud compute regions list --project={project}"),
                policies,
            ],
            Self::QuotaExceeded => vec![
                format!(
                    "wait, ask for more, or call another location: https://console.cloud.google.com/iam-admin/quotas?project={project}&service=aiplatform.googleapis.com"
                ),
                format!("gcloud beta quotas info list --service=aiplatform.googleapis.com --project={project}"),
            ],
            Self::QuotaProject => vec![
                format!(
                    "gcloud projects add-iam-policy-binding {} --role=roles/serviceusage.serviceUsageConsumer --condition=None --member=\"{}\"",
                    known.quota_project.or(project),
                    known.member()
                ),
            ],
            Self::BillingDisabled => vec![format!(
                "gcloud billing projects link {project} --billing-account=ACCOUNT"
            )],
            Self::ServiceControls => vec![
                format!("let the perimeter admit {}, or call from within it", known.member()),
                "gcloud access-context-manager perimeters list --policy=POLICY".to_owned(),
            ],
            Self::TokenRejected => vec![
                "the credential was just exchanged, so somebody on the way changes requests, or the account was removed".to_owned(),
                format!("gcloud iam service-accounts describe {email}"),
            ],
            Self::VertexRefused => vec![
                format!("gcloud projects get-iam-policy {project}"),
                policies,
            ],
            Self::VertexFails => vec![
                "try again; Google tells of outages: https://status.cloud.google.com".to_owned(),
            ],
        };
        remedy
    }
}
