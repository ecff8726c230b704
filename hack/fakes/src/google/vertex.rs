//! Vertex AI: calls of Anthropic's and of Google's models, judged as Google's front end and the models' own servers do.

mod anthropic;
mod call;
mod gemini;
mod pace;

pub(crate) use call::Location;
pub(crate) use pace::Pace;

use http::Method;
use serde_json::{Map, Value};

use self::call::{Call, Operation};
use super::Received;
use super::reply::{Answer, Refusal};
use super::tokens::{Grant, Tokens};
use crate::journal::{Record, shown};

/// The scope of model calls.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// What has no place beside `Authorization`: other credentials, and headers that change what a request means. Google would
/// ignore or follow some of them; nobody whom we test may send one.
const MISPLACED: [&str; 6] = [
    "x-goog-api-key",
    "x-goog-iam-authorization-token",
    "x-http-method-override",
    "cookie",
    "proxy-authorization",
    "metadata-flavor",
];

/// What an administrator would have set up, and how fast the models are.
#[derive(Debug)]
pub(crate) struct Vertex {
    /// The projects whose models may be called; empty for any.
    pub projects: Vec<String>,
    /// How answers are streamed.
    pub pace: Pace,
}

impl Vertex {
    /// Answers a request with a token of `tokens` to the host of `location`.
    ///
    /// # Errors
    ///
    /// Google's API errors; Anthropic's own for what is wrong with a body for its models.
    pub(crate) fn answer(
        &self,
        tokens: &Tokens,
        location: &Location,
        request: &Received,
        record: &mut Record,
    ) -> Result<Answer, Refusal> {
        let call = parse(request, record)?;
        authenticate(tokens, request, record)?;
        let headers = &request.parts.headers;
        // LiteLLM says its access token twice. Google does not mind; any other key would be one that went astray.
        let key_astray = headers
            .get("x-api-key")
            .is_some_and(|key| key.to_str().ok() != request.authorization("Bearer"));
        let misplaced = MISPLACED.into_iter().find(|name| headers.contains_key(*name));
        if let Some(name) = misplaced.or(key_astray.then_some("x-api-key")) {
            return Err(Refusal::invalid_argument(format!(
                "The header {name} has no place in a model call."
            )));
        }
        if call.location != location.name() {
            return Err(Refusal::invalid_argument(format!(
                "The location {} in the path does not match the location {} of the host.",
                shown(call.location),
                location.name()
            )));
        }
        if !self.projects.is_empty() && !self.projects.iter().any(|project| project == call.project) {
            return Err(Refusal::permission_denied(format!(
                "Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/{}' (or it may not exist).",
                shown(&call.resource())
            )));
        }
        self.generate(&call, request, record)
    }

    /// Answers a request from anybody, at any host.
    ///
    /// # Errors
    ///
    /// As [`Self::answer`], but for what concerns the token, the host and the project.
    pub(crate) fn answer_anybody(&self, request: &Received) -> Result<Answer, Refusal> {
        let mut record = Record::default();
        self.generate(&parse(request, &mut record)?, request, &mut record)
    }

    fn generate(&self, call: &Call<'_>, request: &Received, record: &mut Record) -> Result<Answer, Refusal> {
        query(call.operation, request.parts.uri.query())?;
        let body = json_object(request)?;
        if let Some(model) = body.get("model").and_then(Value::as_str) {
            record.parameters.insert("body_model".to_owned(), shown(model).into());
        }
        // About what a tokenizer makes of JSON; the same for the same request.
        let tokens = request.body.len() / 4;
        match call.operation {
            Operation::RawPredict | Operation::StreamRawPredict | Operation::AnthropicCountTokens => {
                anthropic::answer(call, &body, tokens, self.pace)
            }
            Operation::GenerateContent | Operation::StreamGenerateContent | Operation::GeminiCountTokens => {
                gemini::answer(call, &body, tokens, self.pace)
            }
        }
    }
}

fn parse<'a>(request: &'a Received, record: &mut Record) -> Result<Call<'a>, Refusal> {
    let call = Call::parse(request.parts.uri.path()).ok_or_else(Refusal::not_found)?;
    if request.parts.method != Method::POST {
        return Err(Refusal::not_found());
    }
    call.operation.name().clone_into(&mut record.operation);
    for (name, value) in [
        ("project", call.project),
        ("location", call.location),
        ("model", &call.model),
        ("query", request.parts.uri.query().unwrap_or_default()),
    ] {
        record.parameters.insert(name.to_owned(), shown(value).into());
    }
    Ok(call)
}

fn authenticate(tokens: &Tokens, request: &Received, record: &mut Record) -> Result<Grant, Refusal> {
    let token = request.authorization("Bearer").ok_or_else(|| {
        Refusal::unauthenticated(
            "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
        )
    })?;
    let grant = tokens.find(token).ok_or_else(|| {
        Refusal::unauthenticated(
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
        )
    })?;
    record.principal = Some(grant.principal.clone());
    if !grant.scopes.iter().any(|scope| scope == SCOPE) {
        return Err(Refusal::permission_denied(
            "Request had insufficient authentication scopes.",
        ));
    }
    Ok(grant)
}

fn query(operation: Operation, query: Option<&str>) -> Result<(), Refusal> {
    let allowed: &[Option<&str>] = match operation {
        // Anthropic's Python client keeps the mark of its beta methods.
        Operation::RawPredict | Operation::AnthropicCountTokens => &[None, Some("beta=true")],
        // LiteLLM asks for what it gets anyway.
        Operation::StreamRawPredict => &[None, Some("beta=true"), Some("alt=sse")],
        Operation::GenerateContent | Operation::GeminiCountTokens => &[None],
        // Without it Google streams one JSON array, which no client of ours reads.
        Operation::StreamGenerateContent => &[Some("alt=sse")],
    };
    if allowed.contains(&query) {
        Ok(())
    } else {
        let given = query.map_or_else(|| "missing".to_owned(), shown);
        Err(Refusal::invalid_argument(format!(
            "The query is {given}; {} takes another.",
            operation.name()
        )))
    }
}

fn json_object(request: &Received) -> Result<Map<String, Value>, Refusal> {
    request.require_json()?;
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Refusal::invalid_argument(
            "Invalid JSON payload received: not an object.",
        )),
        // The place only: the parser's own words may quote the body.
        Err(error) => Err(Refusal::invalid_argument(format!(
            "Invalid JSON payload received at line {}, column {}.",
            error.line(),
            error.column()
        ))),
    }
}

/// How tests ask for an answer.
#[cfg(test)]
mod asked {
    use std::time::Duration;

    use serde_json::{Map, Value};

    use super::{Answer, Call, Pace, Refusal};

    type Answering = fn(&Call<'_>, &Map<String, Value>, usize, Pace) -> Result<Answer, Refusal>;

    /// The answer to a body of seven tokens, in five pieces at once.
    pub(super) fn of(answering: Answering, path: &str, body: &Value) -> Result<Answer, String> {
        let pace = Pace {
            pause: Duration::ZERO,
            pieces: 5,
        };
        let answer = answering(&Call::parse(path).unwrap(), body.as_object().unwrap(), 7, pace);
        answer.map_err(|refusal| refusal.message().to_owned())
    }
}
