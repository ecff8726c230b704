//! The broker: holds a pod's Google credential, so that its agent does not have to.
//!
//! [`credentials`] says what can be exchanged, [`token`] exchanges it over [`vertex_injector_net::upstream`] and keeps one access
//! token fresh, [`metadata`] hands it out as the metadata server of Google Compute Engine does, [`loopback`] to clients that
//! demand a file, or [`proxy`] adds it to model calls and keeps it from the agent altogether. All that they hold has one
//! [`budget`]. Everything listens on loopback, except [`metrics`], from which no token can be reached.

pub mod args;
pub mod budget;
pub mod credentials;
pub mod loopback;
pub mod metadata;
pub mod metrics;
pub mod probe;
pub mod proxy;
pub mod signing;
pub mod token;

use anyhow::Context;
use budget::{Budget, CALL_BYTES};
use http::Request;
use hyper::body::Incoming;
use loopback::Loopback;
use metadata::Metadata;
use metrics::Counters;
use proxy::Proxy;
use proxy::vertex::Vertex;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use token::{IdTokens, Supplier, Tokens};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::field::DisplayValue;
use tracing::info;
use vertex_injector_net::egress::Egress;
use vertex_injector_net::listen::{self, CONNECTION_BYTES};
use vertex_injector_net::places::Places;
use vertex_injector_net::telemetry;
use vertex_injector_net::upstream::{self, Upstream};

pub use args::Args;

use crate::flags::Told;
use credentials::{Configured, Credentials};
use vertex_injector_core::contract::broker::{self as told, Audience, METADATA_PORT, METRICS_LISTEN, Mode, PROXY_PORT};
use vertex_injector_core::contract::proxy::Rules;
use vertex_injector_core::contract::setting::Setting;

/// Most connections of those who collect metrics.
const METRICS_CONNECTIONS: usize = 16;

/// Serves until SIGTERM or SIGINT, then ends at once: what is open is cut, because the agent is gone or going.
///
/// # Errors
/// When the flags or the credential cannot be used, or a port cannot be bound.
pub fn run(args: Args) -> anyhow::Result<()> {
    // One agent's calls do not need a second thread, nor its memory.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let outcome = runtime.block_on(async {
        // First of all: as a container's first process, a signal without handler would be ignored.
        let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        tokio::select! {
            outcome = serve(args) => outcome,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    });
    // A name that is being resolved must not keep the process.
    runtime.shutdown_background();
    outcome
}

async fn serve(
    Args {
        told: Told(told),
        logging,
    }: Args,
) -> anyhow::Result<()> {
    telemetry::init(logging.log_format, &logging.log)?;
    let Configured {
        credentials,
        quota_project,
    } = Configured::read(&told.credential)?;
    let credentials = Arc::new(credentials);
    let proxy = told.proxy();
    let budget = Budget::new(told.mode.name(), told.memory);
    let listener = on_loopback(told.metadata_port, METADATA_PORT).await?;
    let proxy_listener = match proxy {
        Some(proxy) => Some(on_loopback(proxy.port, PROXY_PORT).await?),
        None => None,
    };
    let metrics_listener = match told.metrics {
        Some(address) => Some(listen::bind_when_free(address, &METRICS_LISTEN.to_string()).await?),
        None => None,
    };

    let egress = Egress::from_env()?;
    let transport = upstream::google(&egress).context("cannot find the system's trusted certificates")?;
    let upstream = Upstream::new(transport.clone());
    let counters = Arc::new(Counters::new());
    // The account's name on GKE when it is no service account's, which google-auth then does not look up.
    let email = credentials
        .email()
        .map_or_else(|| format!("{}.svc.id.goog", told.project()), str::to_owned);
    let supplier = supplier(&credentials, &upstream, &counters);
    let tells = metadata::Told {
        project_number: told.project_number.or_else(|| credentials.project_number()),
        project: told.project().to_string(),
        email,
    };
    let tokens = match proxy {
        Some(_) => Tokens::Placeholder,
        None => Tokens::Real(supplier.clone()),
    };
    let audiences = told.id_token_audiences.iter().map(Audience::to_string).collect();
    let id_tokens = IdTokens::new(Arc::clone(&credentials), upstream, audiences);
    let metadata = Arc::new(Metadata::new(&tells, tokens, id_tokens, Arc::clone(&counters)));
    info!(
        mode = told.mode.name().name(),
        project = tells.project,
        project_number = tells.project_number.map(|number| number.to_string()),
        credentials = credentials.kind(),
        account = tells.email,
        quota_project = quota_project.as_ref().map(tracing::field::display),
        metadata = %listener.local_addr()?,
        proxy = address(proxy_listener.as_ref()),
        metrics = address(metrics_listener.as_ref()),
        rules = proxy.map(|proxy| tracing::field::display(&proxy.rules)),
        https_proxy = egress.proxy(),
        memory_mib = budget.limit / 1024 / 1024,
        endpoint = proxy.and_then(|proxy| Some(tracing::field::display(proxy.endpoint.as_ref()?))),
        "serving"
    );

    if let Some(listener) = metrics_listener {
        let counters = Arc::clone(&counters);
        let answer = move |request: Request<Incoming>| {
            let counters = Arc::clone(&counters);
            async move { counters.answer(&request.into_parts().0) }
        };
        let places = Places::new(METRICS_CONNECTIONS * CONNECTION_BYTES, METRICS_CONNECTIONS);
        tokio::spawn(listen::serve(listener, places, CONNECTION_BYTES, answer));
    }
    if let (Some(listener), Mode::Proxy(told::Proxy { rules, endpoint, .. })) = (proxy_listener, told.mode) {
        let rules = Rules {
            project_number: told.project_number,
            ..rules
        };
        let vertex = Vertex::new(endpoint, &transport).counted_against(quota_project.as_ref());
        let proxy = Arc::new(Proxy::new(rules, supplier, vertex, counters, budget.bodies));
        let answer = move |request: Request<Incoming>| {
            let proxy = Arc::clone(&proxy);
            async move { proxy.answer(request).await }
        };
        tokio::spawn(listen::serve(listener, Arc::clone(&budget.places), CALL_BYTES, answer));
    }
    let loopback = Arc::new(Loopback::new(metadata)?);
    let answer = move |request: Request<Incoming>| {
        let loopback = Arc::clone(&loopback);
        async move { loopback.answer(request).await }
    };
    listen::serve(listener, budget.places, CONNECTION_BYTES, answer).await;
    Ok(())
}

/// Listens on loopback, at last.
async fn on_loopback(port: u16, flag: Setting) -> anyhow::Result<TcpListener> {
    listen::bind_when_free((Ipv4Addr::LOCALHOST, port).into(), &flag.to_string()).await
}

/// Where a port listens, for the log.
fn address(listener: Option<&TcpListener>) -> Option<DisplayValue<SocketAddr>> {
    listener?.local_addr().ok().map(tracing::field::display)
}

fn supplier(credentials: &Arc<Credentials>, upstream: &Upstream, counters: &Arc<Counters>) -> Supplier {
    let (credentials, upstream, counters) = (Arc::clone(credentials), upstream.clone(), Arc::clone(counters));
    let fetch = move || {
        let (credentials, upstream, counters) = (Arc::clone(&credentials), upstream.clone(), Arc::clone(&counters));
        async move {
            let result = token::fetch(&credentials, &upstream).await;
            counters.fetched(&result);
            result
        }
    };
    Supplier::start(fetch, upstream::jitter)
}
