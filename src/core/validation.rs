//! What there is to say to the author of a policy: one answer, for the command line and for the API server, which asks
//! before it stores one.

use crate::admission::bounds;
use crate::admission::envelope::{self, Answer, Audit, BadReview, Denial};
use crate::admission::{Policy, PolicyObject};
use crate::api::{FieldError, FieldErrors};
use crate::manifest::policies;
use crate::names::GROUP;
use crate::operator::Operator;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::fmt::{self, Write};

/// Most bytes of a refusal. The API server passes on 4,400 characters, its own words included.
const MAX_MESSAGE: usize = 4000;

/// What is to say about one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What makes it unusable, field by field; empty when it works.
    pub errors: FieldErrors,
    /// Why no pod will ever reach it, if so.
    pub unreachable: Option<String>,
    /// What its author should know besides.
    pub notes: Vec<String>,
}

/// A review of a policy that was answered.
#[derive(Debug)]
pub struct PolicyReview {
    /// `request.uid`.
    pub uid: String,
    /// `request.namespace`; nothing for a cluster policy.
    pub namespace: String,
    /// `request.name`.
    pub name: String,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// How much is wrong with the policy.
    pub errors: usize,
    /// The response, an `admission.k8s.io/v1` AdmissionReview in JSON.
    pub response: Vec<u8>,
}

/// How the review of a policy ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It can be used.
    Accepted,
    /// It cannot, and is not stored.
    Refused,
    /// Nothing is written that anybody would use: a deletion, a status.
    Ignored,
}

impl Judgement {
    /// Of an object as the API server or a file gives it. Without `metadata.namespace` it is for `namespace`.
    pub fn of(object: &Value, namespace: &str, operator: &Operator) -> Self {
        match policies::policy(object, namespace) {
            Ok(policy) => Self::of_policy(&policy, operator),
            Err(errors) => {
                let policy = policies::typed_policy(object, namespace).ok();
                Self::of_misshapen(errors, policy.as_ref(), operator)
            }
        }
    }

    /// Of a policy that fits its schema.
    pub fn of_policy(object: &PolicyObject, operator: &Operator) -> Self {
        let policy = Policy::compile(object, operator);
        let mut notes = policy.notes().to_vec();
        if let PolicyObject::Cluster(object) = object
            && object.metadata.namespace.is_some()
        {
            notes.push("metadata.namespace is ignored: a ClusterInjectionPolicy belongs to no namespace".to_owned());
        }
        Self {
            errors: policy.errors().clone(),
            unreachable: policy.unreachable().map(str::to_owned),
            notes,
        }
    }

    /// Of an object that does not fit its schema, with what else is wrong where it can be read all the same.
    pub fn of_misshapen(mut errors: FieldErrors, object: Option<&PolicyObject>, operator: &Operator) -> Self {
        if let Some(object) = object {
            let mut known: BTreeSet<String> = errors.0.iter().map(|error| error.field.clone()).collect();
            let further = Self::of_policy(object, operator).errors.0.into_iter();
            errors
                .0
                .extend(further.filter(|error| known.insert(error.field.clone())));
        }
        Self {
            errors,
            unreachable: None,
            notes: Vec::new(),
        }
    }
}

/// Answers one AdmissionReview of a policy: refused with every error at once, or accepted with warnings.
///
/// # Errors
/// When the body is no AdmissionReview of `admission.k8s.io/v1` with a request and a uid.
pub fn review(body: &[u8], operator: &Operator) -> Result<PolicyReview, BadReview> {
    let request = envelope::read(body)?;
    let kinds = ["InjectionPolicy", "ClusterInjectionPolicy"];
    let object = request.object(GROUP, &kinds, &["CREATE", "UPDATE"]);
    let judgement = match object {
        Ok(None) => None,
        Ok(Some(object)) => Some(judge(object, &request.namespace, operator)),
        Err(problem) => Some(unreadable(problem)),
    };
    let (outcome, errors, warnings) = match judgement {
        None => (Outcome::Ignored, FieldErrors::default(), Vec::new()),
        Some(judgement) if judgement.errors.0.is_empty() => {
            let warnings = judgement.unreachable.into_iter().chain(judgement.notes).collect();
            (Outcome::Accepted, judgement.errors, warnings)
        }
        Some(judgement) => (Outcome::Refused, judgement.errors, Vec::new()),
    };
    let message = sentence(&errors.0);
    let answer = Answer {
        denial: (outcome == Outcome::Refused).then_some(Denial {
            code: 422,
            reason: "Invalid",
            message: &message,
        }),
        patch: &[],
        warnings: &warnings,
        audit: Audit {
            outcome: outcome.to_string(),
            ..Audit::default()
        },
    };
    Ok(PolicyReview {
        response: envelope::write(&request.uid, answer),
        name: request.name.as_deref().unwrap_or_default().to_owned(),
        uid: request.uid.to_string(),
        namespace: request.namespace.to_string(),
        dry_run: request.dry_run,
        outcome,
        errors: errors.0.len(),
    })
}

fn judge(object: &RawValue, namespace: &str, operator: &Operator) -> Judgement {
    if let Err(problem) = bounds::check_entries(object.get().as_bytes()) {
        return unreadable(problem);
    }
    match serde_json::from_str(object.get()) {
        Ok(object) => Judgement::of(&object, namespace, operator),
        Err(_) => unreadable("it is no JSON that can be read".to_owned()),
    }
}

fn unreadable(problem: String) -> Judgement {
    Judgement {
        errors: FieldErrors(vec![FieldError::new("object", problem)]),
        unreachable: None,
        notes: Vec::new(),
    }
}

/// As many errors as the API server passes on, and how many more there are.
fn sentence(errors: &[FieldError]) -> String {
    let mut text = String::new();
    for (i, error) in errors.iter().enumerate() {
        let next = format!("{}{error}", if i == 0 { "" } else { "; " });
        if text.len() + next.len() > MAX_MESSAGE {
            if i == 0 {
                text.push_str(next.get(..next.floor_char_boundary(MAX_MESSAGE)).unwrap_or_default());
                text.push('…');
                continue;
            }
            // Writing to a string cannot fail.
            let _ = write!(text, "; and {} more", errors.len() - i);
            break;
        }
        text.push_str(&next);
    }
    text
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Ignored => "ignored",
        })
    }
}
