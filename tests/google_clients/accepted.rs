//! What real clients come back with.

use super::*;

#[test]
fn google_auth_exchanges_the_pods_token() {
    let Some(setting) = setting() else { return };
    let pod = injected_pod(Identity::Direct, &setting.good_token());
    let answer = came_back(&setting.google.run_google_auth(&pod));

    assert_eq!(answer["credentials"], "google.auth.identity_pool");
    assert_eq!(answer["project"], "my-project");
    let [entry] = setting.entries("token");
    let token = answer["token"].as_str().expect("a token");
    assert_eq!(entry["token_sha256"], sha256(token));
    assert_eq!(entry["principal"], PRINCIPAL);
    assert_eq!(entry["claims"]["pod"], "agent-0");
    assert_eq!(
        entry["parameters"]["scope"],
        "https://www.googleapis.com/auth/cloud-platform"
    );
    let [] = setting.entries("generateAccessToken");
}

#[test]
fn google_auth_impersonates_the_service_account_for_an_hour() {
    let Some(setting) = setting() else { return };
    let pod = injected_pod(Identity::Impersonating(None), &setting.good_token());
    let answer = came_back(&setting.google.run_google_auth(&pod));

    assert_eq!(answer["service_account"], SERVICE_ACCOUNT);
    let [exchange] = setting.entries("token");
    assert_eq!(exchange["parameters"]["scope"], "https://www.googleapis.com/auth/iam");
    let [entry] = setting.entries("generateAccessToken");
    let token = answer["token"].as_str().expect("a token");
    assert_eq!(entry["token_sha256"], sha256(token));
    assert_eq!(entry["parameters"]["account"], SERVICE_ACCOUNT);
    assert_eq!(entry["parameters"]["lifetime"], "3600s");
    assert_eq!(entry["principal"], PRINCIPAL);
}

#[test]
fn google_auth_asks_for_the_lifetime_that_the_file_names() {
    let Some(setting) = setting() else { return };
    let pod = injected_pod(Identity::Impersonating(Some(1800)), &setting.good_token());
    came_back(&setting.google.run_google_auth(&pod));

    let [entry] = setting.entries("generateAccessToken");
    assert_eq!(entry["parameters"]["lifetime"], "1800s");
    let [exchange] = setting.entries("token");
    let client = exchange["api_client"].as_str().expect("google-auth's name");
    assert!(
        client.contains("sa-impersonation/true config-lifetime/true"),
        "{client}"
    );
}

#[test]
fn gcloud_prints_the_federated_token() {
    let Some(setting) = setting() else { return };
    let pod = injected_pod(Identity::Direct, &setting.good_token());
    let Some(ran) = setting.google.run_gcloud(&pod, "gcloud auth print-access-token") else {
        return;
    };
    let token = ran.output();

    let [exchange] = setting.entries("token");
    assert_eq!(exchange["token_sha256"], sha256(token));
    let [question] = setting.entries("introspect");
    assert_eq!(question["principal"], PRINCIPAL);
}

#[test]
fn gcloud_prints_the_token_that_the_file_impersonates() {
    let Some(setting) = setting() else { return };
    let pod = injected_pod(Identity::Impersonating(Some(1200)), &setting.good_token());
    let Some(ran) = setting.google.run_gcloud(&pod, "gcloud auth print-access-token") else {
        return;
    };
    let token = ran.output();

    let [entry] = setting.entries("generateAccessToken");
    assert_eq!(entry["token_sha256"], sha256(token));
    assert_eq!(entry["parameters"]["lifetime"], "1200s");
}

#[test]
fn fractas_helper_line_prints_the_service_accounts_token() {
    let Some(setting) = setting() else { return };
    let pod = injected_pod(Identity::Direct, &setting.good_token());
    let Some(ran) = setting.google.run_gcloud(&pod, HELPER) else {
        return;
    };
    let token = ran.output();

    let [entry] = setting.entries("generateAccessToken");
    assert_eq!(entry["token_sha256"], sha256(token));
    assert_eq!(entry["parameters"]["account"], SERVICE_ACCOUNT);
}

#[test]
fn the_posted_form_that_the_refusals_change_is_accepted_unchanged() {
    let Some(setting) = setting() else { return };
    let answer = setting.post(FORM, "", &setting.good_token());
    assert_eq!(answer[0], 200, "{answer}");
    assert_eq!(answer[1]["expires_in"], 3599);
}
