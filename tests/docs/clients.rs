//! Clients and their variables.

use crate::{check, table};
use std::collections::BTreeMap;
use vertex_injector_core::api::Client;
use vertex_injector_core::clients::{API_KEYS, Form, OTHER_PROVIDERS, Setting, VARIABLES, Variable};

const ABOUT: &str = "\
A setting of the policy is resolved once for a container and written into every variable that the chosen clients
(`spec.vertex.clients`) read, so that the variables of a pod never disagree. A variable that a client only reads counts when the pod
brings it.";

#[test]
fn the_page_of_clients_is_what_the_code_says() {
    let mut body = String::new();
    for client in Client::ALL {
        let rows = VARIABLES.iter().filter_map(|variable| row(variable, *client));
        body.push_str(&format!(
            "## `{client:?}`\n\n{}\n",
            table(["variable", "setting", "value", ""], rows)
        ));
        let traits = client.traits();
        if let Some(publisher) = traits.publisher {
            body.push_str(&format!(
                "It calls models of the publisher `{}` only.\n",
                publisher.name()
            ));
        }
        if traits.demands_file {
            body.push_str("It does not start without a credential file: with a broker it gets one that leads there and holds no secret.\n");
        }
        if traits.read_only_home {
            body.push_str("Its home and gcloud's configuration are put where it can write.\n");
        }
        body.push('\n');
    }
    let names = |names: &[&str]| -> String { names.iter().map(|name| format!("- `{name}`\n")).collect() };
    body.push_str(&format!(
        "## API keys\n\nWhat becomes of a pod that brings one is `spec.conflicts.apiKeys`.\n\n{}\n",
        names(API_KEYS)
    ));
    body.push_str(&format!(
        "## Other providers\n\nA switch that is on wins over Vertex AI in its client; `spec.conflicts.providers` decides.\n\n{}",
        names(OTHER_PROVIDERS)
    ));
    check("clients.md", "Clients and their variables", ABOUT, &body);
}

/// A variable as a client has it; none when it does not read it.
fn row(variable: &Variable, client: Client) -> Option<[String; 4]> {
    let remark = match (
        variable.set_for.contains(&client),
        variable.also_read_by.contains(&client),
    ) {
        (true, _) => "",
        (false, true) => "read only",
        (false, false) => return None,
    };
    let value = match variable.form {
        Form::Plain => "as it is".to_owned(),
        Form::On(words) => format!("`{}`", words[0]),
        Form::Url(path) => format!("a URL that ends in `{path}`").replace(" that ends in ``", " without a path"),
    };
    Some([
        format!("`{}`", variable.name),
        meaning(variable.setting).to_owned(),
        value,
        remark.to_owned(),
    ])
}

fn meaning(setting: Setting) -> &'static str {
    use strum::EnumMessage;
    setting.get_documentation().unwrap().trim_end_matches('.')
}

#[test]
fn every_client_reads_a_region_and_a_project() {
    let mut read: BTreeMap<Client, Vec<Setting>> = BTreeMap::new();
    for variable in VARIABLES {
        for client in variable.set_for {
            read.entry(*client).or_default().push(variable.setting);
        }
    }
    for client in Client::ALL {
        for setting in [Setting::Project, Setting::Region] {
            assert!(
                read[client].contains(&setting),
                "{client:?} has no variable for {setting:?}"
            );
        }
    }
}
