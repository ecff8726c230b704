//! The Vertex AI settings and the clients that read them.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use strum::VariantArray;

/// Project, region and models, rendered into the variables of the chosen clients.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Vertex {
    /// The Google Cloud project ID that is called and billed.
    #[schemars(
        length(min = 6, max = 63),
        regex(pattern = r"^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    )]
    pub project: String,

    /// The Vertex AI location: a region such as `us-east5`, or `global`, `us`, `eu`.
    #[schemars(length(min = 2, max = 40), regex(pattern = r"^(global|us|eu|[a-z]+-[a-z]+[0-9]+)$"))]
    pub region: String,

    /// The clients in the agent's image, whose variables are set.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub clients: Vec<Client>,

    /// Models to pin.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub models: Models,

    /// Regions of single models: the suffix of Claude Code's `VERTEX_REGION_CLAUDE_…` to a location.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 40, "pattern": "^(global|us|eu|[a-z]+-[a-z]+[0-9]+)$"}))]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[0-9A-Z][0-9A-Z_]*$'))")
        .message("a key is the suffix of VERTEX_REGION_CLAUDE_…, such as HAIKU_4_5"))]
    pub model_regions: BTreeMap<String, String>,

    /// The project that quota is counted against, when it is not `project`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 6, max = 63),
        regex(pattern = r"^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    )]
    pub quota_project: Option<String>,

    /// Root URL of Vertex AI, for Private Service Connect; its host must be on the operator's list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 253), regex(pattern = r"^https://[^/?#@\s]+$"))]
    pub endpoint: Option<String>,
}

/// Model pins; each renders into the variable by which a client names that model.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Models {
    /// The model to use unless another is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._@-]*$"))]
    pub default: Option<String>,
    /// What Claude Code's alias `opus` means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._@-]*$"))]
    pub opus: Option<String>,
    /// What Claude Code's alias `sonnet` means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._@-]*$"))]
    pub sonnet: Option<String>,
    /// What Claude Code's alias `haiku` means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._@-]*$"))]
    pub haiku: Option<String>,
}

/// A client library or agent whose variables we know.
#[derive(
    VariantArray, schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
)]
pub enum Client {
    /// Claude Code, the Claude Agent SDK and Anthropic's Vertex SDKs.
    ClaudeCode,
    /// google-genai, Gemini CLI and what builds on them.
    GoogleGenAI,
    /// LiteLLM.
    LiteLLM,
    /// The Vercel AI SDK.
    AISDK,
    /// OpenCode.
    OpenCode,
    /// Goose.
    Goose,
    /// The Ambient Code platform's runner.
    Ambient,
    /// Kartograph's runtimes.
    Kartograph,
}

/// How credentials reach the agent.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// A credential configuration file and a projected token, mounted in the agent.
    #[default]
    File,
    /// Short-lived access tokens on request, from a broker beside the agent. What they are exchanged for stays there.
    Metadata,
    /// No credential at all: calls go through the broker, which adds the token and enforces `proxy`.
    Proxy,
}

/// What becomes of a pod whose agent could get around the broker.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// It is denied, with every field that stands in the way.
    #[default]
    Required,
    /// It is admitted, with a warning for each.
    BestEffort,
}

impl Access {
    /// Whether a broker holds the credential in the agent's place.
    pub fn has_broker(self) -> bool {
        match self {
            Self::File => false,
            Self::Metadata | Self::Proxy => true,
        }
    }
}
