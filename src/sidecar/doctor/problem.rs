//! Every breakage that is known: on which hop, and what mends it. The reference is written from here.

use super::hop::Hop;
use serde::Serialize;
use strum::{EnumMessage, IntoStaticStr, VariantArray};

/// What can be wrong. The names are part of the interface: `-o json` carries them.
#[derive(EnumMessage, VariantArray, IntoStaticStr, Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Problem {
    /// The credential configuration is missing, or cannot be used.
    CredentialUnusable,
    /// The file of the identity token does not exist.
    TokenFileMissing,
    /// The file of the identity token may not be read, or holds none.
    TokenFileUnreadable,
    /// What is there is no JWT.
    TokenNotJwt,
    /// The identity token is for another audience than the provider's own name; the provider may know it by another.
    TokenAudienceUnusual,
    /// The identity token has expired: the kubelet did not renew it.
    TokenExpired,
    /// The URL that hands out identity tokens gives none.
    TokenUrlFails,
    /// The name of a host is not known here.
    NameUnknown,
    /// The HTTP proxy cannot be reached.
    ProxyUnreachable,
    /// The HTTP proxy lets nobody through to this host.
    ProxyRefuses,
    /// The HTTP proxy wants a user and a password (407).
    ProxyWantsUser,
    /// The host refuses connections.
    ConnectionRefused,
    /// The host does not answer.
    ConnectionFails,
    /// The certificate is signed by an authority that nobody here believes: mostly that of a proxy that opens TLS.
    AuthorityUntrusted,
    /// The certificate is for another host, or not valid now.
    CertificateInvalid,
    /// TLS does not come about.
    TlsFails,
    /// Our clock and the host's differ by more than five minutes.
    ClockWrong,
    /// The provider takes tokens of other audiences.
    AudienceRefused,
    /// The provider is for another issuer.
    IssuerRefused,
    /// Google cannot read the issuer's keys, or they are not those that signed the token.
    IssuerKeys,
    /// Google takes the token for expired, or for not valid yet.
    TokenRefused,
    /// The provider's attribute condition does not admit this ServiceAccount.
    AttributeCondition,
    /// The pool or the provider does not exist, or is disabled.
    ProviderUnknown,
    /// The token exchange was refused for another reason.
    ExchangeRefused,
    /// An API is not enabled in the project that is counted.
    ExchangeApiDisabled,
    /// The identity may not act as the service account, or there is none of that name.
    ImpersonationRole,
    /// The service account does not exist.
    AccountUnknown,
    /// The service account is disabled.
    AccountDisabled,
    /// The IAM Credentials API is not enabled.
    ImpersonationApiDisabled,
    /// The service account's token was refused for another reason.
    ImpersonationRefused,
    /// The key or the refresh token is refused.
    OAuthRefused,
    /// Nobody answers as a metadata server.
    MetadataAbsent,
    /// The metadata server has no token.
    MetadataRefused,
    /// No broker listens.
    BrokerAbsent,
    /// The broker does not let the call through: the policy does not allow it.
    BrokerRefuses,
    /// The broker has no token from Google.
    BrokerNoToken,
    /// The broker does not reach Vertex AI.
    BrokerCutOff,
    /// No model or no location is named, so none was called.
    NothingNamed,
    /// The Vertex AI API is not enabled.
    VertexApiDisabled,
    /// The identity may not call models of this project, or there is no such project.
    VertexRole,
    /// The model is not enabled in this project, or not offered in this location.
    ModelNotEnabled,
    /// There is no such location.
    RegionUnknown,
    /// Google's quota for the model is used up, or is none.
    QuotaExceeded,
    /// Calls are counted against a project in which the identity may not use services.
    QuotaProject,
    /// The project has no billing.
    BillingDisabled,
    /// A perimeter of VPC Service Controls or a policy of the organization refuses the call.
    ServiceControls,
    /// Vertex AI does not take the token.
    TokenRejected,
    /// Vertex AI refuses the call for another reason.
    VertexRefused,
    /// Vertex AI fails.
    VertexFails,
}

impl Problem {
    /// Its name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What it is.
    pub fn meaning(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }

    /// On which hop it is found.
    pub fn hop(self) -> Hop {
        match self {
            Self::CredentialUnusable => Hop::Configuration,
            Self::TokenFileMissing
            | Self::TokenFileUnreadable
            | Self::TokenNotJwt
            | Self::TokenAudienceUnusual
            | Self::TokenExpired
            | Self::TokenUrlFails => Hop::IdentityToken,
            Self::NameUnknown => Hop::Name,
            Self::ProxyUnreachable | Self::ProxyRefuses | Self::ProxyWantsUser => Hop::Proxy,
            Self::ConnectionRefused | Self::ConnectionFails => Hop::Connection,
            Self::AuthorityUntrusted | Self::CertificateInvalid | Self::TlsFails => Hop::Tls,
            Self::ClockWrong => Hop::Clock,
            Self::AudienceRefused
            | Self::IssuerRefused
            | Self::IssuerKeys
            | Self::TokenRefused
            | Self::AttributeCondition
            | Self::ProviderUnknown
            | Self::ExchangeRefused
            | Self::ExchangeApiDisabled => Hop::Exchange,
            Self::ImpersonationRole
            | Self::AccountUnknown
            | Self::AccountDisabled
            | Self::ImpersonationApiDisabled
            | Self::ImpersonationRefused => Hop::Impersonation,
            Self::OAuthRefused => Hop::OAuth,
            Self::MetadataAbsent | Self::MetadataRefused => Hop::Metadata,
            Self::BrokerAbsent | Self::BrokerRefuses | Self::BrokerNoToken | Self::BrokerCutOff => Hop::Broker,
            Self::NothingNamed
            | Self::VertexApiDisabled
            | Self::VertexRole
            | Self::ModelNotEnabled
            | Self::RegionUnknown
            | Self::QuotaExceeded
            | Self::QuotaProject
            | Self::BillingDisabled
            | Self::ServiceControls
            | Self::TokenRejected
            | Self::VertexRefused
            | Self::VertexFails => Hop::Vertex,
        }
    }
}
