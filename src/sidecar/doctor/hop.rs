//! The hops between a pod and a model, and how it is with one.

use serde::Serialize;
use strum::{EnumMessage, IntoStaticStr, VariantArray};

/// A hop, in the order in which they are gone. The names are part of the interface: `-o json` carries them.
#[derive(EnumMessage, VariantArray, IntoStaticStr, Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Hop {
    /// What this pod is told: its credential, project, location and model
    Configuration,
    /// The identity token that is exchanged: its file or URL, and what it says
    IdentityToken,
    /// The address of a host
    Name,
    /// The HTTP proxy on the way
    Proxy,
    /// A connection (TCP)
    Connection,
    /// The certificate that is shown, and who signed it
    Tls,
    /// Our clock beside that of the host
    Clock,
    /// The Security Token Service, which takes the identity token
    Exchange,
    /// The IAM Credentials API, where a service account is acted as
    Impersonation,
    /// Google's OAuth endpoint, which takes a key or a refresh token
    OAuth,
    /// The metadata server, of the broker or of the node
    Metadata,
    /// The broker's Vertex proxy
    Broker,
    /// Vertex AI: one call of the model, for one token of output
    Vertex,
}

impl Hop {
    /// Its name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What is looked at.
    pub fn meaning(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }
}

/// How it is with a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Fine,
    /// It works, and somebody should know.
    Warning,
    /// It is the first that does not work.
    Broken,
    /// One before it is broken.
    NotTried,
}

impl Level {
    /// The level of a sign.
    pub fn of_sign(sign: char) -> Option<Self> {
        let all = [Self::Fine, Self::Warning, Self::Broken, Self::NotTried];
        all.into_iter().find(|level| level.sign() == sign)
    }

    /// The sign that people are shown.
    pub fn sign(self) -> char {
        match self {
            Self::Fine => '✓',
            Self::Warning => '!',
            Self::Broken => '✗',
            Self::NotTried => '·',
        }
    }
}
