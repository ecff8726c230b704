//! The Pod Security Standard *restricted* for one container, and what the kubelet does with file modes.

use crate::view::list;
use serde_json::Value;

/// Why a container does not pass *restricted* by its own fields, whatever the pod says.
///
/// <https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted>
pub fn violations(container: &Value) -> Vec<String> {
    let context = &container["securityContext"];
    let mut found = Vec::new();
    let mut want = |holds: bool, what: &str| {
        if !holds {
            found.push(what.to_owned());
        }
    };
    want(context["privileged"] != true, "privileged");
    want(
        context["allowPrivilegeEscalation"] == false,
        "allowPrivilegeEscalation must be false",
    );
    want(context["runAsNonRoot"] == true, "runAsNonRoot must be true");
    want(context["runAsUser"] != 0, "runAsUser must not be 0");
    let dropped = list(&context["capabilities"], "drop");
    want(dropped.iter().any(|name| name == "ALL"), "capabilities must drop ALL");
    let added = list(&context["capabilities"], "add");
    want(
        added.iter().all(|name| name == "NET_BIND_SERVICE"),
        "capabilities may add only NET_BIND_SERVICE",
    );
    let profile = context["seccompProfile"]["type"].as_str().unwrap_or_default();
    want(
        matches!(profile, "RuntimeDefault" | "Localhost"),
        "seccompProfile must be set",
    );
    want(
        context.get("procMount").is_none_or(|it| it == "Default"),
        "procMount must be Default",
    );
    want(
        context.get("seLinuxOptions").is_none(),
        "seLinuxOptions are not ours to set",
    );
    want(
        list(container, "ports")
            .iter()
            .all(|port| port.get("hostPort").is_none()),
        "no hostPort",
    );
    found
}

/// Whether a volume's type is one that *restricted* allows.
pub fn is_restricted_volume(volume: &Value) -> bool {
    let allowed = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let kinds = volume
        .as_object()
        .expect("a volume")
        .keys()
        .filter(|key| *key != "name");
    kinds.into_iter().all(|kind| allowed.contains(&kind.as_str()))
}

/// Whether a process of a container can read a file that the kubelet writes with `mode` for a projected token
/// (`is_token`) or other content, when the image runs as `image_user`.
///
/// The kubelet (`pkg/volume/projected`): a token gets mode 0600 when all containers run as one user (which then owns
/// it) or the pod has an fsGroup; with an fsGroup the volume belongs to that group and group bits are added (0440 at
/// least, `volume.SetVolumeOwnership`).
pub fn can_read(pod: &Value, container: &Value, image_user: i64, mode: i64, is_token: bool) -> bool {
    let group = pod["spec"]["securityContext"]["fsGroup"].as_i64();
    let owner = common_user(pod).filter(|_| is_token && group.is_none());
    let mut mode = mode;
    if is_token && (owner.is_some() || group.is_some()) {
        mode = 0o600;
    }
    if group.is_some() {
        mode |= 0o440;
    }
    let user = effective_user(pod, container).unwrap_or(image_user);
    user == 0
        || (mode & 0o004 != 0)
        || (group.is_some() && mode & 0o040 != 0)
        || (owner == Some(user) && mode & 0o400 != 0)
}

fn common_user(pod: &Value) -> Option<i64> {
    let spec = &pod["spec"];
    let containers = list(spec, "containers").iter().chain(list(spec, "initContainers"));
    let users: Option<Vec<i64>> = containers.map(|container| effective_user(pod, container)).collect();
    let users = users?;
    users.iter().all(|user| *user == users[0]).then(|| users[0])
}

fn effective_user(pod: &Value, container: &Value) -> Option<i64> {
    let own = container["securityContext"]["runAsUser"].as_i64();
    own.or_else(|| pod["spec"]["securityContext"]["runAsUser"].as_i64())
}
