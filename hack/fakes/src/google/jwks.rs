//! Where the keys of the cluster's ServiceAccount issuer come from.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use http::header::{ACCEPT, AUTHORIZATION};
use hyper::body::Bytes;
use jsonwebtoken::jwk::JwkSet;
use rustls::ClientConfig;
use url::Url;

use crate::client::{LARGEST, send, trusting};

/// How long a fetch may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A file or a URL. Asked anew at each exchange, because clusters rotate their keys.
#[derive(Debug)]
pub(crate) enum KeySource {
    /// A file that holds the key set.
    File(PathBuf),
    /// The cluster's own endpoint.
    Url(Box<Endpoint>),
}

/// An HTTP endpoint that serves a key set.
#[derive(Debug)]
pub(crate) struct Endpoint {
    url: Url,
    tls: Option<Arc<ClientConfig>>,
    bearer_file: Option<PathBuf>,
}

impl KeySource {
    /// Keys from `url`, whose certificate comes from the CA in `ca_file`.
    ///
    /// # Errors
    ///
    /// When the URL is neither http nor https, or https without a usable CA.
    pub(crate) fn url(url: Url, ca_file: Option<&Path>, bearer_file: Option<PathBuf>) -> anyhow::Result<Self> {
        let tls = match (url.scheme(), ca_file) {
            ("http", None) => None,
            ("http", Some(_)) => bail!("--jwks-ca-file: only of use with an https --jwks-url"),
            ("https", Some(path)) => Some(trusting(path)?),
            ("https", None) => bail!("an https --jwks-url needs --jwks-ca-file"),
            (scheme, _) => bail!("--jwks-url: {scheme} is not supported; give http or https"),
        };
        Ok(Self::Url(Box::new(Endpoint { url, tls, bearer_file })))
    }

    /// The keys as they are now.
    ///
    /// # Errors
    ///
    /// When they cannot be read, are too large or are not a JSON Web Key Set.
    pub(crate) async fn fetch(&self) -> anyhow::Result<JwkSet> {
        let bytes = match self {
            Self::File(path) => read(path)?,
            Self::Url(endpoint) => endpoint
                .fetch()
                .await
                .with_context(|| format!("cannot fetch the keys from {}", endpoint.url))?,
        };
        serde_json::from_slice(&bytes).context("the keys are not a JSON Web Key Set")
    }
}

impl Endpoint {
    async fn fetch(&self) -> anyhow::Result<Vec<u8>> {
        let mut request = http::Request::builder().header(ACCEPT, "application/json, application/jwk-set+json");
        if let Some(path) = &self.bearer_file {
            let token = String::from_utf8(read(path)?).context("the bearer token is not text")?;
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.trim()));
        }
        let answer = send(&self.url, self.tls.as_ref(), request.body(Bytes::new())?, PATIENCE).await?;
        if !answer.status.is_success() {
            bail!("answered {}", answer.status);
        }
        Ok(answer.body.to_vec())
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let limit = u64::try_from(LARGEST).unwrap_or(u64::MAX);
    let length = file
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    if length > LARGEST {
        bail!("{}: larger than {LARGEST} bytes", path.display());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use http::HeaderMap;
    use http::header::AUTHORIZATION;
    use tokio::net::TcpListener;
    use url::Url;

    use super::KeySource;

    const KEYS: &str = r#"{"keys":[{"use":"sig","kty":"EC","kid":"one","crv":"P-256","alg":"ES256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#;

    async fn serving(router: Router) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Url::parse(&format!("http://{address}/openid/v1/jwks")).unwrap()
    }

    #[tokio::test]
    async fn keys_come_from_a_url_with_the_bearer_token_of_a_file() {
        let url = serving(Router::new().route(
            "/openid/v1/jwks",
            get(|headers: HeaderMap| async move {
                assert_eq!(headers.get(AUTHORIZATION).unwrap(), "Bearer of-a-file");
                KEYS
            }),
        ))
        .await;
        let file = std::env::temp_dir().join(format!("bearer-{}", std::process::id()));
        std::fs::write(&file, "of-a-file\n").unwrap();
        let source = KeySource::url(url, None, Some(file.clone())).unwrap();
        let keys = source.fetch().await;
        std::fs::remove_file(&file).unwrap();
        assert!(keys.unwrap().find("one").is_some());
    }

    #[tokio::test]
    async fn a_url_that_answers_with_an_error_gives_no_keys() {
        let url = serving(Router::new()).await;
        let error = KeySource::url(url, None, None).unwrap().fetch().await;
        assert!(format!("{:#}", error.unwrap_err()).contains("answered 404"));
    }

    #[tokio::test]
    async fn a_url_that_answers_too_much_gives_no_keys() {
        let url =
            serving(Router::new().route("/openid/v1/jwks", get(|| async { " ".repeat(super::LARGEST + 1) }))).await;
        let error = KeySource::url(url, None, None).unwrap().fetch().await;
        assert!(format!("{:#}", error.unwrap_err()).contains("length limit exceeded"));
    }

    /// The fake Google itself, which answers over TLS and has no keys; and its directory.
    async fn serving_tls(name: &str) -> (Url, PathBuf) {
        let directory = std::env::temp_dir().join(format!("jwks-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let tls = crate::certificate::for_google(&directory).unwrap();
        let trust = super::super::Trust {
            issuer: String::new(),
            provider: String::new(),
            allowed_audiences: Vec::new(),
            service_accounts: Vec::new(),
            max_lifetime_seconds: 1,
            federated_lifetime_seconds: 1,
        };
        let journal = crate::journal::Journal::create(&directory.join("journal")).unwrap();
        let keys = KeySource::File(PathBuf::from("/dev/null"));
        let vertex = super::super::vertex::Vertex {
            projects: Vec::new(),
            pace: super::super::vertex::Pace {
                pause: Duration::ZERO,
                pieces: 1,
            },
        };
        let google = Arc::new(crate::google::Google::new(
            trust,
            keys,
            super::super::oauth::Known::default(),
            vertex,
            journal,
        ));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = crate::server::google(google);
        tokio::spawn(crate::server::run(listener, Some(tls), router, 16));
        let url = Url::parse(&format!("https://{address}/openid/v1/jwks")).unwrap();
        (url, directory)
    }

    #[tokio::test]
    async fn an_https_url_is_asked_only_when_its_ca_is_the_given_one() {
        let (url, directory) = serving_tls("right").await;
        let (_, other) = serving_tls("wrong").await;
        let mut answers = Vec::new();
        for ca in [&directory, &other] {
            let source = KeySource::url(url.clone(), Some(&ca.join("ca.crt")), None).unwrap();
            answers.push(format!("{:#}", source.fetch().await.unwrap_err()));
        }
        for directory in [directory, other] {
            std::fs::remove_dir_all(directory).unwrap();
        }
        assert!(answers[0].contains("answered 404"), "{}", answers[0]);
        assert!(answers[1].contains("the TLS handshake failed"), "{}", answers[1]);
    }

    #[test]
    fn an_https_url_without_a_ca_is_refused() {
        let url = Url::parse("https://127.0.0.1/openid/v1/jwks").unwrap();
        let error = KeySource::url(url, None, None).unwrap_err();
        assert_eq!(error.to_string(), "an https --jwks-url needs --jwks-ca-file");
    }

    #[tokio::test]
    async fn a_file_that_holds_no_key_set_is_named_as_such() {
        let source = KeySource::File(PathBuf::from("/dev/null"));
        let error = source.fetch().await.unwrap_err();
        assert!(format!("{error:#}").contains("not a JSON Web Key Set"));
    }
}
