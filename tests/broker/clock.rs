//! Time: when tokens are refreshed, and what happens while Google is away. Nothing here waits: time is paused, and jumps.

use super::credentials::{authorized_user, parse};
use harness::scripted::{Google, Reply, token};
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use vertex_injector_net::secret::Secret;
use vertex_injector_sidecar::broker::token::{AccessToken, Supplier, Supply, fetch};

/// A supplier over a scripted Google, as the broker makes it.
fn supplier(google: &Google) -> Supplier {
    let (credentials, upstream) = (Arc::new(parse(&authorized_user())), google.upstream());
    Supplier::start(
        move || {
            let (credentials, upstream) = (Arc::clone(&credentials), upstream.clone());
            async move { fetch(&credentials, &upstream).await }
        },
        || 1.0,
    )
}

async fn text(supplier: &Supplier) -> String {
    match supplier.get().await {
        Supply::Token(token) => token.secret.expose().to_owned(),
        other => panic!("no token: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_refreshed_when_600_s_or_30_percent_of_its_life_remain() {
    // Life → age at which it is replaced, in seconds. Very short ones keep a quarter, or they would be fetched in a loop.
    for (life, age) in [
        (43_200, 30_240),
        (3600, 2520),
        (3000, 2100),
        (1800, 1200),
        (900, 300),
        (300, 75),
        (1, 5),
    ] {
        let fetches = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&fetches);
        let supplier = Supplier::start(
            move || {
                counted.fetch_add(1, Ordering::Relaxed);
                async move { Ok(AccessToken::new(Secret::new("t"), Duration::from_secs(life))) }
            },
            || 1.0,
        );
        sleep(Duration::from_millis(age * 1000 - 10)).await;
        assert_eq!(fetches.load(Ordering::Relaxed), 1, "a life of {life} s, before {age} s");
        sleep(Duration::from_millis(20)).await;
        assert_eq!(fetches.load(Ordering::Relaxed), 2, "a life of {life} s, after {age} s");
        drop(supplier);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_parallel_callers_cause_one_fetch() {
    let answer = json!({"access_token": "one", "expires_in": 3600, "token_type": "Bearer"});
    let google = Google::always(Reply::Late(Duration::from_secs(3), answer));
    let supplier = supplier(&google);
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let supplier = supplier.clone();
        callers.spawn(async move { text(&supplier).await });
    }
    let tokens: HashSet<String> = callers.join_all().await.into_iter().collect();
    assert_eq!(tokens, HashSet::from(["one".to_owned()]));
    assert_eq!(google.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_cancels_nobodys_fetch() {
    let answer = json!({"access_token": "one", "expires_in": 3600, "token_type": "Bearer"});
    let google = Google::always(Reply::Late(Duration::from_secs(3), answer));
    let supplier = supplier(&google);
    let gone = tokio::time::timeout(Duration::from_secs(1), supplier.get()).await;
    assert!(gone.is_err(), "it waits for the first token");
    assert_eq!(text(&supplier).await, "one");
    assert_eq!(google.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_without_google_are_answered_with_later_and_end_within_one_backoff() {
    let google = Google::always(Reply::Json(503, json!({})));
    let supplier = supplier(&google);
    for _ in 0..60 {
        match supplier.get().await {
            Supply::Later(seconds) => assert!((1..=30).contains(&seconds), "{seconds}"),
            other => panic!("{other:?}"),
        }
        sleep(Duration::from_secs(10)).await;
    }
    // 1, 2, 4, 8, 16, then every 30 s.
    let attempts = google.seen().len();
    assert!((20..=26).contains(&attempts), "{attempts}");

    google.becomes(|_| token("back", 3600));
    sleep(Duration::from_secs(30)).await;
    assert_eq!(text(&supplier).await, "back");
}

#[tokio::test(start_paused = true)]
async fn the_old_token_is_served_while_it_lasts_and_not_longer() {
    let google = Google::always(token("old", 3600));
    let supplier = supplier(&google);
    assert_eq!(text(&supplier).await, "old");
    google.becomes(|_| Reply::Json(500, json!({})));
    sleep(Duration::from_secs(3580)).await;
    assert_eq!(text(&supplier).await, "old");
    assert!(google.seen().len() > 20, "it was tried");
    sleep(Duration::from_secs(30)).await;
    assert!(matches!(supplier.get().await, Supply::Later(_)));
}

#[tokio::test(start_paused = true)]
async fn even_a_refusal_leaves_the_old_token_and_is_told_when_it_has_ended() {
    let google = Google::always(token("old", 3600));
    let supplier = supplier(&google);
    assert_eq!(text(&supplier).await, "old");
    google.becomes(|_| Reply::Json(400, json!({"error": "invalid_grant", "error_description": "revoked"})));
    sleep(Duration::from_mins(50)).await;
    assert_eq!(text(&supplier).await, "old");
    sleep(Duration::from_secs(700)).await;
    match supplier.get().await {
        Supply::Refused(error) => assert!(error.to_string().contains("invalid_grant: revoked"), "{error}"),
        other => panic!("{other:?}"),
    }
    // Somebody has mended it: no restart is needed.
    google.becomes(|_| token("new", 3600));
    sleep(Duration::from_mins(1)).await;
    assert_eq!(text(&supplier).await, "new");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_hangs_is_given_up_after_15_s() {
    let google = Google::always(Reply::Hang);
    let start = Instant::now();
    let error = fetch(&parse(&authorized_user()), &google.upstream())
        .await
        .expect_err("no token");
    assert_eq!(start.elapsed().as_secs(), 15);
    assert!(!error.refused);
    assert!(error.detail.contains("did not answer within 15 s"), "{error}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_failure_that_may_pass() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{\"access".to_vec();
    let google = Google::always(Reply::Raw(head));
    let error = fetch(&parse(&authorized_user()), &google.upstream())
        .await
        .expect_err("no token");
    assert!(!error.refused);
    assert!(error.detail.contains("broke off"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_ten_seconds_for_the_first_token_and_no_longer() {
    let google = Google::always(Reply::Hang);
    let supplier = supplier(&google);
    let start = Instant::now();
    assert!(matches!(supplier.get().await, Supply::Later(_)));
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_google_rejects_is_replaced_soon_but_not_in_a_loop() {
    let fetches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&fetches);
    let supplier = Supplier::start(
        move || {
            let number = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                Ok(AccessToken::new(
                    Secret::new(number.to_string()),
                    Duration::from_hours(1),
                ))
            }
        },
        || 1.0,
    );
    let Supply::Token(first) = supplier.get().await else {
        panic!("no token")
    };
    supplier.distrust(&first);
    sleep(Duration::from_secs(29)).await;
    assert_eq!(text(&supplier).await, "0", "not within half a minute of the first");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(text(&supplier).await, "1");
    // Who still complains about the first one changes nothing.
    for _ in 0..100 {
        supplier.distrust(&first);
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(fetches.load(Ordering::Relaxed), 2);
}
