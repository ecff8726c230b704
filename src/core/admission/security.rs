//! What we read of how a pod's processes are confined, and of what the kubelet does for its containers.

use super::object::only_from_objects;
use super::text::{Text, or_default};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// What we read of a security context, of the pod or of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(super) struct SecurityContext<'a> {
    /// `runAsUser`.
    #[serde(default)]
    pub(super) run_as_user: Option<i64>,
    /// `fsGroup`, of the pod only.
    #[serde(default)]
    pub(super) fs_group: Option<i64>,
    /// `privileged`, of containers only.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) privileged: bool,
    /// `procMount`, of containers only.
    #[serde(borrow, default)]
    pub(super) proc_mount: Option<Text<'a>>,
    /// `capabilities`, of containers only.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) capabilities: Capabilities<'a>,
    /// `windowsOptions`.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) windows_options: WindowsOptions,
    /// `seccompProfile`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) seccomp_profile: Profile<'a>,
    /// `appArmorProfile`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) app_armor_profile: Profile<'a>,
    /// `seLinuxOptions`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) se_linux_options: SeLinuxOptions<'a>,
    /// `sysctls`, of the pod only.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) sysctls: Vec<Sysctl<'a>>,
}

/// What we read of `capabilities`.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub(super) struct Capabilities<'a> {
    /// `add`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) add: Vec<Text<'a>>,
}

/// What we read of `windowsOptions`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(super) struct WindowsOptions {
    /// `hostProcess`.
    #[serde(default)]
    pub(super) host_process: Option<bool>,
    /// `gmsaCredentialSpec`.
    #[serde(default)]
    gmsa_credential_spec: Option<IgnoredAny>,
    /// `gmsaCredentialSpecName`.
    #[serde(default)]
    gmsa_credential_spec_name: Option<IgnoredAny>,
    /// `runAsUserName`.
    #[serde(default)]
    run_as_user_name: Option<IgnoredAny>,
}

impl WindowsOptions {
    /// Whether any is given, which only pods for Windows have.
    pub(super) fn is_some(&self) -> bool {
        self.host_process.is_some()
            || self.gmsa_credential_spec.is_some()
            || self.gmsa_credential_spec_name.is_some()
            || self.run_as_user_name.is_some()
    }
}

/// What we read of `seccompProfile` and `appArmorProfile`.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub(super) struct Profile<'a> {
    /// `type`.
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Option<Text<'a>>,
}

/// What we read of `seLinuxOptions`.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub(super) struct SeLinuxOptions<'a> {
    /// `type`.
    #[serde(rename = "type", borrow, default)]
    pub(super) kind: Option<Text<'a>>,
    /// `user`.
    #[serde(borrow, default)]
    pub(super) user: Option<Text<'a>>,
    /// `role`.
    #[serde(borrow, default)]
    pub(super) role: Option<Text<'a>>,
}

/// One entry of `sysctls`.
#[derive(Debug, Deserialize)]
#[serde(remote = "Self")]
pub(super) struct Sysctl<'a> {
    /// `name`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) name: Text<'a>,
}

/// What we read of `lifecycle`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(super) struct Lifecycle<'a> {
    /// `postStart`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) post_start: Handler<'a>,
    /// `preStop`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub(super) pre_stop: Handler<'a>,
}

/// What we read of a probe, or of a handler of `lifecycle`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub(super) struct Handler<'a> {
    /// `httpGet`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    http_get: Call<'a>,
    /// `tcpSocket`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    tcp_socket: Call<'a>,
    /// `exec`.
    #[serde(borrow, default, deserialize_with = "or_default")]
    exec: Exec<'a>,
}

/// What we read of a program that the kubelet runs.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
struct Exec<'a> {
    /// `command`, whole.
    #[serde(borrow, default)]
    command: Option<&'a RawValue>,
}

/// What we read of a call of the kubelet.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
struct Call<'a> {
    /// `host`; none is the pod.
    #[serde(borrow, default, deserialize_with = "or_default")]
    host: Text<'a>,
}

impl Handler<'_> {
    /// Whether the kubelet connects to another host than the pod.
    pub(super) fn names_host(&self) -> bool {
        let Self {
            http_get, tcp_socket, ..
        } = self;
        [http_get, tcp_socket].iter().any(|call| !call.host.is_empty())
    }

    /// The command that it runs, whole.
    pub(super) fn command(&self) -> Option<&RawValue> {
        self.exec.command
    }
}

only_from_objects!(
    SecurityContext<'a>,
    Capabilities<'a>,
    WindowsOptions,
    Profile<'a>,
    SeLinuxOptions<'a>,
    Sysctl<'a>,
    Lifecycle<'a>,
    Handler<'a>,
    Exec<'a>,
    Call<'a>
);
