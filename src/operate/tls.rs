//! Handshakes with the webhook: which certificates it shows.

use crate::check::certificate::verifier;
use crate::cluster::{Cluster, Look};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::Portforwarder;
use rustls_pki_types::{CertificateDer, ServerName};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use vertex_injector_core::causes::with_causes;
use vertex_injector_net::witness::Witness;

/// How long a handshake may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// The same for a pod's address, which is near, where there is another way.
const NEAR: Duration = Duration::from_secs(3);

/// How long a kubelet may take to say why there is no connection.
const REASON: Duration = Duration::from_millis(500);

/// The certificates that were shown, or why there are none.
pub(crate) type Chain = Result<Vec<CertificateDer<'static>>, String>;

/// Asks a host.
pub(crate) async fn of_host(host: &str, port: u16, ca_bundle: &[u8]) -> Chain {
    chain(connect(host, port, CONNECT).await?, host, ca_bundle).await
}

/// Asks a pod, by its address where we run in the cluster, else by a forwarded port.
///
/// A NetworkPolicy may let in the API server and nobody else (`networkPolicy.apiServer` of the chart). What cannot be reached by its
/// address is asked by a forwarded port, too: that leads from the kubelet into the pod, where no policy stands.
pub(crate) async fn of_pod(cluster: &Cluster, pod: &Pod, port: u16, name: &str, ca_bundle: &[u8]) -> Look<Chain> {
    let mut before = String::new();
    if cluster.inside {
        let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
        match connect(address.unwrap_or_default(), port, NEAR).await {
            Ok(stream) => return Look::Seen(chain(stream, name, ca_bundle).await),
            Err(why) => before = format!("port {port} cannot be reached from here ({why}), and by the kubelet: "),
        }
    }
    let mut forwarded = match forward(cluster, pod, port).await {
        Ok(forwarded) => forwarded,
        Err(why) => return Look::Unseen(before + &why),
    };
    let error = forwarded.take_error(port);
    let Some(stream) = forwarded.take_stream(port) else {
        return Look::Unseen(before + "the connection was not forwarded");
    };
    let shown = chain(stream, name, ca_bundle).await;
    Look::Seen(match (shown, error) {
        (Err(why), Some(error)) => Err(timeout(REASON, error).await.ok().flatten().unwrap_or(why)),
        (shown, _) => shown,
    })
}

async fn forward(cluster: &Cluster, pod: &Pod, port: u16) -> Result<Portforwarder, String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let api = Api::<Pod>::namespaced(cluster.client.clone(), namespace);
    match timeout(CONNECT, api.portforward(name, &[port])).await {
        Ok(Ok(forwarded)) => Ok(forwarded),
        Ok(Err(kube::Error::Api(status))) if status.is_forbidden() => {
            // By WebSockets it is a GET; newer API servers want the other right, too.
            Err(format!(
                "needs get and create on pods/portforward in namespace {namespace}"
            ))
        }
        Ok(Err(kube::Error::Api(status))) => Err(format!("the connection was not forwarded: {}", status.message)),
        Ok(Err(error)) => Err(format!("the connection was not forwarded: {}", with_causes(&error))),
        Err(_) => Err("the connection was not forwarded in time".to_owned()),
    }
}

async fn connect(host: &str, port: u16, limit: Duration) -> Result<TcpStream, String> {
    match timeout(limit, TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {} s", limit.as_secs())),
    }
}

/// Shakes hands with `ca_bundle` as the only authorities. The chain that was shown, be it believed or not; nothing is sent.
///
/// # Errors
/// When nothing was shown.
async fn chain(stream: impl AsyncRead + AsyncWrite + Unpin, name: &str, ca_bundle: &[u8]) -> Chain {
    let witness = Witness::new(verifier(ca_bundle));
    let config = witness.config().map_err(|error| error.to_string())?;
    let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    let shaken = timeout(LIMIT, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    let shown = witness.shown();
    match shaken {
        _ if !shown.is_empty() => Ok(shown),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(_)) => Err("no certificate was shown".to_owned()),
        Err(_) => Err(format!("no handshake within {} s", LIMIT.as_secs())),
    }
}
