//! Access tokens and the sources that they come from.

mod access;
mod answer;
mod cache;
mod complaint;
mod exchange;
mod identity;
mod subject;
mod words;

pub use access::{AccessToken, Hop, TokenError};
pub use cache::{Supplier, Supply};
pub use complaint::{Complaint, Said};
pub use exchange::fetch;
pub use identity::{IdTokens, NoIdToken};
pub use subject::read as subject_token;

use std::time::Duration;
use vertex_injector_net::secret::Secret;

/// What the metadata server hands out.
#[derive(Debug, Clone)]
pub enum Tokens {
    /// Access tokens that Google accepts.
    Real(Supplier),
    /// A text that Google refuses: the proxy adds the token, but client libraries want one from somewhere.
    Placeholder,
}

/// What stands for a token; nothing in it looks like one.
pub const PLACEHOLDER: &str = "vertex-injector-placeholder";

/// How long clients may keep the placeholder.
const PLACEHOLDER_LIFE: Duration = Duration::from_hours(1);

impl Tokens {
    /// The current token or its placeholder.
    pub async fn get(&self) -> Supply {
        match self {
            Self::Real(supplier) => supplier.get().await,
            Self::Placeholder => Supply::Token(AccessToken::new(Secret::new(PLACEHOLDER), PLACEHOLDER_LIFE)),
        }
    }
}
