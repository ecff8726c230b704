//! What an injected pod must look like, said a second time and without the code under test: how the kubelet reads an
//! environment, what belongs to the injector, what each unit of a policy promises.

use crate::policies::set_of;
use json_patch::PatchOperation;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use vertex_injector_core::admission::{Decision, Outcome, Pod, PolicySet, UnitState, decide};
use vertex_injector_core::clients::{self, API_KEYS, OTHER_PROVIDERS, VARIABLES};
use vertex_injector_core::names;

pub(crate) const OPENSHELL: &str = "OPENSHELL_USER_ENVIRONMENT";

/// Decides about a pod.
pub(crate) fn decided(pod: &Value, policy: &Value) -> Decision {
    decided_by(pod, &set_of(policy))
}

pub(crate) fn decided_by(pod: &Value, set: &PolicySet) -> Decision {
    let json = pod.to_string();
    let pod = Pod::parse(json.as_bytes()).unwrap_or_else(|problem| panic!("the generator's pod: {problem}\n{json}"));
    decide(&pod, crate::policies::NAMESPACE, set)
}

/// The pod after a patch, as the API server applies it.
pub(crate) fn patched(pod: &Value, patch: &[PatchOperation]) -> Value {
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, patch).unwrap_or_else(|error| panic!("the patch does not apply: {error}\n{patch:#?}"));
    pod
}

pub(crate) fn list<'v>(object: &'v Value, key: &str) -> &'v [Value] {
    object[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(crate) fn text<'v>(object: &'v Value, key: &str) -> &'v str {
    object[key].as_str().unwrap_or_default()
}

/// All containers of a pod, each with the name of its list.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    ["containers", "initContainers"]
        .into_iter()
        .flat_map(|key| list(&pod["spec"], key).iter().map(move |container| (key, container)))
}

/// The value of a variable as a process of the container sees it, by the kubelet's rules: entries in order, `$(NAME)`
/// for what stands before, the last of a name wins. A `valueFrom` becomes a text that stands for it.
pub(crate) fn environment(container: &Value) -> BTreeMap<String, String> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for entry in list(container, "env") {
        let value = match entry.get("valueFrom") {
            Some(from) if !from.is_null() => format!("<{from}>"),
            _ => expanded(text(entry, "value"), &seen),
        };
        seen.insert(text(entry, "name").to_owned(), value);
    }
    seen
}

fn expanded(text: &str, seen: &BTreeMap<String, String>) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    while i < characters.len() {
        let rest = &characters[i..];
        let end = rest.iter().position(|c| *c == ')');
        match (rest, end) {
            (['$', '$', ..], _) => {
                out.push('$');
                i += 2;
            }
            (['$', '(', ..], Some(end)) => {
                let name: String = rest[2..end].iter().collect();
                out += seen.get(&name).unwrap_or(&format!("$({name})"));
                i += end + 1;
            }
            _ => {
                out.push(rest[0]);
                i += 1;
            }
        }
    }
    out
}

/// The environment that agent processes see: OpenShell's JSON where the policy writes into it.
pub(crate) fn agent_environment(pod: &Value, policy: &Value, container: &Value) -> BTreeMap<String, String> {
    let own = environment(container);
    if !in_open_shell(pod) || policy["spec"]["openShell"] != "PatchUserEnvironment" {
        return own;
    }
    let raw = list(container, "env")
        .iter()
        .rev()
        .find(|entry| entry["name"] == OPENSHELL);
    let inner: Map<String, Value> = raw
        .and_then(|entry| serde_json::from_str(text(entry, "value")).ok())
        .unwrap_or_default();
    inner
        .into_iter()
        .map(|(name, value)| (name, value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

pub(crate) fn in_open_shell(pod: &Value) -> bool {
    let marked = pod["metadata"]["annotations"].get("openshell.io/sandbox-id").is_some();
    marked
        || containers(pod).any(|(_, c)| {
            list(c, "env")
                .iter()
                .any(|entry| entry["name"] == "OPENSHELL_SANDBOX_ID")
        })
}

/// The first entry of `agents` that the pod matches. Generated policies have a small language of selectors.
fn kind<'p>(pod: &Value, policy: &'p Value) -> &'p Value {
    let account = match text(&pod["spec"], "serviceAccountName") {
        "" => "default",
        account => account,
    };
    let batch = pod["metadata"]["labels"]["tier"] == "batch";
    list(&policy["spec"], "agents")
        .iter()
        .find(|agent| {
            list(agent, "serviceAccounts").contains(&json!(account)) && (agent["podSelector"] == json!({}) || batch)
        })
        .expect("a kind of pods")
}

/// The containers that are to be served, by name.
pub(crate) fn chosen(pod: &Value, policy: &Value) -> Vec<String> {
    let annotations = &pod["metadata"]["annotations"];
    let mut names: Vec<String> = list(kind(pod, policy), "containers")
        .iter()
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect();
    if let Some(narrowed) = annotations[names::CONTAINERS].as_str() {
        names = narrowed.split(',').map(|name| name.trim().to_owned()).collect();
    }
    if names.is_empty() {
        let mut own = list(&pod["spec"], "containers")
            .iter()
            .map(|container| text(container, "name"));
        let default = own.find(|name| annotations["kubectl.kubernetes.io/default-container"] == *name);
        // Every generated pod has a container of this name.
        names.push(default.unwrap_or("agent").to_owned());
    }
    names
}

/// A pod without everything that the decision declares as changed, and without what is ours. What remains must be the
/// same, byte for byte, before and after.
pub(crate) fn remainder(
    pod: &Value,
    decision: &Decision,
    policy: &Value,
    removed_mounts: &BTreeSet<(String, String)>,
) -> String {
    let mut pod = pod.clone();
    let spec = &policy["spec"];
    let changed = |changes: &[vertex_injector_core::admission::Change]| -> BTreeSet<String> {
        changes.iter().map(|change| change.name.clone()).collect()
    };
    let (env, volumes, sidecars) = (
        changed(&decision.env),
        changed(&decision.volumes),
        changed(&decision.containers),
    );
    let open_shell = in_open_shell(&pod);
    for key in ["containers", "initContainers"] {
        for container in pod["spec"][key].as_array_mut().into_iter().flatten() {
            let name = text(container, "name").to_owned();
            retain(container, "env", |entry| {
                let is_ours = env.contains(&format!("{name}/{}", text(entry, "name")));
                let is_its_list = open_shell && entry["name"] == OPENSHELL && !env.is_empty();
                !is_ours && !is_its_list
            });
            retain(container, "volumeMounts", |mount| {
                let (volume, path) = (text(mount, "name"), text(mount, "mountPath"));
                !volume.starts_with(names::NAME_PREFIX)
                    && !list(spec, "volumeMounts")
                        .iter()
                        .any(|own| own["name"] == *volume && own["mountPath"] == *path)
                    && !removed_mounts.contains(&(name.clone(), path.to_owned()))
            });
        }
    }
    retain(&mut pod["spec"], "volumes", |volume| {
        !volumes.contains(text(volume, "name"))
    });
    retain(&mut pod["spec"], "initContainers", |container| {
        !sidecars.contains(text(container, "name"))
    });
    let ours = [
        names::POLICY_REF,
        names::RENDERED_ENV,
        names::SKIPPED,
        names::CREDENTIAL_CONFIGURATION,
        names::LOOPBACK_CONFIGURATION,
        names::MCP_CONFIGURATION,
    ];
    // One Secret more, when the pod does not name it itself; with it the list itself may be new.
    retain(&mut pod["spec"], "imagePullSecrets", |secret| {
        secret["name"] != crate::policies::PULL_SECRET
    });
    for key in ours {
        remove(&mut pod["metadata"], "annotations", key);
    }
    let served = decision
        .units
        .iter()
        .any(|unit| ["identity", "broker"].contains(&unit.name.as_str()) && unit.state != UnitState::Skipped);
    let gke = served && spec["identity"].get("gkeWorkloadIdentity").is_some();
    if gke {
        remove(&mut pod["spec"], "nodeSelector", names::GKE_METADATA_NODE);
    }
    // json_patch moves the last key of a map into the place of a removed one; maps have no order.
    if let Some(annotations) = pod.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.sort_keys();
    }
    pod.to_string()
}

/// The mounts that may go because the credential file of the pod's own in them is replaced.
pub(crate) fn replaceable_mounts(pod: &Value) -> BTreeSet<(String, String)> {
    containers(pod)
        .flat_map(|(_, container)| {
            let file = environment(container).remove(clients::CREDENTIALS).unwrap_or_default();
            list(container, "volumeMounts").iter().filter_map(move |mount| {
                let path = text(mount, "mountPath");
                let holds = file.starts_with(path) && !["workspace", "extra"].contains(&path);
                holds.then(|| (text(container, "name").to_owned(), path.to_owned()))
            })
        })
        .collect()
}

/// Filters a list and drops it when nothing is left, so that absent, null and empty compare equal.
fn retain(object: &mut Value, key: &str, keep: impl Fn(&Value) -> bool) {
    let Some(object) = object.as_object_mut() else { return };
    let empty = match object.get_mut(key) {
        Some(Value::Array(items)) => {
            items.retain(keep);
            items.is_empty()
        }
        Some(Value::Null) => true,
        _ => false,
    };
    if empty {
        object.shift_remove(key);
    }
}

fn remove(object: &mut Value, map: &str, key: &str) {
    let Some(object) = object.as_object_mut() else { return };
    let empty = match object.get_mut(map) {
        Some(Value::Object(map)) => {
            map.shift_remove(key);
            map.is_empty()
        }
        Some(Value::Null) => true,
        _ => false,
    };
    if empty {
        object.shift_remove(map);
    }
}

/// Checks every promise of the units that a decision says are in the pod, and that those left out are not.
pub(crate) fn check_units(before: &Value, after: &Value, policy: &Value, decision: &Decision) {
    assert_eq!(decision.outcome, Outcome::Injected);
    let spec = &policy["spec"];
    let state = |name: &str| {
        let unit = decision.units.iter().find(|unit| unit.name == name);
        unit.map(|unit| unit.state != UnitState::Skipped)
    };
    let brokered = ["Metadata", "Proxy"].contains(&text(spec, "access"));
    let unit = if brokered { "broker" } else { "identity" };
    for (unit, field) in [(unit, "identity"), ("vertex", "vertex")] {
        assert_eq!(
            state(unit).is_some(),
            spec.get(field).is_some(),
            "unit {unit} of {:#?}",
            decision.units
        );
    }
    let kind = kind(before, policy);
    let directory = kind["credentialDirectory"]
        .as_str()
        .unwrap_or(names::CREDENTIAL_DIRECTORY);
    for name in chosen(before, policy) {
        let find = |pod: &Value| {
            containers(pod)
                .find(|(_, c)| c["name"] == *name)
                .map(|(_, c)| c.clone())
        };
        let container = find(after).unwrap_or_else(|| panic!("container {name} is gone"));
        let was = agent_environment(before, policy, &find(before).expect("the container before"));
        let env = agent_environment(after, policy, &container);
        if brokered {
            check_broker(after, spec, directory, &container, &env, state("broker") == Some(true));
        } else {
            check_identity(
                after,
                spec,
                directory,
                &container,
                &env,
                state("identity") == Some(true),
            );
        }
        if state("vertex") == Some(true) {
            check_vertex(spec, &was, &env);
        }
        for helper in list(spec, "authHelpers") {
            let volume = mounted(after, &container, text(helper, "mountPath"));
            assert_eq!(volume["configMap"]["name"], helper["configMapName"], "{volume}");
            assert_eq!(
                volume["configMap"]["optional"] == true,
                helper["optional"] == true,
                "{volume}"
            );
        }
        for token in list(spec, "tokens") {
            let volume = mounted(after, &container, text(token, "mountPath"));
            let projected = &volume["projected"]["sources"][0]["serviceAccountToken"];
            assert_eq!(projected["audience"], token["audience"], "{volume}");
        }
        for mount in list(spec, "volumeMounts") {
            let volume = mounted(after, &container, text(mount, "mountPath"));
            assert_eq!(volume["name"], mount["name"]);
        }
        for variable in list(spec, "env").iter().chain(list(kind, "env")) {
            assert!(env.contains_key(text(variable, "name")), "{variable} is not in {env:?}");
        }
        let sidecars = list(spec, "sidecars")
            .iter()
            .filter(|sidecar| sidecar.get("mcpKey").is_some());
        for sidecar in sidecars {
            let urls: Value = serde_json::from_str(&env["CREDENTIAL_MCP_URLS"]).expect("JSON");
            assert_eq!(
                urls[text(sidecar, "mcpKey")],
                format!("http://localhost:{}", sidecar["port"])
            );
            assert_eq!(env["CREDENTIAL_SIDECAR_MODE"], "true");
        }
    }
    for sidecar in list(spec, "sidecars") {
        let name = format!("{}{}", names::NAME_PREFIX, text(sidecar, "name"));
        let found = list(&after["spec"], "initContainers")
            .iter()
            .find(|container| container["name"] == *name);
        let found = found.unwrap_or_else(|| panic!("no sidecar {name}"));
        assert_eq!(found["restartPolicy"], "Always");
        assert_eq!(found["image"], sidecar["image"]);
        assert_eq!(found.get("args"), sidecar.get("args"));
        assert_eq!(found["securityContext"]["runAsNonRoot"], true);
    }
}

fn check_identity(
    pod: &Value,
    spec: &Value,
    directory: &str,
    container: &Value,
    env: &BTreeMap<String, String>,
    injected: bool,
) {
    let annotation = pod["metadata"]["annotations"].get(names::CREDENTIAL_CONFIGURATION);
    let volume = list(&pod["spec"], "volumes")
        .iter()
        .find(|volume| volume["name"] == names::CREDENTIALS_VOLUME);
    let identity = &spec["identity"];
    let federation = identity.get("workloadIdentityFederation");
    let file = federation.is_some() || identity.get("serviceAccountKey").is_some();
    assert_eq!(annotation.is_some(), injected && federation.is_some(), "{annotation:?}");
    assert_eq!(volume.is_some(), injected && file, "{volume:?}");
    if !injected {
        return;
    }
    if !file {
        assert_eq!(pod["spec"]["nodeSelector"][names::GKE_METADATA_NODE], "true");
        assert_eq!(env.get(clients::CREDENTIALS), None);
        return;
    }
    let path = format!("{directory}/{}", names::CREDENTIAL_FILE);
    assert_eq!(env.get(clients::CREDENTIALS), Some(&path));
    assert_eq!(mounted(pod, container, directory)["name"], names::CREDENTIALS_VOLUME);
    if let Some(federation) = federation {
        let configuration = annotation.and_then(Value::as_str).expect("the configuration");
        let configuration: Value = serde_json::from_str(configuration).expect("JSON");
        let audience = format!("//iam.googleapis.com/{}", text(federation, "provider"));
        assert_eq!(configuration["audience"], audience);
        assert_eq!(configuration["credential_source"]["file"], format!("{directory}/token"));
        let token = &volume.expect("the volume")["projected"]["sources"][0]["serviceAccountToken"];
        let default = format!("https://iam.googleapis.com/{}", text(federation, "provider"));
        let audience = federation["audience"].as_str().unwrap_or(&default);
        assert_eq!(token["audience"], audience);
        let seconds = federation["tokenExpirationSeconds"].as_i64().unwrap_or(3600);
        assert_eq!(token["expirationSeconds"], seconds);
    }
}

/// The agent has an address, and the broker all else.
fn check_broker(
    pod: &Value,
    spec: &Value,
    directory: &str,
    agent: &Value,
    env: &BTreeMap<String, String>,
    injected: bool,
) {
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(annotations.get(names::CREDENTIAL_CONFIGURATION), None);
    let broker = list(&pod["spec"], "initContainers")
        .iter()
        .find(|container| container["name"] == names::BROKER_CONTAINER);
    assert_eq!(broker.is_some(), injected, "{broker:?}");
    for (_, container) in containers(pod).filter(|(_, container)| container["name"] != names::BROKER_CONTAINER) {
        let mut mounts = list(container, "volumeMounts").iter();
        assert!(
            !mounts.any(|mount| mount["name"] == names::CREDENTIALS_VOLUME),
            "{container:#} mounts the credential"
        );
    }
    let Some(broker) = broker else {
        assert_eq!(annotations.get(names::LOOPBACK_CONFIGURATION), None);
        return;
    };
    assert_eq!(broker["restartPolicy"], "Always");
    assert_eq!(broker["args"], json!(["broker"]));
    let own = environment(broker);
    let metadata = format!("127.0.0.1:{}", own["VERTEX_INJECTOR_METADATA_PORT"]);
    for address in clients::METADATA_ADDRESSES {
        assert_eq!(env.get(address), Some(&metadata), "{address}");
    }
    assert_eq!(env.get(clients::DETECTION).map(String::as_str), Some("assume-present"));
    let blank = |name: &str| env.get(name).is_none_or(|value| value.trim().is_empty());
    let ambient = list(&spec["vertex"], "clients").contains(&json!("Ambient"));
    for source in clients::CREDENTIAL_SOURCES
        .iter()
        .filter(|source| **source != clients::CREDENTIALS || !ambient)
    {
        assert!(blank(source), "{source} beside a broker: {env:?}");
    }
    for route in clients::ROUTES
        .iter()
        .chain(&["NO_GCE_CHECK", "GCE_METADATA_MTLS_MODE"])
    {
        assert!(blank(route), "{route} beside a broker: {env:?}");
    }
    if ambient {
        let file = format!("{directory}/{}", names::CREDENTIAL_FILE);
        assert_eq!(env.get(clients::CREDENTIALS), Some(&file));
        assert_eq!(mounted(pod, agent, directory)["name"], names::LOOPBACK_VOLUME);
        let configuration = text(annotations, names::LOOPBACK_CONFIGURATION);
        assert!(
            configuration.contains(&format!("http://{metadata}/")),
            "{configuration}"
        );
    } else {
        assert_eq!(annotations.get(names::LOOPBACK_CONFIGURATION), None);
    }
    let identity = &spec["identity"];
    if identity.get("gkeWorkloadIdentity").is_none() {
        let volume = mounted(pod, broker, names::CREDENTIAL_DIRECTORY);
        assert_eq!(volume["name"], names::CREDENTIALS_VOLUME);
    } else {
        assert!(own.contains_key("VERTEX_INJECTOR_NODE_METADATA_SERVER"), "{own:?}");
        assert_eq!(pod["spec"]["nodeSelector"][names::GKE_METADATA_NODE], "true");
    }
    for variable in VARIABLES
        .iter()
        .filter(|variable| variable.setting == clients::Setting::Endpoint)
    {
        let clients: Vec<&Value> = list(&spec["vertex"], "clients").iter().collect();
        let read = variable
            .set_for
            .iter()
            .any(|client| clients.contains(&&json!(format!("{client:?}"))));
        match (
            own.get("VERTEX_INJECTOR_PROXY_PORT"),
            spec["vertex"]["endpoint"].as_str(),
        ) {
            (Some(port), _) if read => {
                let root = format!("http://127.0.0.1:{port}");
                assert!(env[variable.name].starts_with(&root), "{}: {env:?}", variable.name);
            }
            (None, Some(endpoint)) if read => assert!(env[variable.name].starts_with(endpoint), "{env:?}"),
            _ => assert!(blank(variable.name), "{} beside a broker: {env:?}", variable.name),
        }
    }
}

/// Every variable of a setting that a chosen client reads says the same; it says what the policy says, or under `Keep`
/// what the pod said.
fn check_vertex(spec: &Value, was: &BTreeMap<String, String>, env: &BTreeMap<String, String>) {
    let vertex = &spec["vertex"];
    let read_by = |names: &[vertex_injector_core::api::Client]| {
        names
            .iter()
            .any(|client| list(vertex, "clients").contains(&json!(format!("{client:?}"))))
    };
    let conflicts = &spec["conflicts"];
    for key in API_KEYS {
        assert!(
            env.get(*key).is_none_or(|value| value.trim().is_empty()),
            "{key} beside Vertex ({conflicts})"
        );
    }
    for switch in OTHER_PROVIDERS {
        assert!(
            !env.get(*switch).is_some_and(|value| clients::is_on(value)),
            "{switch} beside Vertex"
        );
    }
    let settings = [
        ("project", "GOOGLE_CLOUD_PROJECT"),
        ("region", "CLOUD_ML_REGION"),
        ("region", "GOOGLE_CLOUD_LOCATION"),
        ("region", "VERTEXAI_LOCATION"),
        ("quotaProject", "GOOGLE_CLOUD_QUOTA_PROJECT"),
    ];
    for (field, example) in settings {
        let Some(wanted) = vertex[field].as_str() else { continue };
        let example = VARIABLES
            .iter()
            .find(|variable| variable.name == example)
            .expect("in the table");
        let all = VARIABLES.iter().filter(|variable| variable.setting == example.setting);
        let values: BTreeMap<&str, &str> = all
            .filter(|variable| {
                read_by(variable.set_for) || (read_by(variable.also_read_by) && env.contains_key(variable.name))
            })
            .filter(|variable| read_by(variable.set_for) || !env[variable.name].trim().is_empty())
            .map(|variable| {
                (
                    variable.name,
                    env.get(variable.name)
                        .unwrap_or_else(|| panic!("{} is missing", variable.name))
                        .trim(),
                )
            })
            .collect();
        let distinct: BTreeSet<&str> = values.values().copied().collect();
        assert!(distinct.len() <= 1, "{field} is ambiguous: {values:?}");
        let value = distinct.first().copied().unwrap_or(wanted);
        let own = values
            .keys()
            .any(|name| was.get(*name).is_some_and(|old| old.trim() == value));
        assert!(
            value == wanted || (own && conflicts["values"] == "Keep"),
            "{field} is {value}, not {wanted}"
        );
    }
}

/// The volume that a container has mounted at a path.
fn mounted<'v>(pod: &'v Value, container: &Value, path: &str) -> &'v Value {
    let mounts: Vec<&Value> = list(container, "volumeMounts")
        .iter()
        .filter(|mount| text(mount, "mountPath").trim_end_matches('/') == path)
        .collect();
    assert_eq!(mounts.len(), 1, "mounts at {path} of {container:#}");
    list(&pod["spec"], "volumes")
        .iter()
        .find(|volume| volume["name"] == mounts[0]["name"])
        .unwrap_or_else(|| panic!("no volume for {}", mounts[0]))
}
