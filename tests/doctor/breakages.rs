//! One thing broken at a time: which hop is named, in whose words, and what mends it.

use crate::fake::{api, oauth};
use crate::world::{PROVIDER, World, jwt};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

/// One breakage.
struct Breakage {
    what: &'static str,
    breaks: fn(&mut World),
    hop: &'static str,
    problem: &'static str,
    /// Words that are shown.
    found: &'static str,
    /// A command or sentence that is shown.
    remedy: &'static str,
}

const FLAGS: &str = "cluster --project=123456789 --location=global --workload-identity-pool=agents";

fn sts(world: &mut World, status: u16, code: &str, words: &str) {
    world.google.answers.lock().unwrap().sts = oauth(status, code, words);
}

fn iam(world: &mut World, status: u16, code: &str, reason: &str, words: &str) {
    world.google.answers.lock().unwrap().iam = api(status, code, reason, words);
}

fn vertex(world: &mut World, status: u16, code: &str, reason: &str, words: &str) {
    world.google.answers.lock().unwrap().vertex = api(status, code, reason, words);
}

fn no_role_of_models(world: &mut World) {
    let words = "Permission 'aiplatform.endpoints.predict' denied on resource.";
    vertex(world, 403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED", words);
}

const BREAKAGES: &[Breakage] = &[
    Breakage {
        what: "the configuration names no credential",
        breaks: |world| world.credential = json!({"type": "external_account", "audience": PROVIDER}),
        hop: "configuration",
        problem: "CredentialUnusable",
        found: "field credential_source of the credential file",
        remedy: "kubectl get injectionpolicies -n NAMESPACE -o yaml",
    },
    Breakage {
        what: "the token's file is missing",
        breaks: |world| std::fs::remove_file(world.path("token")).unwrap(),
        hop: "identity-token",
        problem: "TokenFileMissing",
        found: "does not exist",
        remedy: "kubectl describe pod POD -n NAMESPACE",
    },
    Breakage {
        what: "the token's file is a directory",
        breaks: |world| {
            std::fs::remove_file(world.path("token")).unwrap();
            std::fs::create_dir(world.path("token")).unwrap();
        },
        hop: "identity-token",
        problem: "TokenFileUnreadable",
        found: "cannot be read",
        remedy: "fsGroup",
    },
    Breakage {
        what: "the token's file is empty",
        breaks: |world| world.write("token", " \n"),
        hop: "identity-token",
        problem: "TokenFileUnreadable",
        found: "is empty",
        remedy: "kubectl describe pod POD -n NAMESPACE",
    },
    Breakage {
        what: "the token is no JWT",
        breaks: |world| world.write("token", "canary"),
        hop: "identity-token",
        problem: "TokenNotJwt",
        found: "no JWT",
        remedy: "vertex-injector-credentials",
    },
    Breakage {
        what: "the token has four parts",
        breaks: |world| world.write("token", &(jwt(&json!({})) + ".canary")),
        hop: "identity-token",
        problem: "TokenNotJwt",
        found: "no JWT",
        remedy: "projected ServiceAccount token",
    },
    Breakage {
        what: "the token has expired",
        breaks: |world| world.write("token", &jwt(&json!({"exp": jiff::Timestamp::now().as_second() - 600}))),
        hop: "identity-token",
        problem: "TokenExpired",
        found: "it expired 10 min ago",
        remedy: "kubectl get events -n agents --field-selector reason=FailedMount",
    },
    Breakage {
        what: "the URL of the token refuses",
        breaks: |world| {
            let port = world.google.address.port();
            world.credential["credential_source"] = json!({
                "url": format!("https://localhost:{port}/v1/projects/token"),
            });
            vertex(world, 403, "PERMISSION_DENIED", "", "the job has ended");
        },
        hop: "identity-token",
        problem: "TokenUrlFails",
        found: "the job has ended",
        remedy: "credential_source.url",
    },
    Breakage {
        what: "the host of the token service has no address",
        breaks: |world| world.credential["token_url"] = json!("https://sts.nowhere.invalid/v1/token"),
        hop: "name",
        problem: "NameUnknown",
        found: "sts.nowhere.invalid has no address here",
        remedy: "kubectl get networkpolicies -n agents",
    },
    Breakage {
        what: "the token service refuses connections",
        breaks: |world| world.credential["token_url"] = json!("https://localhost:1/v1/token"),
        hop: "connection",
        problem: "ConnectionRefused",
        found: "it refuses connections",
        remedy: "kubectl get networkpolicies -n agents",
    },
    Breakage {
        what: "nobody believes the authority",
        breaks: |world| {
            let other = world.path("other.crt");
            drop(harness::tls::localhost(&other, "http/1.1"));
            std::fs::rename(other, world.path("ca.crt")).unwrap();
        },
        hop: "tls",
        problem: "AuthorityUntrusted",
        found: "signed by \"CN=rcgen self signed cert\", whom nobody here believes",
        remedy: "broker.caConfigMap",
    },
    Breakage {
        what: "there is no authority at all",
        breaks: |world| world.write("ca.crt", ""),
        hop: "tls",
        problem: "AuthorityUntrusted",
        found: "SSL_CERT_FILE",
        remedy: "VERTEX_INJECTOR_CA_FILES",
    },
    Breakage {
        what: "the certificate is another host's",
        breaks: |world| {
            let port = world.google.address.port();
            world.credential["token_url"] = json!(format!("https://127.0.0.1:{port}/v1/token"));
        },
        hop: "tls",
        problem: "CertificateInvalid",
        found: "cannot be accepted",
        remedy: "hostAliases",
    },
    Breakage {
        what: "something else than TLS answers",
        breaks: |world| {
            let port = answering("HTTP/1.1 400 Bad Request\r\n\r\n").port();
            world.credential["token_url"] = json!(format!("https://localhost:{port}/v1/token"));
        },
        hop: "tls",
        problem: "TlsFails",
        found: "the connection fails",
        remedy: "find out who answers in the place of localhost",
    },
    Breakage {
        what: "the proxy wants a user",
        breaks: |world| {
            behind(
                world,
                answering("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"),
            );
        },
        hop: "proxy",
        problem: "ProxyWantsUser",
        found: "wants a user and a password (407) to vertex.example.com:443",
        remedy: "broker.httpsProxy",
    },
    Breakage {
        what: "the proxy refuses the host",
        breaks: |world| behind(world, answering("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")),
        hop: "proxy",
        problem: "ProxyRefuses",
        found: "does not let us through to vertex.example.com:443",
        remedy: "let the proxy connect to vertex.example.com:443",
    },
    Breakage {
        what: "the proxy is not there",
        breaks: |world| behind(world, ([127, 0, 0, 1], 1).into()),
        hop: "proxy",
        problem: "ProxyUnreachable",
        found: "HTTPS_PROXY is 127.0.0.1:1, and it refuses connections",
        remedy: "helm get values",
    },
    Breakage {
        what: "the provider takes other audiences",
        breaks: |world| {
            world.write("token", &jwt(&json!({"aud": "https://other.example.com"})));
            sts(
                world,
                400,
                "invalid_grant",
                "The audience in ID Token [https://other.example.com] does not match the expected audience.",
            );
        },
        hop: "exchange",
        problem: "AudienceRefused",
        found: "The audience in ID Token [https://other.example.com] does not match",
        remedy: "--allowed-audiences=",
    },
    Breakage {
        what: "the provider is for another issuer",
        breaks: |world| {
            sts(
                world,
                400,
                "invalid_grant",
                "The issuer in ID Token https://kubernetes.default.svc does not match the expected ones.",
            );
        },
        hop: "exchange",
        problem: "IssuerRefused",
        found: "The issuer in ID Token https://kubernetes.default.svc does not match",
        remedy: "--issuer-uri=https://kubernetes.default.svc",
    },
    Breakage {
        what: "Google cannot read the issuer's keys",
        breaks: |world| {
            sts(
                world,
                400,
                "invalid_grant",
                "Error connecting to the given credential's issuer.",
            );
        },
        hop: "exchange",
        problem: "IssuerKeys",
        found: "status 400: invalid_grant: Error connecting to the given credential's issuer.",
        remedy: "--jwk-json-path=jwks.json",
    },
    Breakage {
        what: "the keys have been rotated",
        breaks: |world| {
            sts(
                world,
                400,
                "invalid_grant",
                "Invalid signature of the ID Token: no key matches.",
            );
        },
        hop: "exchange",
        problem: "IssuerKeys",
        found: "Invalid signature",
        remedy: "kubectl get --raw /openid/v1/jwks >jwks.json",
    },
    Breakage {
        what: "Google takes the token for expired",
        breaks: |world| {
            sts(
                world,
                400,
                "invalid_grant",
                "ID Token issued at 1700000000 is stale to sign-in.",
            );
        },
        hop: "exchange",
        problem: "TokenRefused",
        found: "is stale to sign-in",
        remedy: "kubectl get nodes -o wide",
    },
    Breakage {
        what: "the attribute condition does not admit the namespace",
        breaks: |world| {
            sts(
                world,
                400,
                "unauthorized_client",
                "The given credential is rejected by the attribute condition.",
            );
        },
        hop: "exchange",
        problem: "AttributeCondition",
        found: "unauthorized_client: The given credential is rejected by the attribute condition.",
        remedy: "--attribute-condition=\"assertion['kubernetes.io']['namespace'] in ['agents']\"",
    },
    Breakage {
        what: "there is no such provider",
        breaks: |world| {
            sts(
                world,
                400,
                "invalid_target",
                "The target service indicated by the \"audience\" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn't exist.",
            );
        },
        hop: "exchange",
        problem: "ProviderUnknown",
        found: "invalid_target",
        remedy: "gcloud iam workload-identity-pools providers undelete cluster --project=123456789",
    },
    Breakage {
        what: "the exchange is refused for a reason that nobody knows",
        breaks: |world| sts(world, 400, "invalid_request", "Something new."),
        hop: "exchange",
        problem: "ExchangeRefused",
        found: "invalid_request: Something new.",
        remedy: "gcloud iam workload-identity-pools providers describe cluster --project=123456789",
    },
    Breakage {
        what: "the API of the exchange is off",
        breaks: |world| {
            world.google.answers.lock().unwrap().sts = api(
                403,
                "PERMISSION_DENIED",
                "SERVICE_DISABLED",
                "Security Token Service API has not been used in project 123456789 before or it is disabled.",
            );
        },
        hop: "exchange",
        problem: "ExchangeApiDisabled",
        found: "Security Token Service API has not been used",
        remedy: "gcloud services enable sts.googleapis.com --project=123456789",
    },
    Breakage {
        what: "the role to act as the service account is missing",
        breaks: |world| {
            iam(
                world,
                403,
                "PERMISSION_DENIED",
                "IAM_PERMISSION_DENIED",
                "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
            );
        },
        hop: "impersonation",
        problem: "ImpersonationRole",
        found: "Permission 'iam.serviceAccounts.getAccessToken' denied",
        remedy: "gcloud iam service-accounts add-iam-policy-binding agent@my-project.iam.gserviceaccount.com --role=roles/iam.workloadIdentityUser --member=\"principal://iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/agents/subject/system:serviceaccount:agents:default\"",
    },
    Breakage {
        what: "there is no such service account",
        breaks: |world| {
            iam(
                world,
                404,
                "NOT_FOUND",
                "",
                "Not found; Gaia id not found for email agent@my-project.iam.gserviceaccount.com",
            );
        },
        hop: "impersonation",
        problem: "AccountUnknown",
        found: "Gaia id not found",
        remedy: "gcloud iam service-accounts describe agent@my-project.iam.gserviceaccount.com",
    },
    Breakage {
        what: "the service account is disabled",
        breaks: |world| iam(world, 400, "FAILED_PRECONDITION", "", "Service account is disabled."),
        hop: "impersonation",
        problem: "AccountDisabled",
        found: "is disabled",
        remedy: "gcloud iam service-accounts enable agent@my-project.iam.gserviceaccount.com",
    },
    Breakage {
        what: "the API of impersonation is off",
        breaks: |world| {
            iam(
                world,
                403,
                "PERMISSION_DENIED",
                "SERVICE_DISABLED",
                "IAM Service Account Credentials API has not been used in project 123456789 before or it is disabled.",
            );
        },
        hop: "impersonation",
        problem: "ImpersonationApiDisabled",
        found: "IAM Service Account Credentials API",
        remedy: "gcloud services enable iamcredentials.googleapis.com --project=123456789",
    },
    Breakage {
        what: "the host of impersonation refuses connections",
        breaks: |world| {
            let url = "https://localhost:1/v1/projects/-/serviceAccounts/agent@my-project.iam.gserviceaccount.com:generateAccessToken";
            world.credential["service_account_impersonation_url"] = json!(url);
        },
        hop: "connection",
        problem: "ConnectionRefused",
        found: "it refuses connections",
        remedy: "kubectl get networkpolicies -n agents",
    },
    Breakage {
        what: "the role of models is missing, of a service account",
        breaks: no_role_of_models,
        hop: "vertex",
        problem: "VertexRole",
        found: "Permission 'aiplatform.endpoints.predict' denied",
        remedy: "gcloud projects add-iam-policy-binding my-project --role=roles/aiplatform.user --condition=None --member=\"serviceAccount:agent@my-project.iam.gserviceaccount.com\"",
    },
    Breakage {
        what: "the role of models is missing, of a federated identity",
        breaks: |world| {
            world.federated();
            no_role_of_models(world);
        },
        hop: "vertex",
        problem: "VertexRole",
        found: "aiplatform.endpoints.predict",
        remedy: "--member=\"principal://iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/agents/subject/system:serviceaccount:agents:default\"",
    },
    Breakage {
        what: "the API of models is off",
        breaks: |world| {
            vertex(
                world,
                403,
                "PERMISSION_DENIED",
                "SERVICE_DISABLED",
                "Vertex AI API has not been used in project my-project before or it is disabled.",
            );
        },
        hop: "vertex",
        problem: "VertexApiDisabled",
        found: "Vertex AI API has not been used",
        remedy: "gcloud services enable aiplatform.googleapis.com --project=my-project",
    },
    Breakage {
        what: "the project has no billing",
        breaks: |world| {
            vertex(
                world,
                403,
                "PERMISSION_DENIED",
                "BILLING_DISABLED",
                "This API method requires billing to be enabled.",
            );
        },
        hop: "vertex",
        problem: "BillingDisabled",
        found: "requires billing",
        remedy: "gcloud billing projects link my-project",
    },
    Breakage {
        what: "calls may not be counted against the quota project",
        breaks: |world| {
            world.credential["quota_project_id"] = json!("other-project");
            vertex(
                world,
                403,
                "PERMISSION_DENIED",
                "USER_PROJECT_DENIED",
                "Caller does not have required permission to use project other-project.",
            );
        },
        hop: "vertex",
        problem: "QuotaProject",
        found: "to use project other-project",
        remedy: "gcloud projects add-iam-policy-binding other-project --role=roles/serviceusage.serviceUsageConsumer",
    },
    Breakage {
        what: "a perimeter refuses the call",
        breaks: |world| {
            vertex(
                world,
                403,
                "PERMISSION_DENIED",
                "SECURITY_POLICY_VIOLATED",
                "Request is prohibited by organization's policy.",
            );
        },
        hop: "vertex",
        problem: "ServiceControls",
        found: "prohibited by organization's policy",
        remedy: "gcloud access-context-manager perimeters list",
    },
    Breakage {
        what: "the model is not enabled",
        breaks: |world| {
            vertex(
                world,
                404,
                "NOT_FOUND",
                "",
                "Publisher Model `projects/my-project/locations/us-east5/publishers/anthropic/models/claude-haiku-4-5` was not found or your project does not have access to it.",
            );
        },
        hop: "vertex",
        problem: "ModelNotEnabled",
        found: "was not found or your project does not have access to it",
        remedy: "enable claude-haiku-4-5 in Model Garden",
    },
    Breakage {
        what: "there is no such location, says a page",
        breaks: |world| {
            world.google.answers.lock().unwrap().vertex =
                (404, Value::String("<!DOCTYPE html><title>canary</title>".to_owned()));
        },
        hop: "vertex",
        problem: "RegionUnknown",
        found: "status 404",
        remedy: "correct region in the policy (us-east5)",
    },
    Breakage {
        what: "there is no such location, says the API",
        breaks: |world| {
            vertex(
                world,
                400,
                "INVALID_ARGUMENT",
                "",
                "Unsupported region for Vertex AI, select from …",
            );
        },
        hop: "vertex",
        problem: "RegionUnknown",
        found: "Unsupported region",
        remedy: "kubectl get injectionpolicies -n agents -o yaml",
    },
    Breakage {
        what: "the quota is used up",
        breaks: |world| {
            vertex(
                world,
                429,
                "RESOURCE_EXHAUSTED",
                "RATE_LIMIT_EXCEEDED",
                "Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model with base model: anthropic-claude-haiku-4-5.",
            );
        },
        hop: "vertex",
        problem: "QuotaExceeded",
        found: "Quota exceeded for",
        remedy: "gcloud beta quotas info list --service=aiplatform.googleapis.com --project=my-project",
    },
    Breakage {
        what: "Vertex AI does not take the token",
        breaks: |world| {
            vertex(
                world,
                401,
                "UNAUTHENTICATED",
                "ACCOUNT_STATE_INVALID",
                "Request had invalid authentication credentials.",
            );
        },
        hop: "vertex",
        problem: "TokenRejected",
        found: "invalid authentication credentials",
        remedy: "gcloud iam service-accounts describe agent@my-project.iam.gserviceaccount.com",
    },
    Breakage {
        what: "Vertex AI fails",
        breaks: |world| vertex(world, 503, "UNAVAILABLE", "", "The service is currently unavailable."),
        hop: "vertex",
        problem: "VertexFails",
        found: "status 503: The service is currently unavailable.",
        remedy: "https://status.cloud.google.com",
    },
];

/// Answers every connection so, and ends it.
fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // Who only looks whether somebody listens sends nothing.
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

/// The token service is behind this proxy.
fn behind(world: &mut World, proxy: SocketAddr) {
    world.credential["token_url"] = json!("https://vertex.example.com/v1/token");
    world.env.insert("HTTPS_PROXY", format!("http://{proxy}"));
}

#[test]
fn the_first_hop_that_breaks_is_named_with_what_mends_it() {
    let wrong: Vec<String> = BREAKAGES.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What is not as it should be when this breaks.
fn wrong(breakage: &Breakage) -> Option<String> {
    let Breakage {
        what,
        breaks,
        hop,
        problem,
        found,
        remedy,
    } = breakage;
    let mut world = World::new();
    breaks(&mut world);
    let told = world.told();
    let place = told.hops().iter().position(|hop| hop["level"] == "broken");
    let Some(place) = place else {
        return Some(format!("{what}: nothing is broken:\n{}", told.text));
    };
    let (before, after) = told.hops().split_at(place);
    let broken = &after[0];
    let mends: Vec<&str> = broken["remedy"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    let is_last = ["vertex", "configuration"].contains(hop);
    let as_it_should_be = [
        ("the exit code", told.code == Some(1)),
        ("the hop", broken["hop"] == *hop),
        ("the problem", broken["problem"] == *problem),
        (
            "what was found",
            broken["found"].as_str().unwrap().contains(found) && told.text.contains(found),
        ),
        (
            "the remedy",
            mends.iter().any(|line| line.contains(remedy)) && told.text.contains(remedy),
        ),
        (
            "what comes before",
            before
                .iter()
                .all(|hop| hop["level"] == "fine" || hop["level"] == "warning"),
        ),
        (
            "what comes after",
            after[1..].iter().all(|hop| hop["level"] == "not-tried"),
        ),
        ("the last hop", is_last || after[after.len() - 1]["hop"] == "vertex"),
    ];
    let (wrong, _) = as_it_should_be.into_iter().find(|(_, right)| !right)?;
    Some(format!("{what}: {wrong}:\n{}", told.text))
}

#[test]
fn every_remedy_names_the_provider_as_gcloud_wants_it() {
    let mut world = World::new();
    sts(
        &mut world,
        400,
        "unauthorized_client",
        "The given credential is rejected by the attribute condition.",
    );
    let told = world.told();
    assert!(
        told.text.contains(&format!("providers describe {FLAGS}\n")),
        "{}",
        told.text
    );
}

#[test]
fn all_is_fine_where_all_is_fine() {
    let world = World::new();
    let told = world.told();
    assert_eq!(told.code, Some(0), "{}", told.text);
    assert!(told.hops().iter().all(|hop| hop["level"] == "fine"), "{}", told.text);
    let hops: Vec<_> = told.hops().iter().map(|hop| hop["hop"].as_str().unwrap()).collect();
    assert_eq!(
        hops,
        [
            "configuration",
            "identity-token",
            "connection",
            "tls",
            "clock",
            "exchange",
            "connection",
            "tls",
            "impersonation",
            "connection",
            "tls",
            "vertex"
        ]
    );
    for shown in [
        "✓ configuration: external_account, provider cluster of pool agents in project 123456789, as agent@my-project.iam.gserviceaccount.com, project my-project, location us-east5, model claude-haiku-4-5",
        "issuer https://kubernetes.default.svc, subject system:serviceaccount:agents:default, audience https://iam.googleapis.com/projects/123456789",
        "✓ vertex claude-haiku-4-5 in us-east5: the model answered",
    ] {
        assert!(told.text.contains(shown), "{}", told.text);
    }
}

#[test]
fn another_audience_is_a_remark_because_the_provider_may_know_it() {
    let world = World::new();
    world.write("token", &jwt(&json!({"aud": "https://other.example.com"})));
    let told = world.told();
    assert_eq!(told.code, Some(0), "{}", told.text);
    assert_eq!(told.hops()[1]["problem"], "TokenAudienceUnusual");
    assert!(told.text.contains("! identity-token"), "{}", told.text);
}

#[test]
fn a_clock_that_is_off_is_a_remark_and_breaks_what_it_signs() {
    let mut world = World::new();
    world.google.answers.lock().unwrap().behind = 600;
    let told = world.told();
    assert_eq!(told.code, Some(0), "{}", told.text);
    let clock = told.hops().iter().find(|hop| hop["hop"] == "clock").unwrap();
    assert_eq!(
        (&clock["level"], &clock["problem"]),
        (&json!("warning"), &json!("ClockWrong"))
    );
    assert!(clock["found"].as_str().unwrap().starts_with("ours is 60"), "{clock}");

    let port = world.google.address.port();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let file = json!({
        "type": "service_account",
        "client_email": crate::world::EMAIL,
        "private_key": key.serialize_pem(),
        "token_uri": format!("https://localhost:{port}/v1/token"),
    });
    world.write("key.json", &file.to_string());
    world.env.clear();
    world.arguments = [
        "--credentials",
        world.path("key.json").to_str().unwrap(),
        "--project=my-project",
    ]
    .map(str::to_owned)
    .into();
    let told = world.told();
    assert_eq!(told.code, Some(1), "{}", told.text);
    assert_eq!(told.broken()["problem"], "ClockWrong");
    assert!(!told.text.contains("PRIVATE"), "{}", told.text);
}

#[test]
fn words_of_google_are_bounded() {
    let mut world = World::new();
    let long = "word ".repeat(10_000);
    sts(&mut world, 400, "invalid_grant", &long);
    let told = world.told();
    assert!(
        told.broken()["found"].as_str().unwrap().chars().count() < 350,
        "{}",
        told.text
    );
}
