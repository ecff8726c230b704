//! What is wrong with a target that is no model call's, and the nearest form that would be one: in the words of this call, not as a
//! list of all that there is.

use super::path::name_or_dots;
use super::refusal::{Reason, Refusal};
use super::rules;
use super::target::{Call, is_model};
use http::header::HOST;
use http::request::Parts;
use vertex_injector_core::contract::proxy::{Publisher, Rules};

/// What is to be done where no policy helps.
const NO_POLICY: &str =
    "no policy lets that through with access: Proxy; with access: Metadata the identity's own rights decide";

/// Models of other kinds than answer or embed, by the beginning of their names.
const MEDIA: [&str; 7] = [
    "imagen",
    "imagegeneration",
    "imagetext",
    "veo",
    "lyria",
    "virtual-try-on",
    "multimodalembedding",
];

/// Says what is wrong with a request that calls no model.
pub fn refusal(request: &Parts, rules: &Rules) -> Refusal {
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    let near = Near {
        rules,
        // It has been checked to be this machine's.
        base: format!("http://{}", host.unwrap_or("127.0.0.1")),
        path: request.uri.path(),
    };
    Refusal::denied(Reason::Target, near.words())
}

struct Near<'r> {
    rules: &'r Rules,
    base: String,
    path: &'r str,
}

impl Near<'_> {
    fn words(&self) -> String {
        let (base, path) = (&self.base, self.path);
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let has = |name: &str| parts.contains(&name);
        if !has("projects")
            && let Some(words) = self.elsewhere(&parts)
        {
            return words;
        }
        if path.contains("//") {
            return format!(
                "the path has // in it: the client's base URL ends in a slash too many; it is {base}/v1 for Anthropic's \
                 clients and {base} for Google's"
            );
        }
        if path.to_ascii_lowercase().contains("%3a") {
            return format!(
                "the colon before the method is encoded as %3A, and has to be sent as it is: {}",
                self.model_form(publisher_of(&parts), "MODEL")
            );
        }
        match parts.as_slice() {
            ["projects", rest @ ..] if rest.len() > 2 => format!(
                "the version is missing before /projects: the client's base URL has to end in /v1, as in {base}/v1 \
                 (ANTHROPIC_VERTEX_BASE_URL), so that it asks for /v1{}",
                self.shown(&parts)
            ),
            [first, second, ..] if is_version(first) && is_version(second) => format!(
                "the version is there twice, /{first}/{second}: this client appends it by itself, so its base URL is {base} without /v1"
            ),
            [version, "projects", rest @ ..] if ["v1", "v1beta1"].contains(version) => self.in_project(rest),
            [version, "projects", ..] => format!(
                "version {} of the API is not spoken: /v1/projects/… or /v1beta1/projects/…",
                name_or_dots(version)
            ),
            _ => self.usual(),
        }
    }

    /// Of paths that are some other API's.
    fn elsewhere(&self, parts: &[&str]) -> Option<String> {
        let (base, project) = (&self.base, &self.rules.project);
        let has = |name: &str| parts.contains(&name);
        if has("computeMetadata") {
            return Some(
                "this is the port of the Vertex proxy; the metadata server is on the other one, which GCE_METADATA_HOST names"
                    .to_owned(),
            );
        }
        if has("ws") {
            return Some(format!("the Live API speaks WebSocket, and {NO_POLICY}"));
        }
        if has("chat") || has("responses") || has("embeddings") || has("completions") {
            return Some(format!(
                "this is a path of OpenAI's own API: Vertex AI's is the base URL {base}{}, and the policy's proxy.methods has to \
                 have ChatCompletions for it",
                self.openai_base()
            ));
        }
        if has("messages") || has("complete") {
            return Some(format!(
                "this is a path of Anthropic's own API, not of Vertex AI: Claude Code goes to Vertex AI with \
                 CLAUDE_CODE_USE_VERTEX=1 and ANTHROPIC_VERTEX_BASE_URL={base}/v1 (not ANTHROPIC_BASE_URL), the SDKs with \
                 AnthropicVertex; a call is then POST {}",
                self.model_form(Publisher::Anthropic, "MODEL")
            ));
        }
        if has("publishers") {
            return Some(format!(
                "the project is missing, as with an API key: give the client its project ({project}) and a location, and no key; \
                 a call is then POST {}",
                self.model_form(publisher_of(parts), "MODEL")
            ));
        }
        let last = parts.last().copied().unwrap_or_default();
        if parts.len() < 3 && last.contains(':') && !has("models") {
            return Some(
                "the path has a method and no model: this client takes its base URL for a model's whole path, as LiteLLM did in \
                 2025; a newer one appends the path by itself"
                    .to_owned(),
            );
        }
        if has("v1beta") || (has("models") && last.contains(':')) {
            return Some(format!(
                "this is a path of Gemini's API for developers, not of Vertex AI: clients go to Vertex AI with \
                 GOOGLE_GENAI_USE_VERTEXAI=true, GOOGLE_CLOUD_PROJECT={project} and GOOGLE_VERTEX_BASE_URL={base} (not \
                 GOOGLE_GEMINI_BASE_URL); a call is then POST {}",
                self.model_form(Publisher::Google, "MODEL")
            ));
        }
        None
    }

    /// Of paths behind `/v1/projects/`.
    fn in_project(&self, rest: &[&str]) -> String {
        match rest {
            [_, "locations", _, "publishers", publisher, "models", last] if !self.path.ends_with('/') => {
                self.of_model(publisher, last)
            }
            [_, "locations", _, "publishers", _, "models", last, ..] if last.contains(':') => {
                "nothing may follow the method in a call's path".to_owned()
            }
            [_, "locations", _, "endpoints", "openapi", ..] => format!(
                "of OpenAI's API there is only {}/chat/completions, and the policy's proxy.methods has to have ChatCompletions for it",
                self.openai_base()
            ),
            [_, "locations", _, "endpoints", ..] => {
                format!(
                    "endpoints, tuned models among them, are not told apart by the policy's proxy.models, and {NO_POLICY}"
                )
            }
            [_, "locations", location, ..] if location.contains(':') => {
                format!("this is no call of a model, and {NO_POLICY}")
            }
            [_, "locations", _, what, ..] => {
                let what = name_or_dots(what.split_once(':').map_or(*what, |(name, _)| name));
                format!("{what} are no calls of models, and {NO_POLICY}")
            }
            _ => self.usual(),
        }
    }

    /// Of a model's path whose every part is in its place.
    fn of_model(&self, publisher: &str, last: &str) -> String {
        let Some(publisher) = Publisher::ALL.iter().find(|known| known.name() == publisher) else {
            return format!(
                "publisher {} is not served: anthropic and google are",
                name_or_dots(publisher)
            );
        };
        let (model, method) = last.split_once(':').unwrap_or((last, ""));
        let model = model.replace("%5B", "[").replace("%5b", "[");
        let model = model.replace("%5D", "]").replace("%5d", "]").replace("%40", "@");
        if let Some(refusal) = rules::with_suffix(&model) {
            return refusal.message;
        }
        if model.is_empty() {
            return "the call names no model: give the client one, or set vertex.models in the policy, which sets the client's variables"
                .to_owned();
        }
        if !is_model(&model) {
            return "the model's name has characters that no model's has: letters, digits, ., _, - and @ are; only the @ may be \
                    encoded, as %40"
                .to_owned();
        }
        let form = |model: &str| self.model_form(*publisher, model);
        if method.is_empty() {
            return format!("the method is missing behind the model: {}", form(&model));
        }
        let known = Call::names_of(*publisher);
        if let Some(name) = known.iter().find(|name| method.eq_ignore_ascii_case(name)) {
            if MEDIA.iter().any(|media| model.starts_with(media)) || *name == method && *name == "predict" {
                return format!(
                    "predict is answered of models that embed texts only, text-embedding-005 for example; {NO_POLICY}"
                );
            }
            if *name == method {
                return self.usual();
            }
            return format!(
                "methods have to be spelled as {name}: {}",
                form(&model).replace(method_of(*publisher), name)
            );
        }
        let others = Publisher::ALL.iter().filter(|other| *other != publisher);
        if others
            .flat_map(|other| Call::names_of(*other))
            .any(|name| name == method)
        {
            let count = match publisher {
                Publisher::Anthropic => {
                    "; tokens are counted at models/count-tokens:rawPredict, with the model in the body"
                }
                Publisher::Google => "",
            };
            return format!(
                "models of {} are not called by {method}: by {}{count}",
                publisher.name(),
                known.join(", ")
            );
        }
        format!(
            "{} is no call of a model that answers or embeds, and {NO_POLICY}",
            name_or_dots(method)
        )
    }

    /// The path of a call that would do.
    fn model_form(&self, publisher: Publisher, model: &str) -> String {
        let (prefix, publisher, method) = (self.prefix(), publisher.name(), method_of(publisher));
        format!("{prefix}/publishers/{publisher}/models/{model}:{method}")
    }

    fn openai_base(&self) -> String {
        format!("{}/endpoints/openapi", self.prefix())
    }

    fn prefix(&self) -> String {
        let region = self.rules.regions.first().map_or("REGION", |region| region.as_str());
        format!("/v1/projects/{}/locations/{region}", self.rules.project)
    }

    /// A path if all of it is plain, so that nothing else is repeated.
    fn shown(&self, parts: &[&str]) -> String {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/.:@_-".contains(&b);
        if self.path.len() <= 300 && self.path.bytes().all(plain) {
            self.path.to_owned()
        } else {
            format!("/{}/…", parts.first().copied().map_or("…", name_or_dots))
        }
    }

    fn usual(&self) -> String {
        format!(
            "only model calls are answered: POST {} (or streamRawPredict), and POST {} (or streamGenerateContent, countTokens)",
            self.model_form(Publisher::Anthropic, "MODEL"),
            self.model_form(Publisher::Google, "MODEL")
        )
    }
}

fn method_of(publisher: Publisher) -> &'static str {
    match publisher {
        Publisher::Anthropic => Call::RawPredict.as_str(),
        Publisher::Google => Call::GenerateContent.as_str(),
    }
}

/// Whose model a path names; of nobody's it is Anthropic's.
fn publisher_of(parts: &[&str]) -> Publisher {
    if parts.contains(&"google") {
        Publisher::Google
    } else {
        Publisher::Anthropic
    }
}

fn is_version(part: &str) -> bool {
    ["v1", "v1beta1", "v1beta", "v1alpha"].contains(&part)
}
