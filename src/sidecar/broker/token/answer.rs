//! What counts as an answer of a token service.

use super::complaint::Complaint;
use super::{Hop, TokenError};
use vertex_injector_net::secret::Secret;
use vertex_injector_net::upstream::{Answer, Unanswered};

/// A successful answer. 4xx other than 408 and 429 is a refusal; everything else may pass. `sent` as with [`Complaint::of`].
pub(super) fn answered(hop: Hop, answer: Result<Answer, Unanswered>, sent: &[&Secret]) -> Result<Answer, TokenError> {
    let answer = answer.map_err(|error| TokenError::passing(hop, error.to_string()))?;
    let Some(Complaint { said, words }) = Complaint::of(&answer, sent) else {
        return Ok(answer);
    };
    let refused = answer.status.is_client_error() && !matches!(said.status, 408 | 429);
    let error = if refused {
        TokenError::refused(hop, words)
    } else {
        TokenError::passing(hop, words)
    };
    Err(TokenError {
        said: Some(said),
        ..error
    })
}
