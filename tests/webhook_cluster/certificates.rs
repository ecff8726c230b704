//! Self-made certificates: made once, shared, trusted, and kept so.

use crate::replica::Replica;
use crate::world::{World, eventually, greeting};
use hyper::StatusCode;
use k8s_openapi::ByteString;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_replica_makes_a_certificate_that_the_api_server_trusts() {
    let Some(world) = World::start().await else { return };
    let replica = Replica::start(&world).await;
    let missing = |part, kind| {
        format!(
            "{part}: {kind} vertex-injector: it does not exist: install the chart, or name another one with \
             --webhook-configuration\n"
        )
    };
    let pods = missing("caBundle", "MutatingWebhookConfiguration");
    let policies = missing("caBundle for policies", "ValidatingWebhookConfiguration");
    eventually("only the configurations are missing", async || {
        let (status, text) = replica.readyz().await;
        status == StatusCode::SERVICE_UNAVAILABLE && text == format!("not ready\n{pods}{policies}")
    })
    .await;
    let authority = world.authority().await.unwrap();
    assert!(replica.is_trusted_by(&authority).await);

    world.configure(&[replica.addresses.https]).await;
    replica.until_ready().await;
    assert_eq!(world.ca_bundles().await, std::slice::from_ref(&authority));
    assert_eq!(world.policy_ca_bundle().await, authority);

    world.policy("agents", greeting("hello")).await;
    eventually("injected", async || {
        world.admitted_env("GREETING").await.as_deref() == Some("hello")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_one_authority_and_restore_whatever_is_taken() {
    let Some(world) = World::start().await else { return };
    let flags = ["--ca-settle=1s"];
    let kubeconfig = world.cluster.kubeconfig();
    let (one, other) = tokio::join!(Replica::with(kubeconfig, &flags), Replica::with(kubeconfig, &flags));
    let replicas = [one, other];
    world
        .configure(&replicas.each_ref().map(|replica| replica.addresses.https))
        .await;
    for replica in &replicas {
        replica.until_ready().await;
    }
    let authority = world.authority().await.unwrap();
    assert_eq!(world.ca_bundles().await, [authority.clone(), authority.clone()]);
    for replica in &replicas {
        assert!(
            replica.is_trusted_by(&authority).await,
            "a replica serves a certificate of another authority"
        );
    }

    // What a `helm upgrade` does to a field that it does not know.
    let blank = json!([
        {"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"},
        {"op": "replace", "path": "/webhooks/1/clientConfig/caBundle", "value": ""},
    ]);
    let blank = Patch::<()>::Json(serde_json::from_value(blank).unwrap());
    world
        .configurations()
        .patch("vertex-injector", &PatchParams::default(), &blank)
        .await
        .unwrap();
    let blank = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]);
    let blank = Patch::<()>::Json(serde_json::from_value(blank).unwrap());
    world
        .policy_configurations()
        .patch("vertex-injector", &PatchParams::default(), &blank)
        .await
        .unwrap();
    eventually("restored", async || {
        world.ca_bundles().await == [authority.clone(), authority.clone()]
            && world.policy_ca_bundle().await == authority
    })
    .await;

    // Who loses both Secrets has an authority of which nobody knows; the replicas remember the one by which they are trusted.
    for secret in ["vertex-injector-ca", "vertex-injector-tls"] {
        world.secrets().delete(secret, &DeleteParams::default()).await.unwrap();
    }
    eventually(
        "made again, served and trusted everywhere, beside the old one",
        async || {
            let Some(both) = world.authority().await.filter(|new| *new != authority) else {
                return false;
            };
            let Some(new) = both.strip_suffix(&authority) else {
                return false;
            };
            let served = replicas[0].is_trusted_by(new).await && replicas[1].is_trusted_by(new).await;
            served && world.ca_bundles().await == [both.clone(), both.clone()]
        },
    )
    .await;
    world.policy("agents", greeting("hello")).await;
    eventually("injected by both", async || {
        world.admitted_env("GREETING").await.as_deref() == Some("hello")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_other_names_is_renewed_under_the_same_authority() {
    let Some(world) = World::start().await else { return };
    let elsewhere = Replica::with(world.cluster.kubeconfig(), &["--tls-san=webhook.example"]).await;
    world.configure(&[elsewhere.addresses.https]).await;
    elsewhere.until_ready().await;
    let authority = world.authority().await.unwrap();
    drop(elsewhere);
    let version = async || {
        world
            .secrets()
            .get("vertex-injector-tls")
            .await
            .unwrap()
            .metadata
            .resource_version
    };
    let before = version().await;
    let here = Replica::with(world.cluster.kubeconfig(), &["--tls-san=here.example"]).await;
    here.until_ready().await;
    // It serves what it found until then.
    eventually("the Secret is renewed", async || version().await != before).await;
    assert_eq!(world.authority().await.unwrap(), authority);
    assert!(here.is_trusted_by(&authority).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_secret_of_the_chart_is_filled_and_one_of_somebody_else_is_left_alone() {
    let Some(world) = World::start().await else { return };
    let secret = |name: &str, data: serde_json::Value| {
        serde_json::from_value(json!({"metadata": {"name": name}, "type": "Opaque", "data": data})).unwrap()
    };
    let params = PostParams::default();
    world
        .secrets()
        .create(&params, &secret("vertex-injector-tls", json!({})))
        .await
        .unwrap();
    let replica = Replica::serving(&world, &[]).await;
    assert!(replica.is_trusted_by(&world.authority().await.unwrap()).await);
    let data = world.secrets().get("vertex-injector-tls").await.unwrap().data.unwrap();
    assert_eq!(
        data.keys().collect::<Vec<_>>(),
        ["ca.crt", "tls.crt", "tls.key"],
        "who reads what is served cannot sign"
    );
    let data = world.secrets().get("vertex-injector-ca").await.unwrap().data.unwrap();
    assert_eq!(data.keys().collect::<Vec<_>>(), ["ca.crt", "ca.key"]);

    world
        .secrets()
        .create(
            &params,
            &secret("theirs", json!({"tls.crt": "eA==", "tls.key": "eA=="})),
        )
        .await
        .unwrap();
    let refused = Replica::with(world.cluster.kubeconfig(), &["--tls-secret=theirs"]).await;
    eventually("the reason", async || {
        let text = refused.readyz().await.1;
        text.contains("certificate: Secret system/theirs: delete it") && text.contains("it has data but no ca.crt")
    })
    .await;
    let theirs = world.secrets().get("theirs").await.unwrap().data.unwrap();
    assert_eq!(theirs["tls.crt"], ByteString(b"x".to_vec()));
    assert_eq!(theirs.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_of_before_the_authority_had_a_secret_of_its_own_goes_on_with_what_is_trusted() {
    let Some(world) = World::start().await else { return };
    // One Secret, with the certificate and the authority that signed it, whose key was thrown away.
    let before = Replica::serving(&world, &[]).await;
    let old = world.authority().await.unwrap();
    drop(before);
    let params = DeleteParams::default();
    world.secrets().delete("vertex-injector-ca", &params).await.unwrap();

    let replica = Replica::with(world.cluster.kubeconfig(), &["--ca-settle=3s"]).await;
    replica.until_ready().await;
    assert!(replica.is_trusted_by(&old).await, "clients know the old authority only");
    let mut both = String::new();
    eventually("the next authority is trusted beside it, and signs", async || {
        both = world.authorities().await.unwrap_or_default();
        let new = both.strip_suffix(&old).unwrap_or_default();
        assert!(world.ca_bundles().await[0].ends_with(&old));
        !new.is_empty() && world.ca_bundles().await[0] == both && replica.is_trusted_by(new).await
    })
    .await;
}
