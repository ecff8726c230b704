//! The Pod Security Standard *baseline*, version 1.35: a row for each of Kubernetes' own checks (k8s.io/pod-security-admission, package
//! `policy`), with what it calls forbidden.
//!
//! Stricter in one thing: `hostUsers: false` unmasks no proc. Laxer in one: what ends before the agent starts may add what a mesh's
//! init container needs.

use super::finding::{Finding, Findings};
use super::pod::{Container, Pod};
use super::resulting::{Resulting, ResultingContainer};
use super::security::{Handler, SecurityContext};
use super::text::Text;

/// A field of a security context.
struct Row {
    field: &'static str,
    is_broken: fn(&SecurityContext<'_>) -> bool,
    says: &'static str,
}

/// Of pods and containers.
const OF_BOTH: [Row; 6] = [
    Row {
        field: "windowsOptions.hostProcess",
        is_broken: |context| context.windows_options.host_process == Some(true),
        says: "is true: it runs on the node itself",
    },
    Row {
        field: "seccompProfile.type",
        is_broken: |context| is_none_of(context.seccomp_profile.kind.as_ref(), &PROFILES),
        says: "is neither RuntimeDefault nor Localhost: every system call is open to it",
    },
    Row {
        field: "appArmorProfile.type",
        is_broken: |context| is_none_of(context.app_armor_profile.kind.as_ref(), &PROFILES),
        says: "is neither RuntimeDefault nor Localhost: AppArmor does not confine it",
    },
    Row {
        field: "seLinuxOptions.type",
        is_broken: |context| is_none_of(context.se_linux_options.kind.as_ref(), &SELINUX_TYPES),
        says: "is none of container_t, container_init_t, container_kvm_t and container_engine_t: SELinux does not confine it",
    },
    Row {
        field: "seLinuxOptions.user",
        is_broken: |context| is_set(context.se_linux_options.user.as_ref()),
        says: "is set: another SELinux user is confined otherwise",
    },
    Row {
        field: "seLinuxOptions.role",
        is_broken: |context| is_set(context.se_linux_options.role.as_ref()),
        says: "is set: another SELinux role is confined otherwise",
    },
];

/// Of containers only.
const OF_CONTAINERS: [Row; 2] = [
    Row {
        field: "privileged",
        is_broken: |context| context.privileged,
        says: "is true: it can do what the node can",
    },
    Row {
        field: "procMount",
        is_broken: |context| is_none_of(context.proc_mount.as_ref(), &["Default"]),
        says: "is not Default: the kernel's files are unmasked",
    },
];

const PROFILES: [&str; 2] = ["RuntimeDefault", "Localhost"];

const SELINUX_TYPES: [&str; 4] = [
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
];

/// Capabilities that a container may add.
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What a mesh's init container adds to send the pod's connections by its proxy. Whoever owns the pod's network gets nothing by it.
const CAPABILITIES_OF_INIT: [&str; 2] = ["NET_ADMIN", "NET_RAW"];

/// Kernel parameters that a pod may set.
const SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// Annotations that stood for fields once, by the beginning of their keys.
struct Annotation {
    prefix: &'static str,
    /// Beside `localhost/…`.
    good: &'static [&'static str],
}

const ANNOTATIONS: [Annotation; 3] = [
    Annotation {
        prefix: "container.apparmor.security.beta.kubernetes.io/",
        good: &["", "runtime/default"],
    },
    Annotation {
        prefix: "seccomp.security.alpha.kubernetes.io/pod",
        good: &["runtime/default", "docker/default"],
    },
    Annotation {
        prefix: "container.seccomp.security.alpha.kubernetes.io/",
        good: &["runtime/default", "docker/default"],
    },
];

/// Most names in one sentence.
const SHOWN: usize = 8;

/// Everything of a pod that is beyond the standard, each with its field.
pub(super) fn beyond(resulting: Resulting<'_, '_>, found: &mut Findings) {
    of_pod(resulting.pod(), found);
    for container in resulting.containers() {
        of_container(&container, found);
    }
    for volume in resulting.own_volumes().filter(|volume| volume.host_path.is_some()) {
        let text = format!("volume {:?} is a hostPath: it leads to the node", &*volume.name);
        found.push(Finding::exposure(None, &volume.name, text));
    }
}

fn of_pod(pod: &Pod<'_>, found: &mut Findings) {
    let spec = &pod.spec;
    for (field, is_set, why) in [
        ("hostNetwork", spec.host_network, "the pod's network is the node's"),
        ("hostPID", spec.host_pid, "its processes see those of the node"),
        (
            "hostIPC",
            spec.host_ipc,
            "its processes share the node's memory segments",
        ),
    ] {
        if is_set {
            let text = format!("spec.{field} is true: {why}");
            found.push(Finding::exposure(None, field, text));
        }
    }
    let context = &spec.security_context;
    for Row { field, says, .. } in OF_BOTH.iter().filter(|row| (row.is_broken)(context)) {
        let field = format!("securityContext.{field}");
        found.push(Finding::exposure(None, &field, format!("spec.{field} {says}")));
    }
    let sysctls = context.sysctls.iter().map(|sysctl| &*sysctl.name);
    if let Some(names) = others(sysctls, &SYSCTLS) {
        let field = "securityContext.sysctls";
        let text = format!("spec.{field} has {names}, beyond the Pod Security Standard baseline");
        found.push(Finding::exposure(None, field, text));
    }
    let annotations = pod.metadata.iter().filter_map(|metadata| metadata.annotations.as_ref());
    for (key, value) in annotations.flatten() {
        let rule = ANNOTATIONS.iter().find(|rule| key.starts_with(rule.prefix));
        if rule.is_some_and(|rule| !rule.good.contains(&&**value) && !value.starts_with("localhost/")) {
            let text = format!(
                "annotation {key:?} is neither runtime/default nor localhost/PROFILE, beyond the Pod Security Standard baseline"
            );
            found.push(Finding::exposure(None, key, text));
        }
    }
}

fn of_container(resulting: &ResultingContainer<'_, '_>, found: &mut Findings) {
    let (name, container) = (resulting.name(), resulting.container);
    let context = &container.security_context;
    let mut add = |field: &str, text: String| found.push(Finding::exposure(Some(name), field, text));
    let rows = OF_CONTAINERS.iter().chain(&OF_BOTH);
    for Row { field, says, .. } in rows.filter(|row| (row.is_broken)(context)) {
        add(field, format!("securityContext.{field} of container {name:?} {says}"));
    }
    let adds = context.capabilities.add.iter().map(|capability| &**capability);
    let adds = adds.filter(|capability| !(resulting.ends() && CAPABILITIES_OF_INIT.contains(capability)));
    if let Some(names) = others(adds, &CAPABILITIES) {
        let field = "capabilities.add";
        let text = format!(
            "securityContext.{field} of container {name:?} has {names}, beyond the Pod Security Standard baseline"
        );
        add(field, text);
    }
    if container.ports.iter().any(|port| port.host_port != 0) {
        let text = format!("ports of container {name:?} have a hostPort: it is a port of the node");
        add("hostPort", text);
    }
    for (field, _) in handlers(container).filter(|(_, handler)| handler.names_host()) {
        let text = format!("{field} of container {name:?} names a host, to which the node connects");
        add(field, text);
    }
}

/// What the kubelet calls, with its field.
fn handlers<'c>(container: &'c Container<'c>) -> impl Iterator<Item = (&'static str, &'c Handler<'c>)> {
    [
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
        ("startupProbe", &container.startup_probe),
        ("lifecycle.postStart", &container.lifecycle.post_start),
        ("lifecycle.preStop", &container.lifecycle.pre_stop),
    ]
    .into_iter()
}

fn is_set(text: Option<&Text<'_>>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

/// Whether a value is there, and none of these.
fn is_none_of(text: Option<&Text<'_>>, good: &[&str]) -> bool {
    text.is_some_and(|text| !text.is_empty() && !good.contains(&&**text))
}

/// What of a list is none of these, for a sentence. What does not look like a name is not repeated.
fn others<'n>(names: impl Iterator<Item = &'n str>, good: &[&str]) -> Option<String> {
    let is_name =
        |name: &str| name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./".contains(&b));
    let others = names.filter(|name| !good.contains(name)).take(SHOWN);
    let shown: Vec<&str> = others
        .map(|name| {
            if is_name(name) {
                name
            } else {
                "something that is no name"
            }
        })
        .collect();
    (!shown.is_empty()).then(|| shown.join(", "))
}
