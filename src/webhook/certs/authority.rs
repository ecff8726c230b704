//! Authorities and server certificates: how they are made, and how two Secrets hold them.
//!
//! Pure but for the randomness of keys: callers give the time, in seconds since 1970.

use super::decision::{self, Lifetimes};
use crate::tls::{self, not_after};
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
use vertex_injector_net::trust;
use x509_parser::prelude::GeneralName;

/// The beginning of an authority's name, by which we know our own.
const AUTHORITY_NAME: &str = "vertex-injector certificate authority";

/// Since when certificates are good: 2000. A clock that jumps back, or is behind ours, must not find them too young.
const NOT_BEFORE: i64 = 946_684_800;

/// Most names that a renewed certificate takes over from the one before.
const MAX_NAMES: usize = 32;

/// Keys of the Secrets.
const AUTHORITIES: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";
const CERTIFICATE: &str = "tls.crt";
const CERTIFICATE_KEY: &str = "tls.key";

/// An authority is known by its certificate.
pub(crate) type Id = CertificateDer<'static>;

/// What the Secret of authorities holds.
pub(crate) struct Authorities {
    /// The newest first.
    all: Vec<Id>,
    /// The newest one's, as PEM.
    key: String,
}

/// What the serving Secret holds: a certificate with its key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    certificate: String,
    key: String,
    /// All that were trusted when it was signed.
    authorities: Vec<Id>,
}

impl Authorities {
    /// Makes a new one.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub(crate) fn make(keep: Vec<Id>, now: i64, lifetimes: Lifetimes) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = params(AUTHORITY_NAME, &key, now, now + lifetimes.authority)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let newest = params.self_signed(&key)?;
        Ok(Self {
            all: [vec![newest.der().clone()], keep].concat(),
            key: key.serialize_pem(),
        })
    }

    /// The same key, and others that are trusted.
    pub(crate) fn trusting(&self, all: Vec<Id>) -> Self {
        Self {
            all,
            key: self.key.clone(),
        }
    }

    /// Signs a server certificate for `names` and those of the present one: while two releases of the webhook run, each wants its
    /// own, and must not renew what the other has just renewed.
    ///
    /// # Errors
    /// When the authority cannot sign.
    pub(crate) fn sign(
        &self,
        names: &[ServerName<'static>],
        before: Option<&Pair>,
        now: i64,
        lifetimes: Lifetimes,
    ) -> anyhow::Result<Pair> {
        let newest = self.all.first().context("there is no authority")?;
        let issuer = Issuer::from_ca_cert_der(newest, KeyPair::from_pem(&self.key)?)?;
        let mut covered: BTreeSet<String> = names.iter().map(|name| name.to_str().into_owned()).collect();
        let more = before.map(Pair::names).unwrap_or_default();
        covered.extend(more.into_iter().take(MAX_NAMES.saturating_sub(covered.len())));
        let key = KeyPair::generate()?;
        let end = not_after(newest)?.min(now + lifetimes.certificate);
        let mut params = params("vertex-injector webhook", &key, now, end)?;
        params.subject_alt_names = CertificateParams::new(Vec::from_iter(covered))?.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(Pair {
            certificate: params.signed_by(&key, &issuer)?.pem(),
            key: key.serialize_pem(),
            authorities: self.all.clone(),
        })
    }

    /// The authorities as PEM: a `caBundle`.
    pub(crate) fn pem(&self) -> String {
        trust::pem(&self.all)
    }

    /// The same, by what identifies them.
    pub(crate) fn ids(&self) -> &[Id] {
        &self.all
    }

    /// For the decision.
    pub(crate) fn facts(&self) -> Vec<decision::Authority<Id>> {
        self.all.iter().filter_map(|id| facts(id).ok()).collect()
    }

    /// Whether the newest one's key is there.
    pub(crate) fn can_sign(&self) -> bool {
        let pem = self.all.first().map(|newest| trust::pem([newest])).unwrap_or_default();
        tls::Certificate::from_pem(pem.as_bytes(), self.key.as_bytes(), AUTHORITIES, AUTHORITY_KEY).is_ok()
    }

    /// The data of a Secret.
    pub(crate) fn to_data(&self) -> BTreeMap<String, ByteString> {
        data([(AUTHORITIES, self.pem()), (AUTHORITY_KEY, self.key.clone())])
    }

    /// Reads the data of a Secret; none when it is empty.
    ///
    /// # Errors
    /// When there is something that we did not make: it must not be overwritten.
    pub(crate) fn from_data(data: &BTreeMap<String, ByteString>) -> anyhow::Result<Option<Self>> {
        if is_empty(data) {
            return Ok(None);
        }
        Ok(Some(Self {
            all: ours(&part(data, AUTHORITIES)?)?,
            key: part(data, AUTHORITY_KEY)?,
        }))
    }
}

impl Pair {
    /// What is served; `source` says in errors where it comes from.
    ///
    /// # Errors
    /// When it cannot be used.
    pub(crate) fn certificate(&self, source: &str) -> anyhow::Result<tls::Certificate> {
        let [chain, key] = [CERTIFICATE, CERTIFICATE_KEY].map(|part| format!("{part} of {source}"));
        tls::Certificate::from_pem(self.certificate.as_bytes(), self.key.as_bytes(), &chain, &key)
    }

    /// For the decision; none when it is of no use.
    pub(crate) fn facts(&self, names: &[ServerName<'static>]) -> Option<decision::Certificate<Id>> {
        let not_after = self.certificate("the Secret").ok()?.not_after;
        let leaf = CertificateDer::from_pem_slice(self.certificate.as_bytes()).ok()?;
        let own = self
            .names()
            .first()
            .cloned()
            .and_then(|name| ServerName::try_from(name).ok())?;
        // Whether it is too old is another question.
        let time = UnixTime::since_unix_epoch(Duration::from_secs((not_after - 1).try_into().ok()?));
        let verifies = |authority: &Id, name: &ServerName<'_>| {
            verifier(authority).is_ok_and(|verifier| verifier.verify_server_cert(&leaf, &[], name, &[], time).is_ok())
        };
        let authority = self.authorities.iter().find(|authority| verifies(authority, &own))?;
        Some(decision::Certificate {
            fits: names.iter().all(|name| verifies(authority, name)),
            authority: facts(authority).ok()?,
            not_after,
        })
    }

    /// All authorities that were trusted when it was signed.
    pub(crate) fn authorities(&self) -> Vec<Id> {
        self.authorities.clone()
    }

    /// The data of a Secret.
    pub(crate) fn to_data(&self) -> BTreeMap<String, ByteString> {
        data([
            (AUTHORITIES, trust::pem(&self.authorities)),
            (CERTIFICATE, self.certificate.clone()),
            (CERTIFICATE_KEY, self.key.clone()),
        ])
    }

    /// Reads the data of a Secret; none when it is empty.
    ///
    /// # Errors
    /// When there is something that we did not make: it must not be overwritten.
    pub(crate) fn from_data(data: &BTreeMap<String, ByteString>) -> anyhow::Result<Option<Self>> {
        if is_empty(data) {
            return Ok(None);
        }
        Ok(Some(Self {
            authorities: ours(&part(data, AUTHORITIES)?)?,
            certificate: part(data, CERTIFICATE)?,
            key: part(data, CERTIFICATE_KEY)?,
        }))
    }

    /// The names of the certificate, as far as they can be read.
    fn names(&self) -> Vec<String> {
        let Ok(leaf) = CertificateDer::from_pem_slice(self.certificate.as_bytes()) else {
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

/// The certificates of a `caBundle`; nothing when it is none.
pub(crate) fn read_bundle(pem: &[u8]) -> Vec<Id> {
    let all: Result<_, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.unwrap_or_default()
}

fn facts(id: &Id) -> anyhow::Result<decision::Authority<Id>> {
    Ok(decision::Authority {
        not_after: not_after(id)?,
        id: id.clone(),
    })
}

/// The check that clients make which trust this authority alone.
fn verifier(authority: &Id) -> anyhow::Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    Ok(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?)
}

fn is_empty(data: &BTreeMap<String, ByteString>) -> bool {
    data.values().all(|value| value.0.is_empty())
}

fn part(data: &BTreeMap<String, ByteString>, key: &str) -> anyhow::Result<String> {
    let value = data.get(key).filter(|value| !value.0.is_empty());
    let value = value.with_context(|| format!("it has data but no {key}, so vertex-injector did not make it"))?;
    String::from_utf8(value.0.clone()).map_err(|_| anyhow!("{key} is no PEM text"))
}

/// What can be read of it; an authority that is not ours is an error.
fn ours(pem: &str) -> anyhow::Result<Vec<Id>> {
    let all: Vec<Id> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .filter_map(Result::ok)
        .collect();
    for id in &all {
        let ours = x509_parser::parse_x509_certificate(id).is_ok_and(|(_, authority)| {
            let mut names = authority.subject().iter_common_name();
            names.any(|name| name.as_str().is_ok_and(|name| name.starts_with(AUTHORITY_NAME)))
        });
        ensure!(ours, "its {AUTHORITIES} is not of vertex-injector");
    }
    Ok(all)
}

fn data<const N: usize>(parts: [(&str, String); N]) -> BTreeMap<String, ByteString> {
    parts
        .map(|(key, pem)| (key.to_owned(), ByteString(pem.into_bytes())))
        .into()
}

fn params(name: &str, key: &KeyPair, now: i64, end: i64) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    // Two authorities must differ in name, or a client may look for a signature of the wrong one.
    let mark = key
        .public_key_raw()
        .iter()
        .rev()
        .take(4)
        .map(|byte| format!("{byte:02x}"));
    let name = format!("{name} {}", mark.collect::<String>());
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = OffsetDateTime::from_unix_timestamp(NOT_BEFORE.min(now))?;
    params.not_after = OffsetDateTime::from_unix_timestamp(end)?;
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const LIFETIMES: Lifetimes = Lifetimes {
        authority: 1_000,
        certificate: 100,
    };

    fn names(names: &[&'static str]) -> Vec<ServerName<'static>> {
        names.iter().map(|name| ServerName::try_from(*name).unwrap()).collect()
    }

    fn authorities() -> Authorities {
        Authorities::make(Vec::new(), NOW, LIFETIMES).unwrap()
    }

    #[test]
    fn what_is_signed_is_good_for_its_names_and_survives_the_secrets() {
        let names = names(&["vertex-injector.system.svc", "127.0.0.1"]);
        let made = authorities();
        let made = Authorities::from_data(&made.to_data()).unwrap().unwrap();
        assert!(made.can_sign());
        let pair = made.sign(&names, None, NOW, LIFETIMES).unwrap();
        let read = Pair::from_data(&pair.to_data()).unwrap().unwrap();
        assert!(read == pair);
        let facts = read.facts(&names).unwrap();
        assert_eq!((facts.fits, facts.not_after), (true, NOW + 100));
        assert_eq!(facts.authority, made.facts()[0]);
        assert_eq!(facts.authority.not_after, NOW + 1_000);
        assert!(!pair.to_data().contains_key(AUTHORITY_KEY), "who reads it could sign");
    }

    #[test]
    fn no_certificate_outlives_its_authority_and_none_is_too_young() {
        let names = names(&["a.svc"]);
        let pair = authorities().sign(&names, None, NOW + 950, LIFETIMES).unwrap();
        assert_eq!(pair.facts(&names).unwrap().not_after, NOW + 1_000);
        let leaf = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let (_, leaf) = x509_parser::parse_x509_certificate(&leaf).unwrap();
        assert_eq!(leaf.validity().not_before.timestamp(), NOT_BEFORE);
    }

    #[test]
    fn a_renewed_certificate_keeps_the_names_of_the_one_before() {
        let (old, new) = (names(&["a.svc", "::1"]), names(&["b.svc"]));
        let made = authorities();
        let before = made.sign(&old, None, NOW, LIFETIMES).unwrap();
        assert!(!before.facts(&new).unwrap().fits);
        let after = made.sign(&new, Some(&before), NOW, LIFETIMES).unwrap();
        assert!(after.facts(&[old, new].concat()).unwrap().fits);
    }

    #[test]
    fn parts_that_do_not_belong_together_are_of_no_use() {
        let names = names(&["a.svc"]);
        let (one, other) = (authorities(), authorities());
        let of = |made: &Authorities| made.sign(&names, None, NOW, LIFETIMES).unwrap();
        let mixed = Pair {
            key: of(&other).key,
            ..of(&one)
        };
        assert!(mixed.facts(&names).is_none(), "another key");
        let mixed = Pair {
            authorities: other.ids().to_vec(),
            ..of(&one)
        };
        assert!(mixed.facts(&names).is_none(), "another authority");
        let mixed = Authorities {
            key: other.key,
            all: one.all.clone(),
        };
        assert!(!mixed.can_sign());
    }

    #[test]
    fn a_secret_that_somebody_else_filled_is_not_ours() {
        let names = names(&["a.svc"]);
        let refused = |data: &BTreeMap<String, ByteString>| Pair::from_data(data).map(|_| ()).unwrap_err().to_string();
        let mut data = authorities().sign(&names, None, NOW, LIFETIMES).unwrap().to_data();
        let foreign = rcgen::generate_simple_self_signed(vec!["a.svc".to_owned()]).unwrap();
        data.insert(AUTHORITIES.to_owned(), ByteString(foreign.cert.pem().into_bytes()));
        assert_eq!(refused(&data), "its ca.crt is not of vertex-injector");
        data.remove(AUTHORITIES);
        assert!(refused(&data).contains("no ca.crt"));
        assert!(Pair::from_data(&BTreeMap::new()).unwrap().is_none());
    }
}
