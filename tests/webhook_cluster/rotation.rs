//! Certificates that are renewed all the time, and what others do to them: who trusts the `caBundle` is always served.

use crate::replica::Replica;
use crate::world::{World, agent, greeting, within};
use harness::process::or_explain;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;
use vertex_injector_webhook::Clock;

const YEAR: i64 = 366 * 24 * 60 * 60;

/// How long certificates are renewed under way.
const ROTATING: Duration = Duration::from_mins(1);

/// Two replicas that serve, and clients of them who never pause.
struct Traffic {
    world: Arc<World>,
    replicas: Arc<[Replica; 2]>,
    failures: Arc<Mutex<Vec<String>>>,
    handshakes: Arc<AtomicUsize>,
    pods: Arc<AtomicUsize>,
    bundles: Arc<Mutex<BTreeSet<String>>>,
    /// Nobody may change a bundle on purpose while clients read it and use it.
    paused: Arc<AtomicBool>,
    clients_under_way: JoinSet<()>,
}

impl Traffic {
    async fn start(flags: &[&str], clock: Clock) -> Option<Self> {
        let world = Arc::new(World::start().await?);
        let replicas = tokio::join!(
            Replica::with_clock(&world, flags, clock.clone()),
            Replica::with_clock(&world, flags, clock)
        );
        let replicas = Arc::new(<[Replica; 2]>::from(replicas));
        world
            .configure(&replicas.each_ref().map(|replica| replica.addresses.https))
            .await;
        for replica in &*replicas {
            replica.until_ready().await;
        }
        world.policy("agents", greeting("hello")).await;
        within(Duration::from_secs(30), "injected", async || {
            world.admit().await.is_ok() && world.admitted_env("GREETING").await.as_deref() == Some("hello")
        })
        .await;
        let mut traffic = Self {
            world,
            replicas,
            failures: Arc::default(),
            handshakes: Arc::default(),
            pods: Arc::default(),
            bundles: Arc::default(),
            paused: Arc::default(),
            clients_under_way: JoinSet::new(),
        };
        traffic.clients();
        Some(traffic)
    }

    fn clients(&mut self) {
        for i in 0..2 {
            let (world, replicas) = (Arc::clone(&self.world), Arc::clone(&self.replicas));
            let (failures, count) = (Arc::clone(&self.failures), Arc::clone(&self.handshakes));
            let (bundles, paused) = (Arc::clone(&self.bundles), Arc::clone(&self.paused));
            self.clients_under_way.spawn(async move {
                loop {
                    if paused.load(Ordering::SeqCst) {
                        sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                    // What an API server that is not behind would use.
                    let bundle = world.ca_bundles().await.swap_remove(i);
                    match replicas[i].try_review(&bundle, agent()).await {
                        Ok(()) => _ = count.fetch_add(1, Ordering::SeqCst),
                        Err(error) => failures.lock().unwrap().push(format!("replica {i}: {error}")),
                    }
                    bundles.lock().unwrap().insert(bundle);
                }
            });
        }
        let (world, failures) = (Arc::clone(&self.world), Arc::clone(&self.failures));
        let (count, paused) = (Arc::clone(&self.pods), Arc::clone(&self.paused));
        self.clients_under_way.spawn(async move {
            loop {
                if paused.load(Ordering::SeqCst) {
                    sleep(Duration::from_millis(10)).await;
                    continue;
                }
                match world.admit().await {
                    Ok(_) => _ = count.fetch_add(1, Ordering::SeqCst),
                    Err(error) => failures.lock().unwrap().push(error),
                }
            }
        });
    }

    /// Clients wait, and what they have under way ends.
    async fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
        sleep(Duration::from_secs(1)).await;
    }

    fn resume(&self) {
        self.paused.store(false, Ordering::SeqCst);
    }

    /// Clients go on for a while, and none of them fails.
    async fn goes_on(&self, what: &str) {
        let before = (self.handshakes.load(Ordering::SeqCst), self.pods.load(Ordering::SeqCst));
        within(Duration::from_secs(20), "more reviews and pods", async || {
            self.handshakes.load(Ordering::SeqCst) > before.0 + 10 && self.pods.load(Ordering::SeqCst) > before.1 + 10
        })
        .await;
        self.none_failed(what);
    }

    fn none_failed(&self, what: &str) {
        let failures = self.failures.lock().unwrap();
        assert!(failures.is_empty(), "{what}: {failures:#?}");
    }

    /// Whether both replicas serve a certificate of the newest authority, and every webhook trusts it.
    async fn serves_of(&self, newest: &str) -> bool {
        let trusted = self
            .world
            .ca_bundles()
            .await
            .iter()
            .all(|bundle| bundle.starts_with(newest));
        trusted && self.replicas[0].is_trusted_by(newest).await && self.replicas[1].is_trusted_by(newest).await
    }

    /// Waits for an authority that was not there before, served by both.
    async fn renewed(&self, limit: u64, before: &str, what: &str) {
        within(Duration::from_secs(limit), what, async || {
            let Some(all) = self.world.authorities().await else {
                return false;
            };
            let newest = newest(&all);
            !before.contains(&newest) && self.serves_of(&newest).await
        })
        .await;
    }

    async fn delete(&self, secret: &str) {
        let secrets = self.world.secrets();
        secrets.delete(secret, &DeleteParams::default()).await.unwrap();
    }
}

/// The first certificate of a PEM text.
fn newest(pem: &str) -> String {
    const END: &str = "-----END CERTIFICATE-----\n";
    pem.split_inclusive(END).next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_authorities_and_certificates_change_every_two_seconds_no_handshake_and_no_pod_fails() {
    // The next authority is due after two seconds, and signs a second after everybody was told of it. What was served until then
    // is good for half a minute: so long may a busy machine take.
    let flags = ["--ca-lifetime=32s", "--certificate-lifetime=30s", "--ca-settle=1s"];
    let Some(traffic) = Traffic::start(&flags, Clock::default()).await else {
        return;
    };
    sleep(ROTATING).await;
    traffic.none_failed("rotating");
    let bundles = traffic.bundles.lock().unwrap().clone();
    let authorities: BTreeSet<_> = bundles.iter().map(|bundle| newest(bundle)).collect();
    let (handshakes, pods) = (
        traffic.handshakes.load(Ordering::SeqCst),
        traffic.pods.load(Ordering::SeqCst),
    );
    println!(
        "{} authorities, {handshakes} reviews past the API server, {pods} pods",
        authorities.len()
    );
    assert!(authorities.len() >= 10, "{} authorities", authorities.len());
    assert!(handshakes > 100 && pods > 100, "{handshakes} {pods}");
    let most = bundles.iter().map(|bundle| bundle.matches("BEGIN").count()).max();
    assert!(most <= Some(17), "{most:?} authorities at a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_others_do_heals_within_seconds() {
    let ahead = Arc::new(AtomicI64::new(0));
    let Some(traffic) = Traffic::start(&["--ca-settle=1s"], Clock::ahead(Arc::clone(&ahead))).await else {
        return;
    };
    let world = &traffic.world;
    traffic.goes_on("at first").await;

    // One Secret is missed by nobody.
    let before = world.authorities().await.unwrap();
    traffic.delete("vertex-injector-ca").await;
    traffic
        .renewed(10, &before, "the Secret of authorities was deleted")
        .await;
    traffic.goes_on("the Secret of authorities was deleted").await;
    traffic.delete("vertex-injector-tls").await;
    within(Duration::from_secs(5), "the serving Secret is back", async || {
        world.authority().await.is_some()
    })
    .await;
    traffic.goes_on("the serving Secret was deleted").await;

    // Another clock: who is a year ahead finds all expired. What he makes is good for everybody, and also when he is back.
    let before = world.authorities().await.unwrap();
    traffic.pause().await;
    ahead.store(YEAR, Ordering::SeqCst);
    traffic.renewed(5, &before, "a year has passed at once").await;
    traffic.resume();
    traffic.goes_on("a year ahead").await;
    ahead.store(0, Ordering::SeqCst);
    sleep(Duration::from_secs(2)).await;
    traffic.goes_on("back again").await;

    traffic.pause().await;
    let broken = json!([{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}]);
    let broken = Patch::<()>::Json(serde_json::from_value(broken).unwrap());
    let (configurations, params) = (world.configurations(), PatchParams::default());
    configurations.patch("vertex-injector", &params, &broken).await.unwrap();
    let wanted = world.authorities().await.unwrap();
    within(Duration::from_secs(3), "the caBundle was overwritten", async || {
        world.ca_bundles().await == [wanted.clone(), wanted.clone()]
    })
    .await;
    traffic.resume();
    traffic.goes_on("the caBundle was overwritten").await;

    traffic.pause().await;
    let restarted = Arc::clone(world);
    let restarted = tokio::task::spawn_blocking(move || restarted.cluster.restart_api_server());
    if or_explain(restarted.await.unwrap()).is_some() {
        let before = world.authorities().await.unwrap();
        traffic.delete("vertex-injector-ca").await;
        // Watches end with the API server, and begin again after at most five seconds.
        traffic.renewed(20, &before, "the API server was restarted").await;
    }
    traffic.resume();
    traffic.goes_on("the API server was restarted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_alone_goes_on_and_the_next_begins_with_what_is_served() {
    let Some(world) = World::start().await else { return };
    let kubeconfig = world.cluster.kubeconfig();
    let one = Replica::with(kubeconfig, &["--ca-settle=1s"]).await;
    let other = Replica::with(kubeconfig, &["--ca-settle=1s"]).await;
    world.configure(&[one.addresses.https]).await;
    one.until_ready().await;
    other.until_ready().await;
    let before = world.authorities().await.unwrap();
    drop(other);
    world
        .secrets()
        .delete("vertex-injector-ca", &DeleteParams::default())
        .await
        .unwrap();
    within(Duration::from_secs(10), "a new authority signs", async || {
        let all = world.authorities().await.unwrap_or_default();
        !all.is_empty() && !before.contains(&newest(&all)) && one.is_trusted_by(&newest(&all)).await
    })
    .await;
    let all = world.authorities().await.unwrap();
    assert!(all.ends_with(&before), "the old authority is no longer trusted");
    let next = Replica::with(kubeconfig, &["--ca-settle=1h", "--certificate-lifetime=30d"]).await;
    next.until_ready().await;
    assert!(next.is_trusted_by(&newest(&all)).await);
}
