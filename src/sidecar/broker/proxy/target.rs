//! The request target of a model call, matched as a whole and as it arrived.
//!
//! Nothing is normalised, except that `%40` is the `@` of a model's version. What does not match to the last byte is no model
//! call: dot segments, other encodings, parameters, other cases, suffixes.

use prometheus_client::encoding::EncodeLabelValue;
use std::borrow::Cow;
use vertex_injector_core::contract::proxy::{Publisher, Region};

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Call {
    /// Anthropic's `rawPredict`.
    RawPredict,
    /// Anthropic's `streamRawPredict`.
    StreamRawPredict,
    /// Gemini's `generateContent`.
    GenerateContent,
    /// Gemini's `streamGenerateContent`.
    StreamGenerateContent,
    /// Gemini's `countTokens`.
    CountTokens,
}

/// The name under which Anthropic's token counting is a model; which one is meant stands in the body.
pub const COUNT_TOKENS: &str = "count-tokens";

/// A model call's path, in parts that need no further checking of form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    /// `v1` or `v1beta1`.
    pub version: &'static str,
    /// Letters, digits and `.:-`.
    pub project: &'a str,
    /// Lower-case letters, digits and `-`.
    pub region: &'a str,
    /// Whose model.
    pub publisher: Publisher,
    /// Letters, digits and `._@-`.
    pub model: Cow<'a, str>,
    /// What is called.
    pub call: Call,
}

/// What a query may say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Query {
    /// `alt=sse`: Gemini streams as events.
    sse: bool,
    /// `beta=true`, which Anthropic's clients append.
    beta: bool,
}

/// Longest part of a path, in bytes.
const MAX_PART: usize = 128;

impl Call {
    /// As in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RawPredict => "rawPredict",
            Self::StreamRawPredict => "streamRawPredict",
            Self::GenerateContent => "generateContent",
            Self::StreamGenerateContent => "streamGenerateContent",
            Self::CountTokens => "countTokens",
        }
    }

    fn of(publisher: Publisher, name: &str) -> Option<Self> {
        Some(match (publisher, name) {
            (Publisher::Anthropic, "rawPredict") => Self::RawPredict,
            (Publisher::Anthropic, "streamRawPredict") => Self::StreamRawPredict,
            (Publisher::Google, "generateContent") => Self::GenerateContent,
            (Publisher::Google, "streamGenerateContent") => Self::StreamGenerateContent,
            (Publisher::Google, "countTokens") => Self::CountTokens,
            _ => return None,
        })
    }
}

impl<'a> Target<'a> {
    /// Parses a path; `None` when it is no model call's.
    pub fn parse(path: &'a str) -> Option<Self> {
        let mut parts = path.split('/');
        let mut next = || parts.next();
        let ("", version, "projects", project, "locations", region, "publishers", publisher, "models", last, None) = (
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
            next()?,
            next(),
        ) else {
            return None;
        };
        let (publisher, version) = match (publisher, version) {
            ("anthropic", "v1") => (Publisher::Anthropic, "v1"),
            ("anthropic", "v1beta1") => (Publisher::Anthropic, "v1beta1"),
            ("google", "v1") => (Publisher::Google, "v1"),
            ("google", "v1beta1") => (Publisher::Google, "v1beta1"),
            _ => return None,
        };
        let (model, call) = last.split_once(':')?;
        let model = if model.contains("%40") {
            Cow::Owned(model.replace("%40", "@"))
        } else {
            Cow::Borrowed(model)
        };
        let fit = is_project(project) && Region::is(region) && is_model(&model);
        fit.then_some(Self {
            version,
            project,
            region,
            publisher,
            model,
            call: Call::of(publisher, call)?,
        })
    }

    /// Whether the model is named in the body instead.
    pub fn counts_tokens_of_another(&self) -> bool {
        self.publisher == Publisher::Anthropic && self.model == COUNT_TOKENS
    }

    /// The path as it is sent on.
    pub fn path(&self, query: Query) -> String {
        let Self {
            version,
            project,
            region,
            model,
            ..
        } = self;
        let (publisher, call) = (self.publisher.name(), self.call.as_str());
        let query = query.as_str();
        format!("/{version}/projects/{project}/locations/{region}/publishers/{publisher}/models/{model}:{call}{query}")
    }
}

impl Query {
    /// Reads what is known and drops the rest, credentials in particular; `None` when it would change the method.
    pub fn parse(text: &str) -> Option<Self> {
        let overrides = |name: &str| {
            let name = name.trim_start_matches(['$', '_']).replace(['-', '_'], "");
            ["httpmethod", "xhttpmethod", "xhttpmethodoverride", "method"]
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known))
        };
        if form_urlencoded::parse(text.as_bytes()).any(|(name, _)| overrides(&name)) {
            return None;
        }
        let mut query = Self::default();
        for pair in text.split('&') {
            query.sse |= pair == "alt=sse";
            query.beta |= pair == "beta=true";
        }
        Some(query)
    }

    fn as_str(self) -> &'static str {
        match (self.sse, self.beta) {
            (false, false) => "",
            (true, false) => "?alt=sse",
            (false, true) => "?beta=true",
            (true, true) => "?alt=sse&beta=true",
        }
    }
}

/// Whether this can be a model's ID.
pub fn is_model(text: &str) -> bool {
    is_part(text, |b| b.is_ascii_alphanumeric() || b"._@-".contains(&b))
}

fn is_project(text: &str) -> bool {
    is_part(text, |b| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || b".:-".contains(&b)
    })
}

fn is_part(text: &str, fit: impl Fn(u8) -> bool) -> bool {
    text.len() <= MAX_PART && text.bytes().all(fit) && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}
