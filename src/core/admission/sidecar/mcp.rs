//! The sidecars' endpoints as a file for agents that read MCP configuration from one. It follows an annotation, which the
//! chart's guard keeps as it was admitted.

use crate::admission::draft::Draft;
use crate::admission::ports::PlacedSidecar;
use crate::api::{McpFormat, Transport};
use crate::names;
use crate::policy::{McpConfig, render};
use serde_json::{Map, Value, json};

/// Plans annotation, volume and mounts; without an endpoint there is no file.
pub(super) fn plan_file(draft: &mut Draft<'_>, config: Option<&McpConfig>, placed: &[PlacedSidecar<'_>]) {
    let Some((config, text)) = config.and_then(|config| Some((config, configuration(config.format, placed)?))) else {
        if draft.pod.annotation(names::MCP_CONFIGURATION).is_some() {
            draft.annotate(names::MCP_CONFIGURATION, None);
        }
        return;
    };
    let file = config.format.file_name();
    draft.unit("mcpConfig", format!("{}/{file}", config.directory), |draft| {
        draft.annotate(names::MCP_CONFIGURATION, Some(text));
        let volume = render::annotation_volume(names::MCP_CONFIGURATION, file);
        draft.add_volume(names::MCP_VOLUME, &volume);
        for target in &mut draft.containers {
            let mount = render::read_only_mount(names::MCP_VOLUME, config.directory.as_str());
            target.mount(mount, &volume, false, &draft.volumes, &mut draft.notes);
        }
    });
}

fn configuration(format: McpFormat, placed: &[PlacedSidecar<'_>]) -> Option<String> {
    let mut servers = Map::new();
    for placed in placed {
        let sidecar = placed.sidecar;
        let Some(key) = &sidecar.mcp_key else { continue };
        let mut url = sidecar.url(placed.port);
        // Runners append it by themselves; what reads a file does not.
        if sidecar.transport == Transport::SSE && sidecar.path.is_none() {
            url.push_str("/sse");
        }
        let entry: Value = match (format, sidecar.transport) {
            (McpFormat::ClaudeCode, Transport::SSE) => json!({"type": "sse", "url": url}),
            (McpFormat::ClaudeCode, Transport::StreamableHTTP) => json!({"type": "http", "url": url}),
            (McpFormat::GeminiCLI, Transport::SSE) => json!({ "url": url }),
            (McpFormat::GeminiCLI, Transport::StreamableHTTP) => json!({ "httpUrl": url }),
        };
        servers.insert(key.clone(), entry);
    }
    (!servers.is_empty()).then(|| json!({ "mcpServers": servers }).to_string())
}
