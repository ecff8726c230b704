//! What the broker is told.

use super::proxy::{Feature, Method, Project, Publisher, Rules, Unknown, UnknownFields};
use super::setting::{Given, Setting, Written, Wrong, by_name};
use crate::endpoint::Endpoint;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use strum::VariantArray;

/// The verb.
pub const VERB: &str = "broker";

/// `metadata` or `proxy`.
pub const MODE: Setting = Setting::variable("mode", "VERTEX_INJECTOR_MODE");
/// [`Credential::File`].
pub const CREDENTIALS: Setting = Setting::variable("credentials", "VERTEX_INJECTOR_CREDENTIALS");
/// [`Credential::Json`].
pub const CREDENTIALS_JSON: Setting = Setting::variable("credentials-json", "VERTEX_INJECTOR_CREDENTIALS_JSON");
/// [`Credential::NodeMetadata`].
pub const NODE_METADATA_SERVER: Setting =
    Setting::variable("node-metadata-server", "VERTEX_INJECTOR_NODE_METADATA_SERVER");
/// [`Broker::project`].
pub const PROJECT: Setting = Setting::variable("project", "VERTEX_INJECTOR_PROJECT");
/// [`Broker::project_number`].
pub const PROJECT_NUMBER: Setting = Setting::variable("project-number", "VERTEX_INJECTOR_PROJECT_NUMBER");
/// [`Broker::id_token_audiences`].
pub const ID_TOKEN_AUDIENCES: Setting = Setting::variable("id-token-audiences", "VERTEX_INJECTOR_ID_TOKEN_AUDIENCES");
/// [`Rules::publishers`].
pub const PUBLISHERS: Setting = Setting::variable("publishers", "VERTEX_INJECTOR_PUBLISHERS");
/// [`Rules::models`].
pub const MODELS: Setting = Setting::variable("models", "VERTEX_INJECTOR_MODELS");
/// [`Rules::regions`].
pub const REGIONS: Setting = Setting::variable("regions", "VERTEX_INJECTOR_REGIONS");
/// [`Rules::methods`].
pub const METHODS: Setting = Setting::variable("methods", "VERTEX_INJECTOR_METHODS");
/// [`Rules::allow`].
pub const ALLOW: Setting = Setting::variable("allow", "VERTEX_INJECTOR_ALLOW");
/// [`Rules::unknown`].
pub const UNKNOWN_FIELDS: Setting = Setting::variable("unknown-fields", "VERTEX_INJECTOR_UNKNOWN_FIELDS");
/// What [`Rules::unknown`] lets pass all the same.
pub const KNOWN_FIELDS: Setting = Setting::variable("known-fields", "VERTEX_INJECTOR_KNOWN_FIELDS");
/// [`Proxy::endpoint`].
pub const VERTEX_ENDPOINT: Setting = Setting::variable("vertex-endpoint", "VERTEX_INJECTOR_VERTEX_ENDPOINT");
/// [`Broker::metadata_port`].
pub const METADATA_PORT: Setting = Setting::variable("metadata-port", "VERTEX_INJECTOR_METADATA_PORT");
/// [`Proxy::port`].
pub const PROXY_PORT: Setting = Setting::variable("proxy-port", "VERTEX_INJECTOR_PROXY_PORT");
/// [`Broker::memory`].
pub const MEMORY_LIMIT: Setting = Setting::variable("memory-limit", "VERTEX_INJECTOR_MEMORY_LIMIT");
/// [`Broker::metrics`].
pub const METRICS_LISTEN: Setting = Setting::variable("metrics-listen", "VERTEX_INJECTOR_METRICS_LISTEN");

/// All of them.
pub const SETTINGS: [Setting; 19] = [
    MODE,
    CREDENTIALS,
    CREDENTIALS_JSON,
    NODE_METADATA_SERVER,
    PROJECT,
    PROJECT_NUMBER,
    ID_TOKEN_AUDIENCES,
    PUBLISHERS,
    MODELS,
    REGIONS,
    METHODS,
    ALLOW,
    UNKNOWN_FIELDS,
    KNOWN_FIELDS,
    VERTEX_ENDPOINT,
    METADATA_PORT,
    PROXY_PORT,
    MEMORY_LIMIT,
    METRICS_LISTEN,
];

/// Port of the metadata server unless another is chosen.
pub const DEFAULT_METADATA_PORT: u16 = 8470;

/// Port of the Vertex proxy unless another is chosen.
pub const DEFAULT_PROXY_PORT: u16 = 8471;

/// All that a broker is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// What it exchanges for tokens.
    pub credential: Credential,
    /// What it does for the agent.
    pub mode: Mode,
    /// The project number that clients are told, when the credential does not say.
    pub project_number: Option<u64>,
    /// Audiences for which clients may have ID tokens.
    pub id_token_audiences: Vec<Audience>,
    /// Port of the metadata server on 127.0.0.1; 0 lets the system choose.
    pub metadata_port: u16,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// Bytes that its container may use, where that is not what is usual.
    pub memory: Option<u64>,
}

/// Where the broker's credential is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// In a file, or on standard input when it is called `-`.
    File(PathBuf),
    /// Here: an `external_account`, which holds no secret.
    Json(String),
    /// With the metadata server of the node.
    NodeMetadata(Endpoint),
}

/// What a broker does for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// It hands out short-lived access tokens.
    Metadata {
        /// The project that clients are told.
        project: Project,
    },
    /// It forwards model calls and adds the token, which the agent never sees.
    Proxy(Proxy),
}

/// What the Vertex proxy is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its port on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// What may be called.
    pub rules: Rules,
    /// Where Vertex AI is reached instead of at Google's public hosts.
    pub endpoint: Option<Endpoint>,
}

/// Whom an ID token is for: text without spaces and commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience(String);

/// The name of a [`Mode`].
#[derive(VariantArray, Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeName {
    /// Of [`Mode::Metadata`].
    Metadata,
    /// Of [`Mode::Proxy`].
    Proxy,
}

/// An amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    mebibytes: u32,
}

impl Memory {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        u64::from(self.mebibytes) << 20
    }

    /// As a quantity of Kubernetes'.
    pub fn quantity(self) -> String {
        format!("{}Mi", self.mebibytes)
    }
}

impl Broker {
    /// The project that clients are told, and may call.
    pub fn project(&self) -> &Project {
        match &self.mode {
            Mode::Metadata { project }
            | Mode::Proxy(Proxy {
                rules: Rules { project, .. },
                ..
            }) => project,
        }
    }

    /// What the proxy does, if there is one.
    pub fn proxy(&self) -> Option<&Proxy> {
        match &self.mode {
            Mode::Metadata { .. } => None,
            Mode::Proxy(proxy) => Some(proxy),
        }
    }

    /// Everything that it is told, by setting.
    pub fn settings(&self) -> Written {
        let Self {
            credential,
            mode,
            project_number,
            id_token_audiences,
            metadata_port,
            metrics,
            memory,
        } = self;
        let mut written = vec![
            (MODE, mode.name().to_string()),
            (PROJECT, self.project().to_string()),
            match credential {
                Credential::File(path) => (CREDENTIALS, path.display().to_string()),
                Credential::Json(json) => (CREDENTIALS_JSON, json.clone()),
                Credential::NodeMetadata(server) => (NODE_METADATA_SERVER, server.address().to_string()),
            },
        ];
        let mut add = |setting, value: Option<String>| written.extend(value.map(|value| (setting, value)));
        add(PROJECT_NUMBER, project_number.map(|number| number.to_string()));
        add(ID_TOKEN_AUDIENCES, list(id_token_audiences));
        let mut proxy_port = None;
        if let Mode::Proxy(Proxy { port, rules, endpoint }) = mode {
            add(PUBLISHERS, list(&rules.publishers));
            add(MODELS, list(&rules.models));
            add(REGIONS, list(&rules.regions));
            let methods = Some(&rules.methods).filter(|methods| *methods != Method::USUAL);
            add(METHODS, methods.and_then(|methods| list(methods)));
            add(ALLOW, list(&rules.allow));
            let unknown = Some(rules.unknown.fields()).filter(|fields| *fields != UnknownFields::default());
            add(UNKNOWN_FIELDS, unknown.map(|fields| fields.to_string()));
            add(KNOWN_FIELDS, list(rules.unknown.known()));
            add(VERTEX_ENDPOINT, endpoint.as_ref().map(Endpoint::text));
            proxy_port = Some(port.to_string());
        }
        add(METADATA_PORT, Some(metadata_port.to_string()));
        add(PROXY_PORT, proxy_port);
        add(METRICS_LISTEN, metrics.map(|address| address.to_string()));
        add(MEMORY_LIMIT, memory.map(|bytes| bytes.to_string()));
        written
    }

    /// The same as variables of its container, where nobody can edit them later, as one could an annotation.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let settings = self.settings().into_iter();
        settings
            .filter_map(|(setting, value)| Some((setting.variable?, value)))
            .collect()
    }

    /// Reads what [`Self::settings`] wrote, or a person.
    ///
    /// # Errors
    /// When a setting is missing, cannot be understood or belongs to the other mode: none is ignored.
    pub fn read(given: &Given<'_>) -> Result<Self, Wrong> {
        let project = given.needed(PROJECT)?;
        Ok(Self {
            mode: match given.needed(MODE)? {
                ModeName::Metadata => match PROXY_ONLY.into_iter().find(|setting| given.has(*setting)) {
                    Some(setting) => {
                        return Err(Wrong(format!(
                            "{setting} belongs to --mode proxy, but the mode is metadata"
                        )));
                    }
                    None => Mode::Metadata { project },
                },
                ModeName::Proxy => Mode::Proxy(Proxy::read(project, given)?),
            },
            credential: Credential::read(given)?,
            project_number: given.one(PROJECT_NUMBER)?,
            id_token_audiences: given.list(ID_TOKEN_AUDIENCES)?,
            metadata_port: given.port(METADATA_PORT)?.unwrap_or(DEFAULT_METADATA_PORT),
            metrics: given.one(METRICS_LISTEN)?,
            memory: given.one(MEMORY_LIMIT)?,
        })
    }
}

/// What only a proxy has a use for.
const PROXY_ONLY: [Setting; 9] = [
    METHODS,
    PROXY_PORT,
    REGIONS,
    MODELS,
    PUBLISHERS,
    ALLOW,
    UNKNOWN_FIELDS,
    KNOWN_FIELDS,
    VERTEX_ENDPOINT,
];

impl Proxy {
    fn read(project: Project, given: &Given<'_>) -> Result<Self, Wrong> {
        let regions = given.list(REGIONS)?;
        if regions.is_empty() {
            return Err(Wrong(
                "--mode proxy needs --regions: the locations that may be called, for example us-east5,global"
                    .to_owned(),
            ));
        }
        let publishers: Vec<Publisher> = given.list(PUBLISHERS)?;
        let allow: Vec<Feature> = given.list(ALLOW)?;
        let mut methods: Vec<Method> = given.list(METHODS)?;
        if methods.is_empty() {
            methods = Method::USUAL.to_vec();
        }
        Ok(Self {
            port: given.port(PROXY_PORT)?.unwrap_or(DEFAULT_PROXY_PORT),
            rules: Rules {
                unknown: Unknown::new(
                    given.one(UNKNOWN_FIELDS)?.unwrap_or_default(),
                    given.list(KNOWN_FIELDS)?,
                ),
                methods,
                ..Rules::new(project, regions, publishers, given.list(MODELS)?, allow)
            },
            endpoint: given.one(VERTEX_ENDPOINT)?,
        })
    }
}

impl Credential {
    fn read(given: &Given<'_>) -> Result<Self, Wrong> {
        let server = given.one::<NodeMetadata>(NODE_METADATA_SERVER)?;
        match (given.one(CREDENTIALS)?, given.one(CREDENTIALS_JSON)?, server) {
            (Some(path), None, None) => Ok(Self::File(path)),
            (None, Some(json), None) => Ok(Self::Json(json)),
            (None, None, Some(NodeMetadata(server))) => Ok(Self::NodeMetadata(server)),
            (None, None, None) => Err(Wrong(
                "no credential: give --credentials FILE (or -), --credentials-json JSON or --node-metadata-server, or set \
                 VERTEX_INJECTOR_CREDENTIALS, VERTEX_INJECTOR_CREDENTIALS_JSON or VERTEX_INJECTOR_NODE_METADATA_SERVER"
                    .to_owned(),
            )),
            (_, _, _) => Err(Wrong(format!(
                "{CREDENTIALS}, {CREDENTIALS_JSON} and {NODE_METADATA_SERVER} cannot be used with each other; give one of them"
            ))),
        }
    }
}

impl Mode {
    /// Its name.
    pub fn name(&self) -> ModeName {
        match self {
            Self::Metadata { .. } => ModeName::Metadata,
            Self::Proxy(_) => ModeName::Proxy,
        }
    }
}

impl ModeName {
    /// Both.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// As the setting writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Proxy => "proxy",
        }
    }

    /// What a broker of this mode does.
    pub fn about(self) -> &'static str {
        match self {
            Self::Metadata => {
                "Hand out short-lived access tokens, as the metadata server of Google Compute Engine does"
            }
            Self::Proxy => "Forward model calls to Vertex AI and add the token, which the agent never sees",
        }
    }

    /// Whether it listens on the port of a proxy, too.
    pub fn has_proxy(self) -> bool {
        match self {
            Self::Metadata => false,
            Self::Proxy => true,
        }
    }

    /// The memory that its container may use unless the policy says otherwise. A proxy holds requests while it looks into them.
    pub fn usual_memory(self) -> Memory {
        match self {
            Self::Metadata => Memory { mebibytes: 64 },
            Self::Proxy => Memory { mebibytes: 256 },
        }
    }
}

by_name!(ModeName);

impl FromStr for Audience {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.contains(|c: char| c == ',' || c.is_whitespace() || c.is_control()) {
            return Err("not an audience: text without spaces and commas");
        }
        Ok(Self(text.to_owned()))
    }
}

impl Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

struct NodeMetadata(Endpoint);

impl FromStr for NodeMetadata {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Endpoint::node_metadata(text).map(Self)
    }
}

/// Values without commas in one text; `None` for none.
fn list(values: &[impl Display]) -> Option<String> {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}
