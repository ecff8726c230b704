//! The Pod Security Standard *baseline*, of which every row is a way around a broker.

use super::isolation::{exposed, federation, isolated, world};
use support::pod;
use vertex_injector_core::admission::Reason;

#[test]
fn namespaces_of_the_host_and_a_shared_process_namespace_are_ways_around() {
    for (field, said) in [
        ("hostNetwork", "spec.hostNetwork is true"),
        ("hostPID", "spec.hostPID is true"),
        ("hostIPC", "spec.hostIPC is true"),
        ("shareProcessNamespace", "spec.shareProcessNamespace is true"),
    ] {
        exposed(
            &federation(),
            &format!("{{{field}: true, containers: [{{name: agent, image: a}}]}}"),
            said,
        );
        isolated(
            &federation(),
            &format!("{{{field}: false, containers: [{{name: agent, image: a}}]}}"),
        );
    }
}

#[test]
fn loosened_containers_are_ways_around_wherever_they_are() {
    for (context, said) in [
        (
            "{privileged: true}",
            "securityContext.privileged of container \"x\" is true",
        ),
        (
            "{procMount: Unmasked}",
            "securityContext.procMount of container \"x\" is not Default",
        ),
        (
            "{seccompProfile: {type: Unconfined}}",
            "securityContext.seccompProfile.type of container \"x\" is neither RuntimeDefault nor Localhost",
        ),
        (
            "{appArmorProfile: {type: Unconfined}}",
            "securityContext.appArmorProfile.type of container \"x\" is neither RuntimeDefault nor Localhost",
        ),
        (
            "{seLinuxOptions: {type: spc_t}}",
            "securityContext.seLinuxOptions.type of container \"x\" is none of container_t,",
        ),
        (
            "{seLinuxOptions: {user: system_u}}",
            "securityContext.seLinuxOptions.user of container \"x\" is set",
        ),
        (
            "{seLinuxOptions: {role: sysadm_r}}",
            "securityContext.seLinuxOptions.role of container \"x\" is set",
        ),
        (
            "{capabilities: {add: [CAP_CHOWN]}}",
            "securityContext.capabilities.add of container \"x\" has CAP_CHOWN,",
        ),
        (
            "{capabilities: {add: [ALL]}}",
            "securityContext.capabilities.add of container \"x\" has ALL,",
        ),
        (
            "{capabilities: {add: [CHOWN, SYS_PTRACE, CAP_SYS_ADMIN]}}",
            "securityContext.capabilities.add of container \"x\" has SYS_PTRACE, CAP_SYS_ADMIN",
        ),
        (
            "{capabilities: {add: ['secret words']}}",
            "securityContext.capabilities.add of container \"x\" has something that is no name,",
        ),
    ] {
        for list in [
            format!("containers: [{{name: agent, image: a}}, {{name: x, image: b, securityContext: {context}}}]"),
            format!(
                "containers: [{{name: agent, image: a}}], initContainers: [{{name: x, image: b, restartPolicy: Always, securityContext: {context}}}]"
            ),
        ] {
            exposed(&federation(), &format!("{{{list}}}"), said);
        }
    }
}

#[test]
fn what_the_pod_says_for_all_of_its_containers_is_checked_as_theirs_is() {
    for (spec, said) in [
        (
            "securityContext: {seccompProfile: {type: Unconfined}}",
            "spec.securityContext.seccompProfile.type is neither",
        ),
        (
            "securityContext: {appArmorProfile: {type: Unconfined}}",
            "spec.securityContext.appArmorProfile.type is neither",
        ),
        (
            "securityContext: {seLinuxOptions: {type: spc_t}}",
            "spec.securityContext.seLinuxOptions.type is none of",
        ),
        (
            "securityContext: {seLinuxOptions: {user: u}}",
            "spec.securityContext.seLinuxOptions.user is set",
        ),
        (
            "securityContext: {seLinuxOptions: {role: r}}",
            "spec.securityContext.seLinuxOptions.role is set",
        ),
        (
            "securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: '1'}, {name: kernel.msgmax, value: '1'}]}",
            "spec.securityContext.sysctls has kernel.msgmax, beyond",
        ),
    ] {
        exposed(
            &federation(),
            &format!("{{{spec}, containers: [{{name: agent, image: a}}]}}"),
            said,
        );
    }
    isolated(
        &federation(),
        "{securityContext: {seccompProfile: {type: Localhost, localhostProfile: a.json}, appArmorProfile: {type: RuntimeDefault},
            seLinuxOptions: {type: container_t, level: 's0:c1'}, sysctls: [{name: net.ipv4.ping_group_range, value: '0 0'}]},
          containers: [{name: agent, image: a}]}",
    );
}

#[test]
fn a_port_of_the_node_and_a_host_that_the_node_calls_are_beyond_the_baseline() {
    for (container, said) in [
        (
            "ports: [{containerPort: 80, hostPort: 80}]",
            "ports of container \"agent\" have a hostPort",
        ),
        (
            "livenessProbe: {httpGet: {host: 10.0.0.1, port: 80}}",
            "livenessProbe of container \"agent\" names a host",
        ),
        (
            "readinessProbe: {tcpSocket: {host: 10.0.0.1, port: 80}}",
            "readinessProbe of container \"agent\" names a host",
        ),
        (
            "lifecycle: {postStart: {httpGet: {host: 10.0.0.1, port: 80}}}",
            "lifecycle.postStart of container \"agent\" names a host",
        ),
    ] {
        exposed(
            &federation(),
            &format!("{{containers: [{{name: agent, image: a, {container}}}]}}"),
            said,
        );
    }
    isolated(
        &federation(),
        "{containers: [{name: agent, image: a, ports: [{containerPort: 80, hostPort: 0}], livenessProbe: {httpGet: {port: 80}}}]}",
    );
}

#[test]
fn annotations_that_stood_for_profiles_are_checked_as_the_fields_are() {
    let with = |annotation: &str| {
        let mut pod = pod("{containers: [{name: agent, image: a}]}");
        pod["metadata"]["annotations"] = serde_json::from_str(annotation).unwrap();
        world(&federation(), "").admit(&pod)
    };
    for key in [
        "container.apparmor.security.beta.kubernetes.io/agent",
        "container.seccomp.security.alpha.kubernetes.io/agent",
        "seccomp.security.alpha.kubernetes.io/pod",
    ] {
        let admission = with(&format!("{{\"{key}\": \"unconfined\"}}"));
        let message = admission.denied(Reason::NotIsolated);
        assert!(message.contains(&format!("annotation {key:?} is neither")), "{message}");
        for good in ["runtime/default", "localhost/mine"] {
            with(&format!("{{\"{key}\": \"{good}\"}}")).injected();
        }
    }
}

#[test]
fn what_the_baseline_allows_and_what_a_meshs_init_needs_is_no_way_around() {
    isolated(
        &federation(),
        "{containers: [{name: agent, image: a, securityContext: {procMount: Default, privileged: false, capabilities: {add: [CHOWN, NET_BIND_SERVICE, SETUID]}}}],
          initContainers: [{name: istio-init, image: i, securityContext: {capabilities: {add: [NET_ADMIN, NET_RAW]}}}]}",
    );
    exposed(
        &federation(),
        "{containers: [{name: agent, image: a}], initContainers: [{name: x, image: i, securityContext: {capabilities: {add: [NET_ADMIN, SYS_ADMIN]}}}]}",
        "securityContext.capabilities.add of container \"x\" has SYS_ADMIN, beyond",
    );
    // An init container that may do all has done it when the agent starts.
    exposed(
        &federation(),
        "{containers: [{name: agent, image: a}], initContainers: [{name: x, image: i, securityContext: {privileged: true}}]}",
        "securityContext.privileged of container \"x\"",
    );
}

#[test]
fn a_host_path_leads_to_the_node_even_when_nobody_mounts_it() {
    exposed(
        &federation(),
        "{containers: [{name: agent, image: a}], volumes: [{name: docker, hostPath: {path: /var/run/docker.sock}}]}",
        "volume \"docker\" is a hostPath",
    );
}
