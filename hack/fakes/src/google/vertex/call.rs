//! What the host and the path of a model call say.

use std::borrow::Cow;

/// Where a Vertex host serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location(String);

impl Location {
    /// The location that a host serves, if it is one of Vertex.
    pub(crate) fn of(host: &str) -> Option<Self> {
        let name = match host {
            "aiplatform.googleapis.com" => "global",
            "aiplatform.us.rep.googleapis.com" => "us",
            "aiplatform.eu.rep.googleapis.com" => "eu",
            _ => host
                .strip_suffix("-aiplatform.googleapis.com")
                .filter(|region| is_region(region))?,
        };
        Some(Self(name.to_owned()))
    }

    /// Its name in paths.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

/// What is asked of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Anthropic: a message, whole.
    RawPredict,
    /// Anthropic: a message, streamed.
    StreamRawPredict,
    /// Anthropic: how long a prompt is. The model is in the body.
    AnthropicCountTokens,
    /// Gemini: content, whole.
    GenerateContent,
    /// Gemini: content, streamed.
    StreamGenerateContent,
    /// Gemini: how long a prompt is.
    GeminiCountTokens,
}

impl Operation {
    /// Its name in the journal, as in the path.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RawPredict => "rawPredict",
            Self::StreamRawPredict => "streamRawPredict",
            Self::AnthropicCountTokens => "count-tokens:rawPredict",
            Self::GenerateContent => "generateContent",
            Self::StreamGenerateContent => "streamGenerateContent",
            Self::GeminiCountTokens => "countTokens",
        }
    }
}

/// The path of a model call, in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call<'a> {
    /// The project that pays.
    pub project: &'a str,
    /// `us-east5`, `global` and so on.
    pub location: &'a str,
    /// `anthropic` or `google`.
    pub publisher: &'a str,
    /// The model's name; `count-tokens` where the body has it.
    pub model: Cow<'a, str>,
    /// What is asked of it.
    pub operation: Operation,
}

impl<'a> Call<'a> {
    /// The parts of a raw path; `None` when nothing is served there.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').collect();
        let [
            "",
            version @ ("v1" | "v1beta1"),
            "projects",
            project,
            "locations",
            location,
            "publishers",
            publisher,
            "models",
            last,
        ] = parts.as_slice()
        else {
            return None;
        };
        let (model, verb) = last.rsplit_once(':')?;
        // Clients may encode the at sign of a version, and nothing else of a name needs encoding.
        let model = if model.contains("%40") {
            Cow::Owned(model.replace("%40", "@"))
        } else {
            Cow::Borrowed(model)
        };
        let operation = match (*publisher, *version, &*model, verb) {
            ("anthropic", "v1", "count-tokens", "rawPredict") => Operation::AnthropicCountTokens,
            ("anthropic", "v1", _, "rawPredict") => Operation::RawPredict,
            ("anthropic", "v1", _, "streamRawPredict") => Operation::StreamRawPredict,
            ("google", _, _, "generateContent") => Operation::GenerateContent,
            ("google", _, _, "streamGenerateContent") => Operation::StreamGenerateContent,
            ("google", _, _, "countTokens") => Operation::GeminiCountTokens,
            _ => return None,
        };
        (is_project(project) && is_region(location) && is_model(&model)).then_some(Self {
            project,
            location,
            publisher,
            model,
            operation,
        })
    }

    /// The resource name of the model.
    pub(super) fn resource(&self) -> String {
        let Self {
            project,
            location,
            publisher,
            model,
            ..
        } = self;
        format!("projects/{project}/locations/{location}/publishers/{publisher}/models/{model}")
    }
}

/// Whether a text has the shape of a model's name.
pub(super) fn is_model(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.@".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(known)
}

fn is_project(id: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte);
    id.len() >= 6 && id.bytes().all(known)
}

fn is_region(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(known)
}

#[cfg(test)]
mod tests {
    use super::{Call, Location, Operation};

    #[test]
    fn each_host_serves_its_location() {
        for (host, location) in [
            ("aiplatform.googleapis.com", Some("global")),
            ("us-east5-aiplatform.googleapis.com", Some("us-east5")),
            ("aiplatform.us.rep.googleapis.com", Some("us")),
            ("aiplatform.eu.rep.googleapis.com", Some("eu")),
            ("aiplatform.ap.rep.googleapis.com", None),
            ("-aiplatform.googleapis.com", None),
            ("us-east5-aiplatform.googleapis.com.example", None),
        ] {
            assert_eq!(Location::of(host).as_ref().map(Location::name), location, "{host}");
        }
    }

    #[test]
    fn a_path_is_read_into_its_parts() {
        let path =
            "/v1/projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x%4020250101:rawPredict";
        let call = Call::parse(path).unwrap();
        assert_eq!((call.project, call.location), ("my-project", "us-east5"));
        assert_eq!(call.model, "claude-x@20250101");
        assert_eq!(call.operation, Operation::RawPredict);
        assert_eq!(
            call.resource(),
            "projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x@20250101"
        );
    }

    #[test]
    fn nothing_is_served_beside_the_known_paths() {
        for path in [
            "/v1/projects/my-project/locations/global/publishers/anthropic/models/claude-x:generateContent",
            "/v1beta1/projects/my-project/locations/global/publishers/anthropic/models/claude-x:rawPredict",
            "/v1/projects/my-project/locations/global/publishers/google/models/gemini-x:rawPredict",
            "/v1/projects/my-project/locations/global/publishers/google/models/gemini-x:predict",
            "/v1/projects/my-project/locations/global/publishers/meta/models/llama:generateContent",
            "/v1/projects/my-project/locations/global/publishers/google/models/../gemini-x:countTokens",
            "/v1/projects/my-project/locations/global/publishers/google/models/%2e:countTokens",
            "/v1//projects/my-project/locations/global/publishers/google/models/gemini-x:countTokens",
            "/v1/projects/my-project/locations/global/publishers/google/models/gemini-x:countTokens/",
            "/v1/projects/x/locations/global/publishers/google/models/gemini-x:countTokens",
            "/v1/projects/my-project/locations/global/endpoints/7:rawPredict",
            "/v1/models/gemini-x:countTokens",
        ] {
            assert_eq!(Call::parse(path), None, "{path}");
        }
    }
}
