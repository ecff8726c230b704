//! The request target of a model call, matched as a whole and as it arrived.
//!
//! Nothing is normalised, except that `%40` is the `@` of a model's version. What does not match to the last byte is no model
//! call: dot segments, other encodings, parameters, other cases, suffixes.

use prometheus_client::encoding::EncodeLabelValue;
use std::borrow::Cow;
use vertex_injector_core::contract::proxy::{Method, Publisher, Region};

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
    /// Gemini's `computeTokens`.
    ComputeTokens,
    /// Google's `embedContent`.
    EmbedContent,
    /// Google's `batchEmbedContents`.
    BatchEmbedContents,
    /// `predict` of Google's models that embed texts.
    Predict,
    /// OpenAI's, of Gemini.
    ChatCompletions,
}

/// What reads a call's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Anthropic's Messages.
    Messages,
    /// Gemini's `generateContent` and those beside it.
    Gemini,
    /// `embedContent` and `batchEmbedContents`.
    Embed,
    /// `predict`, of texts to embed.
    Predict,
    /// `computeTokens`.
    ComputeTokens,
    /// Chat completions as OpenAI has them.
    ChatCompletions,
}

impl Api {
    /// Whose it is.
    pub fn publisher(self) -> Publisher {
        match self {
            Self::Messages => Publisher::Anthropic,
            Self::Gemini | Self::Embed | Self::Predict | Self::ComputeTokens | Self::ChatCompletions => {
                Publisher::Google
            }
        }
    }

    /// In which a publisher's models answer.
    pub fn of(publisher: Publisher) -> Self {
        match publisher {
            Publisher::Anthropic => Self::Messages,
            Publisher::Google => Self::Gemini,
        }
    }
}

/// The name under which Anthropic's token counting is a model; which one is meant stands in the body.
pub const COUNT_TOKENS: &str = "count-tokens";

/// Models that embed texts, by the beginning of their names.
const EMBEDS_TEXTS: [&str; 4] = [
    "text-embedding-",
    "text-multilingual-embedding-",
    "textembedding-gecko",
    "gemini-embedding-",
];

fn embeds_texts(model: &str) -> bool {
    EMBEDS_TEXTS.iter().any(|name| model.starts_with(name))
}

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

/// What stands for a model that only the body names.
const IN_BODY: &str = "openapi";

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
            Self::ComputeTokens => "computeTokens",
            Self::EmbedContent => "embedContent",
            Self::BatchEmbedContents => "batchEmbedContents",
            Self::Predict => "predict",
            Self::ChatCompletions => "chat/completions",
        }
    }

    /// What reads its body.
    pub fn api(self) -> Api {
        match self {
            Self::RawPredict | Self::StreamRawPredict => Api::Messages,
            Self::GenerateContent | Self::StreamGenerateContent | Self::CountTokens => Api::Gemini,
            Self::ComputeTokens => Api::ComputeTokens,
            Self::EmbedContent | Self::BatchEmbedContents => Api::Embed,
            Self::Predict => Api::Predict,
            Self::ChatCompletions => Api::ChatCompletions,
        }
    }

    /// The methods of a publisher's models, as paths name them.
    pub fn names_of(publisher: Publisher) -> Vec<&'static str> {
        let calls = Self::of_models(publisher).iter();
        calls.map(|call| call.as_str()).collect()
    }

    fn of_models(publisher: Publisher) -> &'static [Self] {
        match publisher {
            Publisher::Anthropic => &[Self::RawPredict, Self::StreamRawPredict],
            Publisher::Google => &[
                Self::GenerateContent,
                Self::StreamGenerateContent,
                Self::CountTokens,
                Self::ComputeTokens,
                Self::EmbedContent,
                Self::BatchEmbedContents,
                Self::Predict,
            ],
        }
    }

    /// What is called of a model. `predict` means as many things as there are models; it is known of those that embed texts.
    fn of(publisher: Publisher, name: &str, model: &str) -> Option<Self> {
        let mut calls = Self::of_models(publisher).iter().copied();
        let call = calls.find(|call| call.as_str() == name)?;
        (call != Self::Predict || embeds_texts(model)).then_some(call)
    }
}

impl<'a> Target<'a> {
    /// Parses a path; `None` when it is no model call's.
    pub fn parse(path: &'a str) -> Option<Self> {
        let mut parts = path.split('/');
        let mut next = || parts.next();
        let ("", version, "projects", project, "locations", region, kind, publisher, below, last, None) = (
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
        let version = ["v1", "v1beta1"].into_iter().find(|known| *known == version)?;
        if !is_project(project) || !Region::is(region) {
            return None;
        }
        if (kind, publisher, below, last) == ("endpoints", "openapi", "chat", "completions") {
            return Some(Self {
                version,
                project,
                region,
                publisher: Publisher::Google,
                model: Cow::Borrowed(IN_BODY),
                call: Call::ChatCompletions,
            });
        }
        if (kind, below) != ("publishers", "models") {
            return None;
        }
        let publisher = *Publisher::ALL.iter().find(|known| known.name() == publisher)?;
        let (model, call) = last.split_once(':')?;
        let model = if model.contains("%40") {
            Cow::Owned(model.replace("%40", "@"))
        } else {
            Cow::Borrowed(model)
        };
        is_model(&model).then_some(Self {
            version,
            project,
            region,
            publisher,
            call: Call::of(publisher, call, &model)?,
            model,
        })
    }

    /// Whether the model is named in the body instead.
    pub fn is_named_in_body(&self) -> bool {
        self.call == Call::ChatCompletions || self.counts_tokens_of_another()
    }

    /// What kind of call it is.
    pub fn method(&self) -> Method {
        match self.call {
            Call::RawPredict | Call::StreamRawPredict if self.counts_tokens_of_another() => Method::CountTokens,
            Call::RawPredict | Call::StreamRawPredict | Call::GenerateContent | Call::StreamGenerateContent => {
                Method::Generate
            }
            Call::CountTokens => Method::CountTokens,
            Call::ComputeTokens => Method::ComputeTokens,
            Call::EmbedContent | Call::BatchEmbedContents | Call::Predict => Method::Embed,
            Call::ChatCompletions => Method::ChatCompletions,
        }
    }

    fn counts_tokens_of_another(&self) -> bool {
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
        let location = format!("/{version}/projects/{project}/locations/{region}");
        if self.call == Call::ChatCompletions {
            return format!("{location}/endpoints/openapi/{call}{query}");
        }
        format!("{location}/publishers/{publisher}/models/{model}:{call}{query}")
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
