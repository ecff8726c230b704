//! One table: which variables each client reads for which setting.
//!
//! Sources: the SDKs' own code and documentation (Claude Code, `@anthropic-ai/vertex-sdk`, `google-genai`, LiteLLM,
//! AI SDK, OpenCode, Goose), the Ambient runner and Kartograph's `vertex_runtime_env`. A *setting* is resolved once per
//! container and then rendered into all of its variables, so that the variables of one pod never disagree.

use crate::api::{Client, Vertex};
use crate::contract::proxy::Publisher;
use Client::{AISDK, Ambient, ClaudeCode, GoogleGenAI, Goose, Kartograph, LiteLLM, OpenCode};
use strum::{EnumMessage, VariantArray};

/// Something that clients want to know, each under names of its own.
#[derive(EnumMessage, VariantArray, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setting {
    /// Whether Vertex is used at all.
    Switch,
    /// The project that is called.
    Project,
    /// The location.
    Region,
    /// The project that quota is counted against.
    QuotaProject,
    /// Root URL of Vertex AI.
    Endpoint,
    /// The model to use unless another is asked for.
    DefaultModel,
    /// What the alias `opus` means.
    Opus,
    /// What the alias `sonnet` means.
    Sonnet,
    /// What the alias `haiku` means.
    Haiku,
    /// That the pod's environment decides about provider and routing, and no settings file of a repository.
    ManagedByHost,
    /// That nothing but model calls leaves the client.
    NoNonessentialTraffic,
    /// That the client does not replace itself.
    NoAutoupdater,
}

/// How a setting's value is written into one variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Plain,
    /// A switch, with the words by which the clients that read it know "on", in lower case; the first is written.
    On(&'static [&'static str]),
    /// A URL, with a path behind it.
    Url(&'static str),
}

/// One variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The setting that it carries.
    pub setting: Setting,
    /// How the value is written.
    pub form: Form,
    /// The clients for which it is set.
    pub set_for: &'static [Client],
    /// Further clients that read it, so that a value of the pod counts, but for which another variable is set.
    pub also_read_by: &'static [Client],
}

/// What is to be known of a client beside its variables.
#[derive(Debug, Clone, Copy)]
pub struct Traits {
    /// Whose models it calls, when it calls those of one only.
    pub publisher: Option<Publisher>,
    /// Whether it does not start without a credential file, also where a metadata server or a proxy would do.
    pub demands_file: bool,
    /// Whether its images have a read-only root and run as any user, so that its home has to be elsewhere.
    pub read_only_home: bool,
    /// The API key that makes it leave the policy's identity, and in which program.
    pub key_that_wins: Option<&'static str>,
}

const EVERY: &[Client] = Client::ALL;

/// Clients that run Claude Code or Anthropic's SDKs.
const CLAUDE: &[Client] = &[ClaudeCode, Ambient, Kartograph];

/// What most clients take for "on".
const ON: &[&str] = &["1", "true", "yes", "on"];

const fn plain(name: &'static str, setting: Setting, set_for: &'static [Client]) -> Variable {
    Variable {
        name,
        setting,
        form: Form::Plain,
        set_for,
        also_read_by: &[],
    }
}

const fn alias(name: &'static str, setting: Setting, also_read_by: &'static [Client]) -> Variable {
    Variable {
        name,
        setting,
        form: Form::Plain,
        set_for: &[],
        also_read_by,
    }
}

const fn switch(
    name: &'static str,
    on: &'static [&'static str],
    setting: Setting,
    set_for: &'static [Client],
) -> Variable {
    Variable {
        name,
        setting,
        form: Form::On(on),
        set_for,
        also_read_by: &[],
    }
}

const fn url(name: &'static str, path: &'static str, set_for: &'static [Client]) -> Variable {
    Variable {
        name,
        setting: Setting::Endpoint,
        form: Form::Url(path),
        set_for,
        also_read_by: &[],
    }
}

/// The table. Its order is the order in which variables are added to a pod.
pub const VARIABLES: &[Variable] = &[
    switch("CLAUDE_CODE_USE_VERTEX", ON, Setting::Switch, CLAUDE),
    switch("USE_VERTEX", &["1", "true", "yes"], Setting::Switch, &[Ambient]),
    switch(
        "GOOGLE_GENAI_USE_VERTEXAI",
        &["true", "1"],
        Setting::Switch,
        &[GoogleGenAI],
    ),
    // Without it google-auth looks the project up at Cloud Resource Manager and fails altogether when it may not.
    plain("GOOGLE_CLOUD_PROJECT", Setting::Project, EVERY),
    plain("ANTHROPIC_VERTEX_PROJECT_ID", Setting::Project, CLAUDE),
    plain("VERTEXAI_PROJECT", Setting::Project, &[LiteLLM]),
    plain("GOOGLE_VERTEX_PROJECT", Setting::Project, &[AISDK]),
    plain("GCP_PROJECT_ID", Setting::Project, &[Goose]),
    alias(
        "GCLOUD_PROJECT",
        Setting::Project,
        &[ClaudeCode, GoogleGenAI, AISDK, OpenCode, Ambient, Kartograph],
    ),
    alias("GCP_PROJECT", Setting::Project, &[OpenCode]),
    plain("CLOUD_ML_REGION", Setting::Region, CLAUDE),
    plain("GOOGLE_CLOUD_LOCATION", Setting::Region, &[GoogleGenAI, OpenCode]),
    plain("VERTEXAI_LOCATION", Setting::Region, &[LiteLLM, Kartograph]),
    plain("GOOGLE_VERTEX_LOCATION", Setting::Region, &[AISDK, OpenCode]),
    plain("GCP_LOCATION", Setting::Region, &[Goose]),
    alias("VERTEX_LOCATION", Setting::Region, &[OpenCode, LiteLLM]),
    plain("GOOGLE_CLOUD_QUOTA_PROJECT", Setting::QuotaProject, EVERY),
    url("ANTHROPIC_VERTEX_BASE_URL", "/v1", CLAUDE),
    url("GOOGLE_VERTEX_BASE_URL", "", &[GoogleGenAI]),
    // It appends the version itself.
    url("VERTEXAI_API_BASE", "", &[LiteLLM]),
    plain("ANTHROPIC_MODEL", Setting::DefaultModel, &[ClaudeCode, Kartograph]),
    plain("LLM_MODEL_VERTEX_ID", Setting::DefaultModel, &[Ambient]),
    plain("GEMINI_MODEL", Setting::DefaultModel, &[GoogleGenAI]),
    plain("GOOSE_MODEL", Setting::DefaultModel, &[Goose]),
    plain("ANTHROPIC_DEFAULT_OPUS_MODEL", Setting::Opus, CLAUDE),
    plain("ANTHROPIC_DEFAULT_SONNET_MODEL", Setting::Sonnet, CLAUDE),
    plain("ANTHROPIC_DEFAULT_HAIKU_MODEL", Setting::Haiku, CLAUDE),
    // Otherwise `.claude/settings.json` of a repository can send the bearer token to a host of its own choosing.
    switch(
        "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST",
        ON,
        Setting::ManagedByHost,
        CLAUDE,
    ),
    switch(
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        ON,
        Setting::NoNonessentialTraffic,
        CLAUDE,
    ),
    switch("DISABLE_AUTOUPDATER", ON, Setting::NoAutoupdater, CLAUDE),
];

/// Variables of API keys, any of which makes a client leave Vertex or send the key along.
pub const API_KEYS: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
];

/// Further variables that name models of Claude Code, for which a policy has no field.
pub const OTHER_MODELS: &[&str] = &[
    "ANTHROPIC_DEFAULT_FABLE_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
];

/// Switches to other model providers, which win over Vertex.
pub const OTHER_PROVIDERS: &[&str] = &[
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_ANTHROPIC_AWS",
    "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD",
    "CLAUDE_CODE_USE_MANTLE",
    "GOOGLE_GENAI_USE_GCA",
];

/// Prefix of Claude Code's per-model region variables.
pub const MODEL_REGION_PREFIX: &str = "VERTEX_REGION_CLAUDE_";

/// Clients that read [`MODEL_REGION_PREFIX`] variables.
pub const MODEL_REGION_CLIENTS: &[Client] = CLAUDE;

/// The variable that names the credential file for every Google client library.
pub const CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";

/// The variable that names it for gcloud, which ignores [`CREDENTIALS`].
pub const GCLOUD_CREDENTIALS: &str = "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE";

/// Variables by which a client finds a credential of its own, before it asks the metadata server: files, and a token in a file.
pub const CREDENTIAL_SOURCES: &[&str] = &[
    CREDENTIALS,
    // Node's client reads this one, too.
    "google_application_credentials",
    GCLOUD_CREDENTIALS,
    "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE",
    "VERTEXAI_CREDENTIALS",
];

/// Those of them that gcloud and LiteLLM prefer to the file of a policy.
pub const PREFERRED_CREDENTIALS: [&str; 2] = ["CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "VERTEXAI_CREDENTIALS"];

/// Variables that say where the metadata server is. Each client reads one or two of them, so they go together.
pub const METADATA_ADDRESSES: [&str; 3] = ["GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT"];

/// How Node's client finds out whether there is a metadata server.
pub const DETECTION: &str = "METADATA_SERVER_DETECTION";

/// Variables that keep clients from the metadata server, which GKE workload identity and brokers need.
pub const METADATA_FENCES: &[&str] = &[
    "GCE_METADATA_HOST",
    "GCE_METADATA_IP",
    "GCE_METADATA_ROOT",
    "GCE_METADATA_MTLS_MODE",
    "NO_GCE_CHECK",
    DETECTION,
];

/// Variables, beside those of [`Setting::Endpoint`], that send a client elsewhere, or with other credentials.
pub const ROUTES: &[&str] = &[
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_CUSTOM_HEADERS",
    "CLAUDE_CODE_SKIP_VERTEX_AUTH",
    "GOOGLE_GEMINI_BASE_URL",
];

impl Client {
    /// All clients.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// What is to be known of it beside its variables.
    pub const fn traits(self) -> Traits {
        const PLAIN: Traits = Traits {
            publisher: None,
            demands_file: false,
            read_only_home: false,
            key_that_wins: None,
        };
        const ANTHROPIC: Traits = Traits {
            publisher: Some(Publisher::Anthropic),
            ..PLAIN
        };
        match self {
            ClaudeCode => ANTHROPIC,
            GoogleGenAI => Traits {
                publisher: Some(Publisher::Google),
                key_that_wins: Some("GOOGLE_API_KEY in Gemini CLI"),
                ..PLAIN
            },
            LiteLLM | OpenCode | Goose => PLAIN,
            AISDK => Traits {
                key_that_wins: Some("GOOGLE_VERTEX_API_KEY"),
                ..PLAIN
            },
            Ambient => Traits {
                demands_file: true,
                ..ANTHROPIC
            },
            Kartograph => Traits {
                read_only_home: true,
                ..ANTHROPIC
            },
        }
    }
}

impl Setting {
    /// The settings that are models.
    pub const MODELS: [Self; 4] = [Self::DefaultModel, Self::Opus, Self::Sonnet, Self::Haiku];

    /// All settings, in the order of the table.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The variables of this setting.
    pub fn variables(self) -> impl Iterator<Item = &'static Variable> {
        VARIABLES.iter().filter(move |variable| variable.setting == self)
    }

    /// What a policy says about it; `None` when it says nothing. Switches are always on.
    pub fn value(self, vertex: &Vertex) -> Option<&str> {
        match self {
            Self::Switch | Self::ManagedByHost | Self::NoNonessentialTraffic | Self::NoAutoupdater => Some("1"),
            Self::Project => Some(&vertex.project),
            Self::Region => Some(&vertex.region),
            Self::QuotaProject => vertex.quota_project.as_deref(),
            Self::Endpoint => vertex.endpoint.as_deref(),
            Self::DefaultModel => vertex.models.default.as_deref(),
            Self::Opus => vertex.models.opus.as_deref(),
            Self::Sonnet => vertex.models.sonnet.as_deref(),
            Self::Haiku => vertex.models.haiku.as_deref(),
        }
    }

    /// Whether it is a model.
    pub fn is_model(self) -> bool {
        Self::MODELS.contains(&self)
    }

    /// Whether it is always on, whatever a policy says.
    pub fn is_switch(self) -> bool {
        match self {
            Self::Switch | Self::ManagedByHost | Self::NoNonessentialTraffic | Self::NoAutoupdater => true,
            Self::Project
            | Self::Region
            | Self::QuotaProject
            | Self::Endpoint
            | Self::DefaultModel
            | Self::Opus
            | Self::Sonnet
            | Self::Haiku => false,
        }
    }

    /// The policy's field, for messages.
    pub fn field(self) -> &'static str {
        match self {
            Self::Switch | Self::ManagedByHost | Self::NoNonessentialTraffic | Self::NoAutoupdater => "vertex.clients",
            Self::Project => "vertex.project",
            Self::Region => "vertex.region",
            Self::QuotaProject => "vertex.quotaProject",
            Self::Endpoint => "vertex.endpoint",
            Self::DefaultModel => "vertex.models.default",
            Self::Opus => "vertex.models.opus",
            Self::Sonnet => "vertex.models.sonnet",
            Self::Haiku => "vertex.models.haiku",
        }
    }
}

impl Variable {
    /// Whether it is set for one of these clients.
    pub fn is_set_for(&self, clients: &[Client]) -> bool {
        clients.iter().any(|client| self.set_for.contains(client))
    }

    /// Whether one of these clients reads it.
    pub fn is_read_by(&self, clients: &[Client]) -> bool {
        self.is_set_for(clients) || clients.iter().any(|client| self.also_read_by.contains(client))
    }

    /// Whether a value of this switch means on to the clients that read it; false when it is no switch.
    pub fn says_on(&self, value: &str) -> bool {
        match self.form {
            Form::On(words) => is_one_of(value, words),
            Form::Plain | Form::Url(_) => false,
        }
    }

    /// The variable's value for a setting's value.
    pub fn render(&self, value: &str) -> String {
        match self.form {
            Form::Plain => value.to_owned(),
            Form::On(words) => words.first().copied().unwrap_or_default().to_owned(),
            Form::Url(path) => format!("{}{path}", value.trim_end_matches('/')),
        }
    }
}

/// Whether the value of a switch means on to Claude Code and most others: `1`, `true`, `yes`, `on` in any case.
pub fn is_on(value: &str) -> bool {
    is_one_of(value, ON)
}

/// Whether a variable of this name is for a client that calls models, and for nothing else.
pub fn speaks_of_models(name: &str) -> bool {
    const PREFIXES: [&str; 5] = ["ANTHROPIC_", "CLAUDE_CODE_", "GOOGLE_GENAI_", "GEMINI_", "VERTEXAI_"];
    API_KEYS.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a name belongs to routing or credentials, which policies set through their own fields only.
pub fn is_owned(name: &str) -> bool {
    name.starts_with(MODEL_REGION_PREFIX)
        || VARIABLES.iter().any(|variable| variable.name == name)
        || API_KEYS.contains(&name)
        || OTHER_PROVIDERS.contains(&name)
        || METADATA_FENCES.contains(&name)
        || CREDENTIAL_SOURCES.contains(&name)
        || ROUTES.contains(&name)
        || ["CREDENTIAL_MCP_URLS", "CREDENTIAL_SIDECAR_MODE"].contains(&name)
}

fn is_one_of(value: &str, words: &[&str]) -> bool {
    let value = value.trim();
    words.iter().any(|word| value.eq_ignore_ascii_case(word))
}
