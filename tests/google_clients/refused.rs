//! What the fake refuses as Google would, in the words that a person then reads.

use super::*;

#[track_caller]
fn assert_contains(error: &str, expected: &str) {
    assert!(error.contains(expected), "{expected:?} is not in:\n{error}");
}

#[test]
fn a_token_for_another_audience() {
    let Some(setting) = setting() else { return };
    let claims = claims(ISSUER, "https://kubernetes.default.svc", "team-a", "agent");
    assert_contains(
        &setting.refusal(&setting.issuer.sign(&claims)),
        &format!(
            "Error code invalid_grant: The audience in ID Token [https://kubernetes.default.svc] does not match the expected audience {TOKEN_AUDIENCE}."
        ),
    );
}

#[test]
fn a_token_of_another_issuer() {
    let Some(setting) = setting() else { return };
    let claims = claims("https://other.example", TOKEN_AUDIENCE, "team-a", "agent");
    assert_contains(
        &setting.refusal(&setting.issuer.sign(&claims)),
        &format!(
            "Error code invalid_grant: The issuer in ID Token https://other.example does not match the expected one: {ISSUER}."
        ),
    );
}

#[test]
fn a_token_that_another_key_signed_under_the_clusters_key_name() {
    let Some(setting) = setting() else { return };
    let token = Issuer::new("cluster-key-1").sign(&good_claims());
    assert_contains(
        &setting.refusal(&token),
        "Error code invalid_grant: The signature of the ID Token does not verify with the issuer's key cluster-key-1.",
    );
    // What did not verify is not told as if it were true.
    let [entry] = setting.entries("token");
    assert_eq!(entry.get("claims"), None);
}

#[test]
fn a_token_whose_claims_were_changed_after_it_was_signed() {
    let Some(setting) = setting() else { return };
    let (honest, mut forged) = (setting.good_token(), good_claims());
    forged["sub"] = json!("system:serviceaccount:kube-system:admin");
    let forged = setting.issuer.sign(&forged);
    let parts = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (honest, forged) = (parts(&honest), parts(&forged));
    let token = format!("{}.{}.{}", honest[0], forged[1], honest[2]);
    assert_contains(
        &setting.refusal(&token),
        "Error code invalid_grant: The signature of the ID Token does not verify",
    );
}

#[test]
fn a_token_signed_with_a_key_that_the_cluster_does_not_publish() {
    let Some(setting) = setting() else { return };
    let token = Issuer::new("cluster-key-2").sign(&good_claims());
    assert_contains(
        &setting.refusal(&token),
        "Error code invalid_grant: The ID Token was signed with the key cluster-key-2, which is not one of the issuer's.",
    );
}

#[test]
fn an_expired_token() {
    let Some(setting) = setting() else { return };
    let mut claims = good_claims();
    claims["iat"] = json!(now() - 7200);
    claims["exp"] = json!(now() - 3600);
    let error = setting.refusal(&setting.issuer.sign(&claims));
    assert_contains(&error, "Error code invalid_grant: The ID Token expired 36");
}

#[test]
fn a_token_with_a_newline_after_it() {
    let Some(setting) = setting() else { return };
    assert_contains(
        &setting.refusal(&format!("{}\n", setting.good_token())),
        "Error code invalid_grant: The ID Token begins or ends with white space. Clients send their file as it is: it must hold the token and nothing else, not even a newline.",
    );
}

#[test]
fn a_token_that_is_no_service_accounts() {
    let Some(setting) = setting() else { return };
    let mut claims = good_claims();
    claims["sub"] = json!("system:node:node-1");
    assert_contains(
        &setting.refusal(&setting.issuer.sign(&claims)),
        "Error code invalid_grant: The subject in ID Token system:node:node-1 is not of the form system:serviceaccount:NAMESPACE:NAME.",
    );
}

#[test]
fn something_that_is_no_token_at_all() {
    let Some(setting) = setting() else { return };
    assert_contains(
        &setting.refusal("not-a-token"),
        "Error code invalid_grant: The ID Token is not a JWT of three base64url parts.",
    );
}

#[test]
fn the_audience_of_another_provider() {
    let Some(setting) = setting() else { return };
    let mut pod = injected_pod(Identity::Direct, &setting.good_token());
    change_credentials(&mut pod, |credentials| {
        let other = PROVIDER.replace("providers/cluster", "providers/other");
        credentials["audience"] = json!(format!("//iam.googleapis.com/{other}"));
    });
    assert_contains(
        &setting.refusal_of(&pod),
        "Error code invalid_target: The target service indicated by the \"audience\" parameters is invalid.",
    );
}

#[test]
fn the_tokens_audience_where_the_providers_name_belongs() {
    let Some(setting) = setting() else { return };
    let mut pod = injected_pod(Identity::Direct, &setting.good_token());
    change_credentials(&mut pod, |credentials| {
        credentials["audience"] = json!(TOKEN_AUDIENCE);
    });
    assert_contains(
        &setting.refusal_of(&pod),
        "Error code invalid_request: Invalid value for \"audience\": https://iam.googleapis.com/",
    );
}

#[test]
fn a_body_that_is_not_a_form() {
    let Some(setting) = setting() else { return };
    for content_type in ["application/json", "text/plain"] {
        let answer = setting.post(content_type, "", &setting.good_token());
        assert_eq!(
            answer,
            json!([400, {
                "error": "invalid_request",
                "error_description": format!("The content type is {content_type}; expected {FORM}."),
            }])
        );
    }
}

#[test]
fn a_form_that_says_something_else() {
    let Some(setting) = setting() else { return };
    for (change, code, description) in [
        (
            "grant_type=password",
            "unsupported_grant_type",
            "grant_type is password; expected urn:ietf:params:oauth:grant-type:token-exchange.",
        ),
        (
            "requested_token_type=urn:ietf:params:oauth:token-type:id_token",
            "invalid_request",
            "requested_token_type is urn:ietf:params:oauth:token-type:id_token; expected urn:ietf:params:oauth:token-type:access_token.",
        ),
        (
            "subject_token_type=urn:ietf:params:oauth:token-type:saml2",
            "invalid_request",
            "subject_token_type is urn:ietf:params:oauth:token-type:saml2; expected urn:ietf:params:oauth:token-type:jwt.",
        ),
        ("scope=", "invalid_request", "Parameter scope is required."),
        (
            "scope=everything",
            "invalid_scope",
            "everything is not a scope of Google's.",
        ),
        (
            "subject_token=",
            "invalid_request",
            "Parameter subject_token is required.",
        ),
        (
            "acting=1",
            "invalid_request",
            "Unknown parameter acting; known: grant_type, audience, scope, requested_token_type, subject_token, subject_token_type, options.",
        ),
        (
            "options=%7B%22other%22%3A1%7D",
            "invalid_request",
            "options is not a JSON object with userProject alone.",
        ),
    ] {
        let answer = setting.post(FORM, change, &setting.good_token());
        let expected = json!([400, {"error": code, "error_description": description}]);
        assert_eq!(answer, expected, "{change}");
    }
}

#[test]
fn the_impersonation_of_an_account_that_the_identity_may_not_use() {
    let Some(setting) = setting() else { return };
    let mut pod = injected_pod(Identity::Impersonating(None), &setting.good_token());
    change_credentials(&mut pod, |credentials| {
        let url = &mut credentials["service_account_impersonation_url"];
        let text = url.as_str().expect("a URL").replace("agent@", "owner@");
        *url = json!(text);
    });
    let ran = setting.google.run_google_auth(&pod);
    assert_contains(ran.error(), "Unable to acquire impersonated credentials");
    assert_contains(ran.error(), "PERMISSION_DENIED");
    let [entry] = setting.entries("generateAccessToken");
    assert_eq!(entry["status"], 403);
    assert_eq!(
        entry["error_description"],
        "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
    );
}

#[test]
fn a_lifetime_beyond_an_hour() {
    let Some(setting) = setting() else { return };
    let pod = injected_pod(Identity::Impersonating(Some(7200)), &setting.good_token());
    let ran = setting.google.run_google_auth(&pod);
    assert_contains(ran.error(), "The lifetime 7200s is outside 1s to 3600s.");
    let [entry] = setting.entries("generateAccessToken");
    assert_eq!(entry["status"], 400);
}

#[test]
fn an_access_token_that_the_fake_did_not_issue() {
    const SCRIPT: &str = r#"
import requests, sys
response = requests.post(
    "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/" + sys.argv[1] + ":generateAccessToken",
    json={"scope": ["https://www.googleapis.com/auth/cloud-platform"]},
    headers={"authorization": "Bearer ya29.made-up"},
    timeout=20,
)
print(response.text)
"#;
    let Some(setting) = setting() else { return };
    let ran = setting
        .google
        .run_python(&InjectedPod::default(), &["-c", SCRIPT, SERVICE_ACCOUNT]);
    let answer: Value = serde_json::from_str(ran.output()).expect("JSON");
    assert_eq!(
        answer,
        json!({"error": {
            "code": 401,
            "message": "Request had invalid authentication credentials. Expected OAuth 2 access token.",
            "status": "UNAUTHENTICATED",
        }})
    );
}

#[test]
fn what_the_fake_does_not_play_in_googles_shape() {
    const SCRIPT: &str = r#"
import requests
account = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b.iam.gserviceaccount.com"
for method, url in [
    ("GET", account + "/allowedLocations"),
    ("POST", account + ":signJwt"),
    ("GET", "https://sts.googleapis.com/v1/token"),
    ("POST", "https://sts.googleapis.com/v1/oauthtoken"),
]:
    response = requests.request(method, url, timeout=20)
    assert response.json() == {"error": {
        "code": 404, "message": "Method not found.", "status": "NOT_FOUND",
    }}, response.text
"#;
    let Some(setting) = setting() else { return };
    let ran = setting.google.run_python(&InjectedPod::default(), &["-c", SCRIPT]);
    assert_eq!(ran.output(), "");
    let journal = setting.google.journal();
    let seen: Vec<_> = journal
        .iter()
        .map(|entry| json!([entry["service"], entry["operation"], entry["status"]]))
        .collect();
    assert_eq!(
        seen,
        [
            json!(["iamcredentials", "allowedLocations", 404]),
            json!(["iamcredentials", "unknown", 404]),
            json!(["sts", "unknown", 404]),
            json!(["sts", "unknown", 404]),
        ]
    );
}

fn change_credentials(pod: &mut InjectedPod, change: impl FnOnce(&mut Value)) {
    let path = &pod.env["GOOGLE_APPLICATION_CREDENTIALS"];
    let text = pod.files.get_mut(path).expect("the credential file");
    let mut credentials: Value = serde_json::from_str(text).expect("JSON");
    change(&mut credentials);
    *text = credentials.to_string();
}
