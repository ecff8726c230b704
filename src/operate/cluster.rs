//! The cluster as a person reaches it: which one, how long to wait for it, and what nobody may see of it.

use anyhow::{Context, anyhow};
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::api::{ListParams, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ListMeta, Resource};
use kube::{Client, Config};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;
use vertex_injector_core::causes::with_causes;

/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How many objects one call brings.
const PAGE: u32 = 500;

/// Most objects of a kind that are read: a person at a terminal waits for them.
pub(crate) const MAX_OBJECTS: usize = 20_000;

/// A cluster.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    /// The namespace of the kubeconfig's context.
    pub namespace: String,
    /// Whether we run in it, as a pod.
    pub(crate) inside: bool,
    /// What it says, or why it does not.
    version: Result<Info, String>,
    config: Config,
}

/// Which cluster.
#[derive(Debug, Default, Clone, Copy)]
pub struct Which<'a> {
    /// A kubeconfig; none: `KUBECONFIG`, else `~/.kube/config`, else the ServiceAccount of the pod.
    pub kubeconfig: Option<&'a Path>,
    /// A context of it; none: the current one.
    pub context: Option<&'a str>,
}

/// What was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<T> {
    /// There it is.
    Seen(T),
    /// Nobody could look: why.
    Unseen(String),
}

/// All objects of a kind, as far as they were read.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// As JSON.
    pub items: Vec<Value>,
    /// Whether there are more.
    pub more: bool,
}

impl<T> Look<T> {
    /// What was seen.
    pub fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(seen) => Some(seen),
            Self::Unseen(_) => None,
        }
    }

    pub(crate) fn map<U>(self, map: impl FnOnce(T) -> U) -> Look<U> {
        match self {
            Self::Seen(seen) => Look::Seen(map(seen)),
            Self::Unseen(why) => Look::Unseen(why),
        }
    }
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

impl Cluster {
    /// Reads the configuration and asks the API server for its version: whether it can be asked at all.
    ///
    /// # Errors
    /// When there is no configuration, or nobody answers there.
    pub async fn connect(which: Which<'_>) -> anyhow::Result<Self> {
        let options = KubeConfigOptions {
            context: which.context.map(str::to_owned),
            ..KubeConfigOptions::default()
        };
        let mut inside = false;
        let mut config = match which.kubeconfig {
            Some(path) => {
                let unusable = || format!("cannot use the file of --kubeconfig, {}", path.display());
                let file = Kubeconfig::read_from(path).with_context(unusable)?;
                Config::from_custom_kubeconfig(file, &options)
                    .await
                    .with_context(unusable)?
            }
            None => match Config::from_kubeconfig(&options).await {
                Ok(config) => config,
                Err(error) if which.context.is_some() => return Err(error).context("cannot use --context"),
                Err(error) => {
                    inside = true;
                    // In a pod there is no file; outside, what is wrong with the file is what helps.
                    Config::incluster()
                        .map_err(|_| error)
                        .context("no cluster is configured: set KUBECONFIG, give --kubeconfig, or run in a pod")?
                }
            },
        };
        config.default_retry = false;
        config.connect_timeout = Some(CALL_TIMEOUT);
        config.read_timeout = Some(CALL_TIMEOUT);
        let client = client(config.clone())?;
        let version = version(&client).await.map_err(|problem| {
            let place = if inside {
                "that this pod was told of".to_owned()
            } else {
                format!("of context {:?}", context(which).unwrap_or_default())
            };
            anyhow!(
                "the API server {place}, {}, cannot be asked: {problem}; see that it runs and that this machine reaches it, or name \
                 another cluster with --kubeconfig or --context",
                config.cluster_url
            )
        })?;
        Ok(Self {
            client,
            namespace: config.default_namespace.clone(),
            inside,
            version,
            config,
        })
    }

    /// A client for answers that may pause for as long as they like, as the log of what is at work.
    pub(crate) fn patient(&self) -> anyhow::Result<Client> {
        let mut config = self.config.clone();
        config.read_timeout = None;
        client(config)
    }

    /// The version of the API server, `MAJOR.MINOR`.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn version(&self) -> anyhow::Result<(u32, u32)> {
        let info = { self.version.as_ref() }.map_err(|why| anyhow!("the API server cannot be asked: {why}"))?;
        let number = |text: &str| text.trim_end_matches('+').parse().ok();
        let version = number(&info.major).zip(number(&info.minor));
        version.with_context(|| format!("the API server's version is no number: {}.{}", info.major, info.minor))
    }

    /// One object; none when it does not exist.
    pub(crate) async fn get<K>(&self, namespace: Option<&str>, name: &str) -> Look<Option<K>>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let right = right::<K>("get", namespace, Some(name));
        let request = Request::new(K::url_path(&(), namespace)).get(name, &kube::api::GetParams::default());
        match request {
            Ok(request) => match self.ask::<K>(request).await {
                Ok(object) => Look::Seen(Some(object)),
                Err(Refusal::NotFound) => Look::Seen(None),
                Err(refusal) => Look::Unseen(refusal.words(&right)),
            },
            Err(error) => Look::Unseen(error.to_string()),
        }
    }

    /// All objects of a kind, page by page; `labels` is a selector.
    pub(crate) async fn list<K>(&self, namespace: Option<&str>, labels: &str) -> Look<Vec<K>>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let mut all = Vec::new();
        let listed = self.pages::<K, K>(namespace, labels, |page| {
            all.extend(page);
            all.len() < MAX_OBJECTS
        });
        match listed.await {
            Look::Seen(_) => Look::Seen(all),
            Look::Unseen(why) => Look::Unseen(why),
        }
    }

    /// The same as JSON.
    pub(crate) async fn list_json<K>(&self, namespace: Option<&str>) -> Look<Listed>
    where
        K: Resource<DynamicType = ()>,
    {
        let mut items = Vec::new();
        let listed = self.pages::<K, Value>(namespace, "", |page| {
            items.extend(page);
            items.len() < MAX_OBJECTS
        });
        listed.await.map(|more| Listed { items, more })
    }

    /// Gives the pages of a list to `take`, until it has enough. Whether there are more.
    pub(crate) async fn pages<K, T>(
        &self,
        namespace: Option<&str>,
        labels: &str,
        mut take: impl FnMut(Vec<T>) -> bool,
    ) -> Look<bool>
    where
        K: Resource<DynamicType = ()>,
        T: DeserializeOwned,
    {
        let right = right::<K>("list", namespace, None);
        let mut params = ListParams::default().limit(PAGE);
        if !labels.is_empty() {
            params = params.labels(labels);
        }
        loop {
            let request = match Request::new(K::url_path(&(), namespace)).list(&params) {
                Ok(request) => request,
                Err(error) => return Look::Unseen(error.to_string()),
            };
            let Page { metadata, items } = match self.ask::<Page<T>>(request).await {
                Ok(page) => page,
                Err(refusal) => return Look::Unseen(refusal.words(&right)),
            };
            let next = metadata.continue_.filter(|next| !next.is_empty());
            if !take(items) {
                return Look::Seen(next.is_some());
            }
            match next {
                Some(next) => params = params.continue_token(&next),
                None => return Look::Seen(false),
            }
        }
    }

    /// Whether a group and version has a resource.
    pub(crate) async fn serves(&self, group: &str, resource: &str) -> Look<bool> {
        match timeout(CALL_TIMEOUT, self.client.list_api_group_resources(group)).await {
            Ok(Ok(list)) => Look::Seen(list.resources.iter().any(|known| known.name == resource)),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Look::Seen(false),
            Ok(Err(error)) => Look::Unseen(with_causes(&error)),
            Err(_) => Look::Unseen(late()),
        }
    }

    /// Sends a request.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, request: http::Request<Vec<u8>>) -> Result<T, Refusal> {
        match timeout(CALL_TIMEOUT, self.client.request(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) => Err(match status.code {
                // Admission refuses with the same status, in other words.
                403 if status.message.contains("is forbidden: User \"") => Refusal::Forbidden,
                404 => Refusal::NotFound,
                _ => Refusal::Answer(status.message.clone()),
            }),
            Ok(Err(error)) => Err(Refusal::Failed(with_causes(&error))),
            Err(_) => Err(Refusal::Failed(late())),
        }
    }
}

/// What the API server answers when it is asked for its version.
///
/// # Errors
/// When nobody answers.
async fn version(client: &Client) -> Result<Result<Info, String>, String> {
    match timeout(CALL_TIMEOUT, client.apiserver_version()).await {
        Ok(Ok(version)) => Ok(Ok(version)),
        Ok(Err(error @ (kube::Error::Api(_) | kube::Error::SerdeError(_)))) => Ok(Err(with_causes(&error))),
        Ok(Err(error)) => Err(with_causes(&error)),
        Err(_) => Err(format!("no answer within {} seconds", CALL_TIMEOUT.as_secs())),
    }
}

/// The context by which a cluster is chosen, as far as it has a name.
fn context(which: Which<'_>) -> Option<String> {
    let current = || {
        let file = which.kubeconfig.map_or_else(Kubeconfig::read, Kubeconfig::read_from);
        file.ok()?.current_context
    };
    which.context.map(str::to_owned).or_else(current)
}

fn client(config: Config) -> anyhow::Result<Client> {
    Client::try_from(config).context("cannot use the configuration of the cluster")
}

/// Why a call brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A right is missing.
    Forbidden,
    /// There is no such object, or no such resource.
    NotFound,
    /// The API server says why.
    Answer(String),
    /// It says nothing.
    Failed(String),
}

impl Refusal {
    /// In words, for a call that needs `right`.
    pub(crate) fn words(&self, right: &str) -> String {
        match self {
            Self::Forbidden => format!("needs {right}"),
            Self::NotFound => format!("the API server does not serve this ({right})"),
            Self::Answer(why) | Self::Failed(why) => why.clone(),
        }
    }
}

/// What a call needs, as roles name it.
fn right<K: Resource<DynamicType = ()>>(verb: &str, namespace: Option<&str>, name: Option<&str>) -> String {
    let group = match K::group(&()) {
        group if group.is_empty() => String::new(),
        group => format!(".{group}"),
    };
    let name = name.map(|name| format!("/{name}")).unwrap_or_default();
    let place = match namespace {
        Some(namespace) => format!(" in namespace {namespace}"),
        None => String::new(),
    };
    format!("{verb} on {}{group}{name}{place}", K::plural(&()))
}

fn late() -> String {
    format!("the API server did not answer within {} s", CALL_TIMEOUT.as_secs())
}
