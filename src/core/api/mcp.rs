//! MCP configuration as a file, for agents that do not read `CREDENTIAL_MCP_URLS`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A read-only file that names the endpoints of the policy's sidecars.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct McpConfig {
    /// The directory in which it is mounted; nothing else is in it.
    #[schemars(length(min = 2, max = 253), regex(pattern = r"^/[^:\s]*$"))]
    pub mount_path: String,
    /// Whose format it has. Default: `ClaudeCode`.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub format: McpFormat,
}

/// The format of the file, and its name.
#[derive(schemars::JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum McpFormat {
    /// `.mcp.json`, as Claude Code and its SDK read it: `{"mcpServers": {KEY: {"type": "sse" | "http", "url": URL}}}`.
    #[default]
    ClaudeCode,
    /// `settings.json`, as Gemini CLI reads it: `{"mcpServers": {KEY: {"url": URL} | {"httpUrl": URL}}}`.
    GeminiCLI,
}

impl McpFormat {
    /// Name of the file.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::ClaudeCode => ".mcp.json",
            Self::GeminiCLI => "settings.json",
        }
    }
}
