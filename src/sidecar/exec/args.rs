//! The flags of `vertex-injector exec`, as people read them.

use crate::flags::{Contract, Told, list, many, of, one};
use clap::{Arg, ValueHint};
use std::ffi::OsString;
use vertex_injector_core::allowed::PlainHttp;
use vertex_injector_core::contract::choice::Choice;
use vertex_injector_core::contract::exec::{
    ALLOW_HOST, CONTROL_PORT, ENV, Exec, FILE, GRACE_PERIOD, GracePeriod, ON_REFRESH, OnRefresh, PLAIN_HTTP, SOURCE,
    TOKEN_FILE,
};
use vertex_injector_core::contract::git::{
    GIT_ALLOW, GIT_CREDENTIALS, GIT_CREDENTIALS_FIELD, GIT_CREDENTIALS_USER, GIT_HOST, GIT_PASSWORD, GIT_PORT,
    GIT_USERNAME, GIT_USERNAME_FIELD, UserName,
};
use vertex_injector_core::contract::setting::{Given, Wrong};
use vertex_injector_net::telemetry::Logging;

/// Run a server with a credential that is fetched, handed to it alone, and kept fresh.
///
/// It is the entrypoint of a credential sidecar, around a server that reads its credential from its environment or from a file.
/// COMMAND starts with the first credential. It gets this process's environment without what the credential is fetched with,
/// and its standard streams; signals are passed on, and its exit code is ours (128 + N after signal N).
///
/// The credential has named fields. --env NAME=FIELD and --file PATH=FIELD say what COMMAND gets; FIELD may name alternatives, as
/// in apiToken|token. When what it gets changes, files are replaced at once, and --on-refresh says what else happens.
///
/// While the source is down it stays alive and not ready. What is missing at the start, be it a variable or a field, ends it with
/// exit code 2. SIGTERM ends COMMAND and then itself, with exit code 0.
///
/// What is fetched over https, and git's hosts, are reached by the HTTP proxy that HTTPS_PROXY names, but for the hosts in NO_PROXY.
/// Certificates are the system's, or those in SSL_CERT_FILE, and those in the files that VERTEX_INJECTOR_CA_FILES lists, separated
/// by commas. Where it lists some, COMMAND finds a bundle of all of them by SSL_CERT_FILE and its like.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// All that it is told.
    #[command(flatten)]
    pub told: Told<Exec>,

    /// What it logs.
    #[command(flatten)]
    pub logging: Logging,

    /// The server and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

impl Contract for Exec {
    fn flags() -> Vec<Arg> {
        let mut flags = vec![
            one(
                SOURCE,
                "SOURCE",
                "Where the credential comes from: file:PATH (a file, JSON or one token; or a directory with a file for each field, \
                 such as a mounted Secret), https://URL (asked with the token of --token-file; answers a JSON object of fields, \
                 with expires_in or expires_at), or ambient (the token exchange of the Ambient Code platform, described by \
                 SESSION_ID, AMBIENT_API_URL, AMBIENT_CP_TOKEN_URL, AMBIENT_CP_TOKEN_PUBLIC_KEY and CREDENTIAL_IDS)",
            ),
            one(
                TOKEN_FILE,
                "FILE",
                "The projected ServiceAccount token for an https source; read at each fetch",
            )
            .value_hint(ValueHint::FilePath),
            list(
                ALLOW_HOST,
                "HOST[:PORT]",
                "A host that may be sent a credential; may be repeated. Exactly this host, and the port that the URL's scheme stands \
                 for unless one is given. Loopback needs no listing",
            ),
            one(
                PLAIN_HTTP,
                "WHERE",
                format!(
                    "Whom a credential may be sent to without TLS: loopback, or listed services of the cluster (NAME.NAMESPACE.svc), \
                     too, whose network everybody in the pod can read and answer in [default: {}]",
                    PlainHttp::default()
                ),
            )
            .value_parser(of(PlainHttp::ALL.map(PlainHttp::name))),
            many(ENV, "NAME=FIELD", "A variable of COMMAND; may be repeated"),
            many(
                FILE,
                "PATH=FIELD",
                "A file for COMMAND, with mode 0600 in a directory that exists; may be repeated",
            ),
            one(
                ON_REFRESH,
                "ACTION",
                format!(
                    "What happens to COMMAND when its credential has changed: restart; signal:HUP (also USR1, USR2, WINCH) if only \
                     files have changed, else restart; none [default: {}]",
                    OnRefresh::default()
                ),
            ),
            one(
                GRACE_PERIOD,
                "SECONDS",
                format!(
                    "How long COMMAND may take to end before it is killed [default: {}]",
                    GracePeriod::default().seconds()
                ),
            ),
            one(
                CONTROL_PORT,
                "N",
                "Port of the control listener on 127.0.0.1: GET /healthz, GET /readyz, POST /refresh (at most every 30 s); 0 lets \
                 the system choose [default: none]",
            ),
        ];
        flags.extend(git());
        flags
    }

    fn read(given: &Given<'_>) -> Result<Self, Wrong> {
        Self::read(given)
    }
}

fn git() -> [Arg; 9] {
    [
        list(
            GIT_CREDENTIALS,
            "HOST[:PORT]",
            "Hand the credential to git helpers that ask GET /git-credentials?host=HOST; may be repeated. The agent can read it then",
        ),
        one(
            GIT_CREDENTIALS_USER,
            "NAME",
            format!("The user name for --git-credentials [default: {}]", UserName::TOKEN),
        ),
        one(
            GIT_CREDENTIALS_FIELD,
            "FIELD",
            format!("The field for --git-credentials [default: {}]", Choice::TOKEN),
        ),
        one(
            GIT_PORT,
            "N",
            "Port on 127.0.0.1 of a proxy that adds the credential to git's fetches and pushes; 0 lets the system choose. Git uses \
             it with url.http://127.0.0.1:PORT/HOST/.insteadOf = https://HOST/ [default: no proxy]",
        ),
        many(
            GIT_HOST,
            "HOST[:PORT]",
            "A host that the credential is for, over HTTPS; may be repeated",
        ),
        many(
            GIT_ALLOW,
            "GLOB:SERVICES",
            "Repositories and what may be done with them: HOST/OWNER/REPO:fetch, :push or :fetch,push; may be repeated. Within a \
             name * stands for any text, and ** as a part for one part or more, as in gitlab.com/group/**:fetch. Neither fetch nor \
             push implies the other; upper and lower case differ",
        ),
        one(
            GIT_USERNAME,
            "NAME",
            "The user name beside the credential [default: oauth2 for hosts called gitlab.*, else x-access-token]",
        ),
        one(
            GIT_USERNAME_FIELD,
            "FIELD",
            "The field of the credential that holds the user name",
        ),
        one(
            GIT_PASSWORD,
            "FIELD",
            format!(
                "The field of the credential that holds the password; of several, the first that exists [default: {}]",
                Choice::PASSWORD
            ),
        ),
    ]
}
