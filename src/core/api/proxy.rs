//! What the Vertex proxy lets through.

use crate::contract::proxy::{Feature, Method, Publisher, UnknownFields};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the agent may call with `access: Proxy`. Everything else is refused by the broker, with what is allowed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// Whose models. Default: `anthropic` and `google`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub publishers: Vec<Publisher>,

    /// Which models: globs, `*` stands for any characters, for example `claude-*`. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9*][A-Za-z0-9._@*-]*$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub models: Vec<String>,

    /// In which locations. Default: `vertex.region` and those of `vertex.modelRegions`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 2, max = 40), regex(pattern = r"^(global|us|eu|[a-z]+-[a-z]+[0-9]+)$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub regions: Vec<String>,

    /// Which kinds of calls. Default: `Generate` and `CountTokens`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub methods: Vec<Method>,

    /// What a model call may make Google or Anthropic do on the agent's behalf beyond answering. Default: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allow: Vec<Feature>,

    /// What becomes of members of a request's body that this version does not know. Default: `Deny`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unknown_fields: UnknownFields,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default(fields: &UnknownFields) -> bool {
    *fields == UnknownFields::default()
}
