//! gcloud beside a broker. It comes from no package registry, so it is run where it is installed.

use super::*;
use crate::brokered::{Brokered, PLACEHOLDER, metadata, proxy};

const LIST: &str = "gcloud auth list --format='value(account,status)'";
/// The account's name that the metadata server tells when the identity is no service account.
const ACCOUNT: &str = "my-project.svc.id.goog";

#[test]
fn gcloud_prints_the_brokers_token_and_lists_its_account() {
    let Some(setting) = setting() else { return };
    let Brokered { agent, broker } = metadata(&setting.good_token());
    setting.google.start_broker(&broker);
    let Some(ran) = setting.google.run_gcloud(&agent, "gcloud auth print-access-token") else {
        return;
    };
    let [exchange] = setting.entries("token");
    assert_eq!(exchange["token_sha256"], sha256(ran.output()));
    let ran = setting.google.run_gcloud(&agent, LIST).expect("gcloud is still there");
    assert_eq!(ran.output(), format!("{ACCOUNT}\t*"));
    // Nothing but the broker's exchange has reached Google.
    assert_eq!(setting.google.journal().len(), 1);
}

/// It uses the file that CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE names, as other tests show, but counts it as nobody's account.
#[test]
fn gcloud_lists_no_account_in_access_file() {
    let Some(setting) = setting() else { return };
    let pod = injected_pod(Identity::Direct, &setting.good_token());
    let Some(ran) = setting.google.run_gcloud(&pod, LIST) else {
        return;
    };
    assert_eq!(ran.output(), "");
}

#[test]
fn gcloud_prints_a_placeholder_beside_the_proxy() {
    let Some(setting) = setting() else { return };
    let Brokered { agent, broker } = proxy(&setting.good_token());
    setting.google.start_broker(&broker);
    let Some(ran) = setting.google.run_gcloud(&agent, "gcloud auth print-access-token") else {
        return;
    };
    assert_eq!(ran.output(), PLACEHOLDER);
    let ran = setting.google.run_gcloud(&agent, LIST).expect("gcloud is still there");
    assert_eq!(ran.output(), format!("{ACCOUNT}\t*"));
}
