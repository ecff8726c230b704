//! Everything that a program can be told.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use vertex_injector_core::allowed::{Allowed, Listed, PlainHttp};
use vertex_injector_core::contract::broker::{Broker, Credential, Mode, Proxy};
use vertex_injector_core::contract::choice::Choice;
use vertex_injector_core::contract::exec::{Control, Exec, OnRefresh, Source};
use vertex_injector_core::contract::git::{GitCredentials, GitProxy, Login, Username};
use vertex_injector_core::contract::proxy::{Feature, Method, Publisher, Rules};
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_core::git::config::GitHost;

/// Values that are read from text of this form.
fn text<T: FromStr<Err: Debug> + Debug>(form: &'static str) -> impl Strategy<Value = T> {
    form.prop_map(|text: String| text.parse().expect("of this form"))
}

fn path() -> impl Strategy<Value = PathBuf> {
    "(/[a-zA-Z0-9._= -]{1,12}){1,3}".prop_map(PathBuf::from)
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    text("(https://[a-z]{1,8}\\.[a-z]{2,3}|http://127\\.0\\.0\\.1)(:[1-9][0-9]{0,3})?(/|/[a-z]{1,8}/?)?")
}

fn credential() -> impl Strategy<Value = Credential> {
    let server = "169\\.254\\.169\\.254|127\\.0\\.0\\.[1-9](:[1-9][0-9]{0,3})?|localhost(:[1-9][0-9]{0,3})?";
    prop_oneof![
        path().prop_map(Credential::File),
        Just(Credential::File("-".into())),
        "\\{\"[^\\x00]{0,40}\"\\}".prop_map(Credential::Json),
        server.prop_map(|host| Credential::NodeMetadata(Endpoint::node_metadata(&host).expect("this machine's"))),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    (
        text("[a-z][a-z0-9:.-]{0,30}"),
        vec(text("[a-z0-9][a-z0-9-]{0,20}"), 1..4),
        subsequence(Publisher::ALL.to_vec(), 0..=2),
        vec(text("[!-+\\--~]{1,20}"), 0..4),
        subsequence(Method::ALL.to_vec(), 1..=5),
        subsequence(Feature::ALL.to_vec(), 0..=10),
    )
        .prop_map(|(project, regions, publishers, models, methods, allow)| Rules {
            methods,
            ..Rules::new(project, regions, publishers, models, allow)
        })
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        text("[a-z][a-z0-9:.-]{0,30}").prop_map(|project| Mode::Metadata { project }),
        (any::<u16>(), rules(), option::of(endpoint()))
            .prop_map(|(port, rules, endpoint)| { Mode::Proxy(Proxy { port, rules, endpoint }) }),
    ]
}

/// Any broker.
pub(crate) fn broker() -> impl Strategy<Value = Broker> {
    (
        credential(),
        mode(),
        any::<Option<u64>>(),
        vec(text("[!-+\\--~]{1,30}"), 0..3),
        any::<u16>(),
        any::<Option<(IpAddr, u16)>>(),
        any::<Option<u64>>(),
    )
        .prop_map(
            |(credential, mode, project_number, id_token_audiences, metadata_port, metrics, memory)| Broker {
                credential,
                mode,
                project_number,
                id_token_audiences,
                metadata_port,
                metrics: metrics.map(SocketAddr::from),
                memory,
            },
        )
}

fn choice() -> impl Strategy<Value = Choice> {
    text("[A-Za-z0-9._-]{1,12}(\\|[A-Za-z0-9._-]{1,12}){0,2}")
}

fn login() -> impl Strategy<Value = Login> {
    let username = prop_oneof![
        Just(Username::OfHost),
        text("[^:\\pC]{1,12}").prop_map(Username::Named),
        choice().prop_map(Username::Field),
    ];
    (username, prop_oneof![Just(Choice::PASSWORD), choice()])
        .prop_map(|(username, password)| Login { username, password })
}

fn git_hosts() -> impl Strategy<Value = Vec<GitHost>> {
    vec(text("[a-zA-Z]{1,8}\\.[a-z]{2,3}(:[1-9][0-9]{0,3})?"), 1..3)
}

fn git() -> impl Strategy<Value = GitProxy> {
    let rules = vec(
        "/[a-z]{1,6}/(app|app\\.git|\\*\\*|\\*[a-z]{1,3}):(fetch|push|fetch,push|push,fetch)",
        2,
    );
    (any::<u16>(), git_hosts(), rules, login()).prop_map(|(port, hosts, rules, login)| {
        let rule = |(host, rest): (&GitHost, String)| format!("{host}{rest}").parse().expect("a rule");
        let rules: Vec<_> = hosts.iter().zip(rules.into_iter().cycle()).map(rule).collect();
        GitProxy {
            login,
            ..GitProxy::new(port, hosts, rules)
        }
    })
}

fn git_credentials() -> impl Strategy<Value = GitCredentials> {
    (git_hosts(), text("[^:\\pC]{1,12}"), choice()).prop_map(|(hosts, user, field)| GitCredentials {
        hosts,
        user,
        field,
    })
}

fn source(hosts: &[Listed]) -> BoxedStrategy<Source> {
    let urls: Vec<Endpoint> = hosts
        .iter()
        .map(|host| {
            Endpoint::listed(
                &Allowed::new(hosts.to_vec(), PlainHttp::default()),
                &format!("https://{host}/v1?scope=repo"),
            )
        })
        .collect::<Result<_, _>>()
        .expect("listed");
    let others = prop_oneof![path().prop_map(Source::File), Just(Source::Ambient)];
    if urls.is_empty() {
        return others.boxed();
    }
    let http = (select(urls), path()).prop_map(|(url, token_file)| Source::Http { url, token_file });
    prop_oneof![others, http].boxed()
}

/// Any wrapper.
pub(crate) fn exec() -> impl Strategy<Value = Exec> {
    let hosts = vec(text::<Listed>("[a-zA-Z]{1,8}\\.[a-z]{2,3}(:[1-9][0-9]{0,3})?"), 0..3);
    let control = (any::<u16>(), option::of(git_credentials()))
        .prop_map(|(port, git_credentials)| Control { port, git_credentials });
    let of_child = (
        proptest::collection::btree_map("[A-Za-z_][A-Za-z0-9_]{0,12}", choice(), 0..3),
        proptest::collection::btree_map("(/[a-zA-Z0-9._= -]{0,11}[a-z]){1,3}", choice(), 0..3),
    );
    (
        hosts.prop_flat_map(|hosts| (source(&hosts), Just(hosts), select(PlainHttp::ALL.to_vec()))),
        of_child,
        select(OnRefresh::ALL.to_vec()),
        text("[1-9][0-9]{0,2}"),
        option::of(control),
        option::of(git()),
    )
        .prop_map(
            |((source, allow_hosts, plain_http), (variables, files), on_refresh, grace_period, control, git)| Exec {
                source,
                allow_hosts,
                plain_http,
                variables: variables
                    .iter()
                    .map(|(name, field)| format!("{name}={field}").parse().expect("a variable"))
                    .collect(),
                files: files
                    .iter()
                    .map(|(path, field)| format!("{path}={field}").parse().expect("a file"))
                    .collect(),
                on_refresh,
                grace_period,
                control,
                git,
            },
        )
}
