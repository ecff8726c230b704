//! The flags of `vertex-injector broker`, as people read them.

use crate::flags::{Contract, Told, list, of, one};
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ValueHint};
use vertex_injector_core::contract::broker::{
    ALLOW, Broker, CREDENTIALS, CREDENTIALS_JSON, DEFAULT_METADATA_PORT, DEFAULT_PROXY_PORT, ID_TOKEN_AUDIENCES,
    KNOWN_FIELDS, MEMORY_LIMIT, METADATA_PORT, METHODS, METRICS_LISTEN, MODE, MODELS, ModeName, NODE_METADATA_SERVER,
    PROJECT, PROJECT_NUMBER, PROXY_PORT, PUBLISHERS, REGIONS, UNKNOWN_FIELDS, VERTEX_ENDPOINT,
};
use vertex_injector_core::contract::proxy::{Feature, Method, Publisher, UnknownFields};
use vertex_injector_core::contract::setting::{Given, Setting, Wrong};
use vertex_injector_core::endpoint::NODE_METADATA;
use vertex_injector_net::telemetry::Logging;

/// Hold a pod's Google credential, so that its agent does not have to.
///
/// It runs as a sidecar and listens on 127.0.0.1 only.
///
/// --mode metadata emulates the metadata server of Google Compute Engine. With GCE_METADATA_HOST, GCE_METADATA_IP and
/// GCE_METADATA_ROOT set to 127.0.0.1:PORT, Google's client libraries and gcloud take short-lived access tokens from it. What
/// these are exchanged for (an identity token, a key) stays here.
///
/// --mode proxy keeps the access tokens here as well. It forwards model calls to Vertex AI and adds the token, if project, region,
/// publisher and model are allowed, and if the body asks for nothing that makes the provider fetch, search, run or call out unless
/// --allow names it. Clients find it with ANTHROPIC_VERTEX_BASE_URL=http://127.0.0.1:PORT/v1 and
/// GOOGLE_VERTEX_BASE_URL=http://127.0.0.1:PORT. What is not allowed is answered with 403 and what would be. The metadata server
/// runs beside it and hands out placeholders, which Google refuses, because client libraries want a token from somewhere; ID tokens
/// only for --id-token-audiences.
///
/// The broker is ready as soon as it listens, whatever Google does; while Google cannot be reached it answers 503, and it never
/// ends because of that. SIGTERM ends it at once with exit code 0.
///
/// Where Google is reached by an HTTP proxy only, HTTPS_PROXY=http://HOST:PORT names it, and NO_PROXY the hosts that are reached
/// without it. Certificates are the system's, or those in SSL_CERT_FILE, and those in the files that VERTEX_INJECTOR_CA_FILES lists.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// All that it is told.
    #[command(flatten)]
    pub told: Told<Broker>,

    /// What it logs.
    #[command(flatten)]
    pub logging: Logging,
}

impl Args {
    /// What the environment alone says, as it does in a broker's container; `None` when it does not suffice, or asks for other
    /// logs than usual.
    pub fn of_environment() -> Option<Self> {
        let values = |setting: Setting| {
            setting
                .variable
                .and_then(|name| std::env::var(name).ok())
                .into_iter()
                .collect()
        };
        Some(Self {
            told: Told(Broker::read(&Given::new(&values)).ok()?),
            logging: Logging::usual()?,
        })
    }
}

impl Contract for Broker {
    fn flags() -> Vec<Arg> {
        let mode = |mode: &ModeName| PossibleValue::new(mode.name()).help(mode.about());
        vec![
            one(MODE, "MODE", "What to do for the agent").value_parser(PossibleValuesParser::new(ModeName::ALL.iter().map(mode))),
            one(
                CREDENTIALS,
                "FILE",
                "The credential configuration: a JSON file as gcloud or the console writes it, or - for standard input. Its type \
                 is external_account (with a token in a file or from a URL), service_account, authorized_user or impersonated_service_account",
            )
            .value_hint(ValueHint::FilePath),
            one(
                CREDENTIALS_JSON,
                "JSON",
                "The same JSON as text. Only external_account, because others hold secrets, and an environment is not the place \
                 for these",
            )
            .hide_env_values(true),
            one(
                NODE_METADATA_SERVER,
                "HOST[:PORT]",
                "Take tokens from the metadata server of the node instead, as on GKE with workload identity",
            )
            .num_args(0..=1)
            .default_missing_value(NODE_METADATA),
            one(PROJECT, "ID", "The project ID that clients are told"),
            one(
                PROJECT_NUMBER,
                "N",
                "The project number that clients are told [default: that of the workload identity provider]. Without any, gcloud \
                 does not recognise the metadata server",
            ),
            one(
                METADATA_PORT,
                "N",
                format!(
                    "Port of the metadata server on 127.0.0.1; 0 lets the system choose [default: {DEFAULT_METADATA_PORT}]"
                ),
            ),
            one(
                PROXY_PORT,
                "N",
                format!(
                    "Port of the Vertex proxy on 127.0.0.1; 0 lets the system choose. Only in mode proxy \
                     [default: {DEFAULT_PROXY_PORT}]"
                ),
            ),
            list(
                REGIONS,
                "REGION",
                "Locations that may be called: regions, global, us, eu. Mode proxy needs one at least",
            ),
            list(
                MODELS,
                "GLOB",
                "Models that may be called, as patterns in which * stands for any characters. Only in mode proxy [default: *]",
            ),
            list(
                PUBLISHERS,
                "PUBLISHER",
                "Whose models may be called. Only in mode proxy [default: anthropic,google]",
            )
            .value_parser(of(Publisher::names())),
            list(
                METHODS,
                "METHOD",
                "Which kinds of calls may be made. Only in mode proxy [default: Generate,CountTokens]",
            )
            .value_parser(of(Method::names())),
            list(
                ALLOW,
                "FEATURE",
                "What a call may make the provider do on the agent's behalf. Only in mode proxy [default: none]",
            )
            .value_parser(of(Feature::names())),
            one(
                UNKNOWN_FIELDS,
                "WHAT",
                "What becomes of members of a request's body that this version does not know. Only in mode proxy [default: Deny]",
            )
            .value_parser(of(UnknownFields::names())),
            list(
                KNOWN_FIELDS,
                "NAME",
                "Names of members, and types, that pass although this version does not know them, with all that is in them, unless \
                 that says by its name that it asks for more than --allow. Only in mode proxy [default: none]",
            ),
            one(
                VERTEX_ENDPOINT,
                "URL",
                "Where Vertex AI is reached instead of at Google's public hosts, as with Private Service Connect: an https URL, or \
                 http on loopback. Only in mode proxy",
            ),
            list(
                ID_TOKEN_AUDIENCES,
                "AUDIENCE",
                "Audiences for which clients may have ID tokens, if the identity is a service account; may be repeated [default: none]",
            ),
            one(
                MEMORY_LIMIT,
                "BYTES",
                "Memory that the broker may use; what cannot be held within it waits. A lower limit of its container counts \
                 [default: 64 MiB, and 256 MiB in mode proxy]",
            ),
            one(
                METRICS_LISTEN,
                "ADDR:PORT",
                "Where /metrics and /livez are served over plain HTTP; no token can be reached there [default: nowhere]",
            ),
        ]
    }

    fn read(given: &Given<'_>) -> Result<Self, Wrong> {
        Self::read(given)
    }
}
