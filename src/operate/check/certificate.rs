//! The certificate that the webhook serves, beside what the API server is told to trust.

use super::webhooks::Configuration;
use crate::finding::{Finding, Object, Part};
use crate::problem::Problem;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use std::time::Duration;

/// Seconds before its end at which a certificate is called soon expired. The webhook renews its own a month before.
const SOON: i64 = 7 * DAY;

const DAY: i64 = 24 * 60 * 60;

/// Where the API server calls, and whom it believes there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Which configuration says so.
    pub object: Object,
    /// Of which of its webhooks.
    pub hooks: Vec<String>,
    /// The only authorities, PEM; empty: the API server's own.
    pub ca_bundle: Vec<u8>,
    /// Where.
    pub target: Target,
}

/// Where a webhook is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Behind a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Outside the cluster.
    Url {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Target {
    /// The name that the certificate must have.
    pub fn server_name(&self) -> String {
        match self {
            Self::Service { namespace, name } => format!("{name}.{namespace}.svc"),
            Self::Url { host, .. } => host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        }
    }
}

/// Everything that a configuration has called, each different one once.
pub fn called(configuration: &Configuration) -> Vec<Called> {
    let mut all: Vec<Called> = Vec::new();
    for hook in &configuration.hooks {
        let service = hook.client.service.as_ref().map(|service| Target::Service {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
        });
        let url = || {
            let url: http::Uri = hook.client.url.as_deref()?.parse().ok()?;
            Some(Target::Url {
                host: url.host()?.to_owned(),
                port: url.port_u16().unwrap_or(443),
            })
        };
        let Some(target) = service.or_else(url) else { continue };
        let ca_bundle = hook
            .client
            .ca_bundle
            .as_ref()
            .map(|bundle| bundle.0.clone())
            .unwrap_or_default();
        match all
            .iter_mut()
            .find(|known| known.target == target && known.ca_bundle == ca_bundle)
        {
            Some(known) => known.hooks.push(hook.name.clone()),
            None => all.push(Called {
                object: configuration.object.clone(),
                hooks: vec![hook.name.clone()],
                ca_bundle,
                target,
            }),
        }
    }
    all
}

/// Why a certificate is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Distrust {
    Issuer,
    Name,
    Time,
    Other(String),
}

/// What is wrong with a caBundle, whatever is served.
pub fn judge_bundle(called: &Called) -> Option<Finding> {
    let hooks: Vec<&str> = called.hooks.iter().map(String::as_str).collect();
    let hooks = super::some(&hooks);
    let (problem, text) = if called.ca_bundle.is_empty() {
        (Problem::CaBundleMissing, format!("has no caBundle ({hooks})"))
    } else if verifier(&called.ca_bundle).is_none() {
        (
            Problem::CaBundleUnreadable,
            format!("caBundle holds no certificate ({hooks})"),
        )
    } else {
        return None;
    };
    Some(Finding::of(problem, called.object.clone(), text))
}

/// Judges what was served: the chain, or why there is none. `from` says where it was asked for, `now` are seconds since 1970.
pub fn judge(called: &Called, from: &str, served: &Result<Vec<CertificateDer<'static>>, String>, now: i64) -> Finding {
    let hooks: Vec<&str> = called.hooks.iter().map(String::as_str).collect();
    let (object, hooks) = (called.object.clone(), super::some(&hooks));
    let chain = match served {
        Ok(chain) => chain,
        Err(why) => return Finding::of(Problem::WebhookUnreachable, object, format!("{from}: {why}")),
    };
    let name = called.target.server_name();
    let left = chain.first().and_then(not_after).map(|end| end - now);
    match trust(chain, &called.ca_bundle, &name, now) {
        Err(distrust) => {
            let (problem, why) = match distrust {
                Distrust::Issuer => {
                    let text = format!("what {from} serves is not signed by its caBundle ({hooks})");
                    (Problem::CertificateNotTrusted, text)
                }
                Distrust::Name => {
                    let text = format!("what {from} serves is not for {name}, by which it is called ({hooks})");
                    (Problem::CertificateNameDiffers, text)
                }
                Distrust::Time => (
                    Problem::CertificateExpired,
                    format!("what {from} serves has expired or is not valid yet ({hooks})"),
                ),
                Distrust::Other(why) => (Problem::CertificateNotTrusted, format!("{from}: {why} ({hooks})")),
            };
            Finding::of(problem, object, why)
        }
        Ok(()) => {
            let days = left.unwrap_or_default() / DAY;
            let text = format!(
                "trusts what {from} serves, for {}",
                super::count_i64(days, "day", "days")
            );
            if left.is_some_and(|left| left < SOON) {
                Finding::of(Problem::CertificateExpiresSoon, object, text)
            } else {
                Finding::fine(Part::Certificate, object, text)
            }
        }
    }
}

/// The check that the API server makes.
fn trust(chain: &[CertificateDer<'static>], ca_bundle: &[u8], name: &str, now: i64) -> Result<(), Distrust> {
    let other = |error: &dyn ToString| Distrust::Other(error.to_string());
    let verifier = verifier(ca_bundle).ok_or(Distrust::Issuer)?;
    let Some((leaf, intermediates)) = chain.split_first() else {
        return Err(Distrust::Other("serves no certificate".to_owned()));
    };
    let name = ServerName::try_from(name.to_owned()).map_err(|error| other(&error))?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now.try_into().unwrap_or_default()));
    match verifier.verify_server_cert(leaf, intermediates, &name, &[], time) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InvalidCertificate(error)) => Err(match error {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Distrust::Time,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Distrust::Name,
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Distrust::Issuer,
            error => other(&error),
        }),
        Err(error) => Err(other(&error)),
    }
}

/// Who believes the authorities of a bundle and nobody else; none without a certificate in it.
pub(crate) fn verifier(ca_bundle: &[u8]) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(ca_bundle);
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    let provider = Arc::new(aws_lc_rs::default_provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .ok()
}

/// When a certificate ends, in seconds since 1970.
fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}
