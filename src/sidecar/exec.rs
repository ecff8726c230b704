//! The credential wrapper: `vertex-injector exec` holds a sidecar's credential and runs its server.
//!
//! [`source`] fetches a credential, [`refresh`] keeps it fresh and publishes its [`fields`]. [`supervise`] runs the [`child`]
//! with what [`mapping`] gives it of them and [`trust`] of certificates, and [`signals`] tells it of everything else that
//! happens. [`control`] shows how all this goes, to [`probe`] for one. [`git`] uses the credential for the agent's git. [`args`]
//! makes it all from flags.
//!
//! What it cannot do: all containers of a pod share its loopback, so the agent can use the server, though it cannot see the
//! credential; and the server, in the same container, can read what the credential is fetched with from a file.

pub mod args;
pub mod child;
pub mod control;
pub mod fields;
pub mod git;
pub mod mapping;
pub mod probe;
pub mod refresh;
pub mod signals;
pub mod source;
pub mod supervise;
pub mod trust;

use crate::flags::Told;
use anyhow::Context;
use child::Launch;
use control::Control;
use hyper::body::Incoming;
use mapping::Mapping;
use refresh::{Asking, Refresher};
use source::Source;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use supervise::Supervisor;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tracing::info;
use vertex_injector_core::allowed::Allowed;
use vertex_injector_core::contract::exec::CONTROL_PORT;
use vertex_injector_core::contract::git::GIT_PORT;
use vertex_injector_core::contract::proxy::shown;
use vertex_injector_core::contract::setting::Setting;
use vertex_injector_core::git::rules::Rule;
use vertex_injector_net::egress::Egress;
use vertex_injector_net::listen::{self, CONNECTION_BYTES};
use vertex_injector_net::places::Places;
use vertex_injector_net::telemetry;
use vertex_injector_net::upstream;

pub use args::Args;

/// Most connections to the control listener at a time.
const CONNECTIONS: usize = 64;

/// Runs until the child ends or a signal asks for the end; returns the exit code.
///
/// # Errors
/// When the flags, the environment or the credential do not fit each other, a port cannot be bound, or the child cannot be
/// started.
pub fn run(args: Args) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let outcome = runtime.block_on(serve(args));
    // A file that is being read, or a name that is being resolved, must not keep the process.
    runtime.shutdown_background();
    outcome
}

async fn serve(args: Args) -> anyhow::Result<u8> {
    let Args {
        told: Told(told),
        logging,
        command,
    } = args;
    let signals = signals::listen().context("cannot handle signals")?;
    telemetry::init(logging.log_format, &logging.log)?;
    // All of the configuration, before anything else happens.
    let mut launch = Launch::of(&command, &told.source, std::env::vars_os())?;
    let egress = Egress::from_env()?;
    trust::extend(&mut launch, &egress)?;
    let mapping = Mapping {
        variables: told.variables,
        files: told.files,
    };
    mapping.check().map_err(anyhow::Error::msg)?;
    let allowed = Allowed::new(told.allow_hosts, told.plain_http);
    let source = Source::of(told.source, &allowed, &egress, |name| std::env::var(name).ok())?;
    let (control_port, helpers) = told
        .control
        .map(|control| (control.port, control.git_credentials))
        .unzip();
    let helpers = helpers.flatten();
    let git = told.git;
    let listener = bind(control_port, CONTROL_PORT)?;
    let git_listener = bind(git.as_ref().map(|git| git.port), GIT_PORT)?;
    info!(
        source = source.kind(),
        place = source.place(),
        provider = provider(&source),
        env = mapping.variable_names(),
        files = mapping.file_names(),
        on_refresh = %told.on_refresh,
        git_credentials = helpers.as_ref().map(|helpers| shown(&helpers.hosts)),
        git_rules = git.as_ref().map(|git| git.rules.iter().map(Rule::to_string).collect::<Vec<_>>().join(" ")),
        command = %launch.program.display(),
        control = address(listener.as_ref()),
        git = address(git_listener.as_ref()),
        "serving"
    );

    let (publish, credential) = watch::channel(None);
    let (ask, requests) = mpsc::channel(1);
    let (running, runs) = watch::channel(false);
    let asking = Asking::new(ask);
    let control = Control::new(credential.clone(), runs, asking.clone(), helpers);
    let interval = source.interval();
    let (needs, login) = (mapping.clone(), git.clone());
    let proxy = match git {
        Some(git) => Some(
            git::Proxy::new(git, credential.clone(), asking, &egress)
                .context("cannot find the system's trusted certificates")?,
        ),
        None => None,
    };
    let refresher = Refresher {
        fetch: async || source.fetch().await,
        check: move |fields: &fields::Fields| {
            needs.of(fields)?;
            login.as_ref().map_or(Ok(()), |git| Ok(git::check(git, fields)?))
        },
        interval,
        jitter: upstream::jitter,
        publish,
        requests,
    };
    let supervisor = Supervisor {
        launch,
        mapping,
        on_refresh: told.on_refresh,
        grace: Duration::from_secs(told.grace_period.seconds()),
        credential,
        running,
        signals,
    };
    tokio::select! {
        code = supervisor.run() => code,
        unusable = refresher.run() => unusable.context("the credential and the flags do not fit each other").map(|()| 0),
        () = answer(listener, control) => Ok(0),
        () = proxy_git(git_listener, proxy) => Ok(0),
    }
}

fn bind(port: Option<u16>, flag: Setting) -> anyhow::Result<Option<TcpListener>> {
    port.map(|port| listen::bind((Ipv4Addr::LOCALHOST, port).into(), &flag.to_string()))
        .transpose()
}

/// Where it listens, for the log.
fn address(listener: Option<&TcpListener>) -> Option<String> {
    Some(listener?.local_addr().ok()?.to_string())
}

/// Serves until dropped, be it nothing.
async fn answer(listener: Option<TcpListener>, control: Control) {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    let control = Arc::new(control);
    listen::serve(
        listener,
        Places::new(CONNECTIONS * CONNECTION_BYTES, CONNECTIONS),
        CONNECTION_BYTES,
        move |request: http::Request<Incoming>| {
            let control = Arc::clone(&control);
            async move { control.answer(&request.into_parts().0).await }
        },
    )
    .await;
}

/// The same for git.
async fn proxy_git(listener: Option<TcpListener>, proxy: Option<git::Proxy>) {
    match (listener, proxy) {
        (Some(listener), Some(proxy)) => proxy.serve(listener).await,
        _ => std::future::pending().await,
    }
}

fn provider(source: &Source) -> Option<&str> {
    match source {
        Source::Ambient(ambient) => Some(ambient.provider()),
        Source::File(_) | Source::Http(_) => None,
    }
}
