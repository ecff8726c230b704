//! How a pod with a broker ends, and what happens when the broker itself does.

use std::time::{Duration, Instant};

use serde_json::json;

use super::world::{Access, BROKER, PATIENCE, Told, asking, broker_status, google, namespace, pod, told, until_told};
use crate::container::Container;
use crate::installed::{WELL, node};

#[test]
fn a_job_completes_within_six_seconds_of_its_agents_end_and_the_broker_is_gone_within_two() {
    let (Some(node), Some(_)) = (node(), google()) else {
        return;
    };
    let _well = WELL.read();
    let agents = namespace(node, "broker-jobs");
    for access in [Access::Metadata, Access::Proxy] {
        let script = "vertex-injector-fakes agent && until [ -e /tmp/stop ]; do sleep 0.1; done";
        let mut template = pod("unused", access, script);
        // As usual: nothing that hurries the kubelet.
        template["spec"]
            .as_object_mut()
            .expect("an object")
            .remove("terminationGracePeriodSeconds");
        template["metadata"].as_object_mut().expect("an object").remove("name");
        let name = format!("ask-{}", access.name());
        agents.create(&json!({
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": {"metadata": template["metadata"], "spec": template["spec"]}},
        }));
        let pod = agents.pod_of(&name);
        agents.until_ready(&pod);
        let (agent, broker) = (
            Container::of(&agents, &pod, "agent"),
            Container::of(&agents, &pod, BROKER),
        );
        let job = format!("job/{name}");
        // Its agent's, without --container.
        let log = || Told(agents.kubectl(&["logs", &job]).lines().map(str::to_owned).collect());
        let until = Instant::now() + Duration::from_secs(30);
        while log().answers().len() != 1 {
            assert!(Instant::now() < until, "{:?}", log());
        }

        agents.tell_to_end(&pod);
        let gone = |container: &Container| {
            let until = Instant::now() + Duration::from_secs(30);
            while container.is_alive() {
                assert!(Instant::now() < until, "{container:?} does not end");
                harness::process::pause(Duration::from_millis(5));
            }
            Instant::now()
        };
        let agent = gone(&agent);
        let broker = gone(&broker);
        agents.kubectl(&[
            "wait",
            "--for=jsonpath={.status.phase}=Succeeded",
            &pod,
            "--timeout=30s",
        ]);
        let done = Instant::now();
        assert!(broker - agent <= Duration::from_secs(2), "{:?}", broker - agent);
        assert!(done - agent <= Duration::from_secs(6), "{:?}", done - agent);

        let status = broker_status(&agents, &pod);
        assert_eq!(status["state"]["terminated"]["exitCode"], 0, "{status:#}");
        assert_eq!(status["restartCount"], 0);
        agents.kubectl(&["wait", "--for=condition=Complete", &job, "--timeout=30s"]);
    }
}

#[test]
fn a_broker_that_is_killed_comes_back_and_so_do_the_answers() {
    let (Some(node), Some(_)) = (node(), google()) else {
        return;
    };
    let _well = WELL.read();
    let agents = namespace(node, "broker-killed");
    let pods = [Access::Metadata, Access::Proxy].map(|access| asking(access.name(), access));
    agents.create(&json!({"apiVersion": "v1", "kind": "List", "items": pods}));
    for pod in ["pod/metadata", "pod/proxy"] {
        agents.until_ready(pod);
        until_told(&agents, pod, &Told::nothing(), PATIENCE, Told::has_answer);

        Container::of(&agents, pod, BROKER).kill();
        let before = told(&agents, pod);
        // The first may have its token from before.
        until_told(&agents, pod, &before, PATIENCE, |told| told.answers().len() >= 2);
        let restarted = "--for=jsonpath={.status.initContainerStatuses[0].restartCount}=1";
        agents.kubectl(&["wait", restarted, pod, "--timeout=30s"]);
        let status = broker_status(&agents, pod);
        assert_eq!(status["lastState"]["terminated"]["exitCode"], 137, "{status:#}");
        let agent = &agents.get(&[pod])["status"]["containerStatuses"][0];
        assert_eq!(agent["restartCount"], 0, "{agent:#}");
    }
}
