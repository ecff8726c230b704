//! A certificate authority of our own with one server certificate: how both are made, and when they are due.
//!
//! Pure but for the randomness of keys: callers give the time, in seconds since 1970.

use crate::tls::{Certificate, not_after};
use anyhow::{Context, anyhow, ensure};
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use x509_parser::prelude::GeneralName;

const DAY: i64 = 24 * 60 * 60;

/// Lifetime of the authority. Nobody but the API server trusts it, and only for this webhook.
const CA_LIFETIME: i64 = 3650 * DAY;

/// Lifetime of the server certificate. It is renewed when a third is left.
const LEAF_LIFETIME: i64 = 90 * DAY;

/// How far certificates reach back: the clocks of API servers are not exactly ours.
const BACKDATE: i64 = 60 * 60;

/// Most names that a renewed certificate takes over from the one before.
const MAX_NAMES: usize = 32;

/// Keys of the Secret.
const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const LEAF_CERTIFICATE: &str = "tls.crt";
const LEAF_KEY: &str = "tls.key";

/// The authority and the server certificate with their keys, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// Certificates that clients may trust; the first one signs.
    authorities: String,
    authority_key: String,
    leaf: String,
    leaf_key: String,
}

/// What has to be made anew, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// All is well.
    Nothing,
    /// The server certificate.
    Leaf(String),
    /// The authority, and with it everything.
    Authority(String),
}

impl Bundle {
    /// Makes an authority and a server certificate for `names`.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub(crate) fn make(names: &[ServerName<'static>], now: i64) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = params("vertex-injector certificate authority", now, CA_LIFETIME)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = params.self_signed(&key)?;
        Self {
            authorities: authority.pem(),
            authority_key: key.serialize_pem(),
            leaf: String::new(),
            leaf_key: String::new(),
        }
        .renew(names, now)
    }

    /// Makes a new server certificate under the same authority, for `names` and those of the present one: while two
    /// releases of the webhook run, each wants its own, and must not renew what the other has just renewed.
    ///
    /// # Errors
    /// When the authority cannot sign.
    pub(crate) fn renew(&self, names: &[ServerName<'static>], now: i64) -> anyhow::Result<Self> {
        let signer = self.signer()?;
        let issuer = Issuer::from_ca_cert_der(&signer, KeyPair::from_pem(&self.authority_key)?)?;
        let mut covered: BTreeSet<String> = names.iter().map(|name| name.to_str().into_owned()).collect();
        covered.extend(self.names().into_iter().take(MAX_NAMES.saturating_sub(covered.len())));
        let key = KeyPair::generate()?;
        let lifetime = LEAF_LIFETIME.min(not_after(&signer)? - now);
        let mut params = params("vertex-injector webhook", now, lifetime)?;
        params.subject_alt_names = CertificateParams::new(Vec::from_iter(covered))?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(Self {
            leaf: params.signed_by(&key, &issuer)?.pem(),
            leaf_key: key.serialize_pem(),
            ..self.clone()
        })
    }

    /// What has to be made anew so that clients who look for any of `names` go on trusting us.
    pub(crate) fn due(&self, names: &[ServerName<'static>], now: i64) -> Due {
        match self.authority_left(now) {
            Ok(left) if left > LEAF_LIFETIME => {}
            Ok(_) => return Due::Authority("the authority expires soon".to_owned()),
            Err(error) => return Due::Authority(format!("{error:#}")),
        }
        match self.check_leaf(names, now) {
            Ok(()) => Due::Nothing,
            Err(error) => Due::Leaf(format!("{error:#}")),
        }
    }

    /// The server certificate; `source` says in errors where it comes from.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(crate) fn certificate(&self, source: &str) -> anyhow::Result<Certificate> {
        let [chain, key] = [LEAF_CERTIFICATE, LEAF_KEY].map(|part| format!("{part} of {source}"));
        Certificate::from_pem(self.leaf.as_bytes(), self.leaf_key.as_bytes(), &chain, &key)
    }

    /// What clients must trust: a `caBundle`.
    pub(crate) fn ca_bundle(&self) -> &[u8] {
        self.authorities.as_bytes()
    }

    /// The data of a Secret.
    pub(crate) fn to_data(&self) -> BTreeMap<String, ByteString> {
        let parts = [
            (CA_CERTIFICATE, &self.authorities),
            (CA_KEY, &self.authority_key),
            (LEAF_CERTIFICATE, &self.leaf),
            (LEAF_KEY, &self.leaf_key),
        ];
        parts
            .map(|(key, pem)| (key.to_owned(), ByteString(pem.clone().into_bytes())))
            .into()
    }

    /// Reads the data of a Secret; none when it is empty.
    ///
    /// # Errors
    /// When there is something that we did not make: it must not be overwritten.
    pub(crate) fn from_data(data: &BTreeMap<String, ByteString>) -> anyhow::Result<Option<Self>> {
        if data.values().all(|value| value.0.is_empty()) {
            return Ok(None);
        }
        let part = |key: &str| {
            let value = data.get(key).filter(|value| !value.0.is_empty());
            let value =
                value.with_context(|| format!("it has data but no {key}, so vertex-injector did not make it"))?;
            String::from_utf8(value.0.clone()).map_err(|_| anyhow!("{key} is no PEM text"))
        };
        Ok(Some(Self {
            authorities: part(CA_CERTIFICATE)?,
            authority_key: part(CA_KEY)?,
            leaf: part(LEAF_CERTIFICATE)?,
            leaf_key: part(LEAF_KEY)?,
        }))
    }

    fn signer(&self) -> anyhow::Result<CertificateDer<'static>> {
        CertificateDer::from_pem_slice(self.authorities.as_bytes())
            .map_err(|_| anyhow!("{CA_CERTIFICATE} holds no certificate"))
    }

    /// How many seconds the authority is good for.
    fn authority_left(&self, now: i64) -> anyhow::Result<i64> {
        // The same check as for a server certificate: both can be read, and belong together.
        let ca = Certificate::from_pem(
            self.authorities.as_bytes(),
            self.authority_key.as_bytes(),
            CA_CERTIFICATE,
            CA_KEY,
        )?;
        Ok(ca.not_after - now)
    }

    /// The check that clients make, and ours.
    fn check_leaf(&self, names: &[ServerName<'static>], now: i64) -> anyhow::Result<()> {
        self.certificate("the Secret")?;
        let leaf = CertificateDer::from_pem_slice(self.leaf.as_bytes())?;
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(self.authorities.as_bytes()) {
            roots.add(root?)?;
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(now.try_into()?));
        for name in names {
            verifier
                .verify_server_cert(&leaf, &[], name, &[], time)
                .map_err(|error| anyhow!("the certificate is not valid for {}: {error}", name.to_str()))?;
        }
        ensure!(
            not_after(&leaf)? - now > LEAF_LIFETIME / 3,
            "the certificate expires soon"
        );
        Ok(())
    }

    /// The names of the present certificate, as far as they can be read.
    fn names(&self) -> Vec<String> {
        let Ok(leaf) = CertificateDer::from_pem_slice(self.leaf.as_bytes()) else {
            return Vec::new();
        };
        let Ok((_, leaf)) = x509_parser::parse_x509_certificate(&leaf) else {
            return Vec::new();
        };
        let Ok(Some(names)) = leaf.subject_alternative_name() else {
            return Vec::new();
        };
        let names = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(address) => match *address {
                [a, b, c, d] => Some(IpAddr::from([*a, *b, *c, *d]).to_string()),
                address => <[u8; 16]>::try_from(address)
                    .ok()
                    .map(|address| IpAddr::from(address).to_string()),
            },
            _ => None,
        });
        names.collect()
    }
}

fn params(name: &str, now: i64, lifetime: i64) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    // Two authorities must differ in name, or a client may look for a signature of the wrong one.
    params
        .distinguished_name
        .push(DnType::CommonName, format!("{name} {now}"));
    params.not_before = OffsetDateTime::from_unix_timestamp(now - BACKDATE)?;
    params.not_after = OffsetDateTime::from_unix_timestamp(now + lifetime)?;
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn names(names: &[&'static str]) -> Vec<ServerName<'static>> {
        names.iter().map(|name| ServerName::try_from(*name).unwrap()).collect()
    }

    #[test]
    fn a_new_bundle_is_good_for_its_names_and_survives_the_secret() {
        let names = names(&["vertex-injector.system.svc", "127.0.0.1"]);
        let bundle = Bundle::make(&names, NOW).unwrap();
        assert_eq!(bundle.due(&names, NOW), Due::Nothing);
        let read = Bundle::from_data(&bundle.to_data()).unwrap().unwrap();
        assert!(read == bundle);
        assert_eq!(read.certificate("the Secret").unwrap().not_after, NOW + LEAF_LIFETIME);
    }

    #[test]
    fn the_certificate_is_due_when_a_third_of_its_lifetime_is_left() {
        let names = names(&["a.svc"]);
        let bundle = Bundle::make(&names, NOW).unwrap();
        assert_eq!(bundle.due(&names, NOW + 59 * DAY), Due::Nothing);
        assert_eq!(
            bundle.due(&names, NOW + 61 * DAY),
            Due::Leaf("the certificate expires soon".to_owned())
        );
        assert!(matches!(bundle.due(&names, NOW + 91 * DAY), Due::Leaf(why) if why.contains("expired")));
    }

    #[test]
    fn a_renewed_certificate_keeps_the_authority_and_the_names_of_the_one_before() {
        let (old, new) = (names(&["a.svc", "::1"]), names(&["b.svc"]));
        let bundle = Bundle::make(&old, NOW).unwrap();
        assert!(matches!(bundle.due(&new, NOW), Due::Leaf(why) if why.contains("b.svc")));
        let renewed = bundle.renew(&new, NOW).unwrap();
        assert_eq!(renewed.ca_bundle(), bundle.ca_bundle());
        assert_eq!(renewed.due(&[old, new].concat(), NOW), Due::Nothing);
    }

    #[test]
    fn the_authority_is_due_before_it_cannot_cover_a_certificate() {
        let names = names(&["a.svc"]);
        let bundle = Bundle::make(&names, NOW).unwrap();
        let late = NOW + CA_LIFETIME - LEAF_LIFETIME + 1;
        assert_eq!(
            bundle.due(&names, late),
            Due::Authority("the authority expires soon".to_owned())
        );
    }

    #[test]
    fn parts_that_do_not_belong_together_are_due() {
        let names = names(&["a.svc"]);
        let (one, other) = (Bundle::make(&names, NOW).unwrap(), Bundle::make(&names, NOW).unwrap());
        let mixed = Bundle {
            leaf: other.leaf.clone(),
            leaf_key: other.leaf_key.clone(),
            ..one.clone()
        };
        assert!(
            matches!(mixed.due(&names, NOW), Due::Leaf(_)),
            "a certificate of another authority"
        );
        let mixed = Bundle {
            leaf_key: other.leaf_key.clone(),
            ..one.clone()
        };
        assert!(matches!(mixed.due(&names, NOW), Due::Leaf(why) if why.contains("tls.key")));
        let mixed = Bundle {
            authority_key: other.authority_key,
            ..one.clone()
        };
        assert!(matches!(mixed.due(&names, NOW), Due::Authority(why) if why.contains("ca.key")));
        let broken = Bundle {
            authorities: "nothing".to_owned(),
            ..one
        };
        assert!(matches!(broken.due(&names, NOW), Due::Authority(_)));
    }

    #[test]
    fn a_secret_that_somebody_else_filled_is_not_ours() {
        let mut data = Bundle::make(&names(&["a.svc"]), NOW).unwrap().to_data();
        data.remove(CA_KEY);
        let error = Bundle::from_data(&data).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("no ca.key"), "{error}");
        assert!(Bundle::from_data(&BTreeMap::new()).unwrap().is_none());
    }
}
