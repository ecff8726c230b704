//! Which variables a policy may set: none that makes a process run or trust something else, none that routes or
//! authenticates (those have fields of their own), no literal secret.

use crate::api::{EnvVar, FieldErrors, PolicySpec};
use crate::clients;
use std::collections::HashMap;

/// Variables by which a process loads or runs code that it otherwise would not.
const LOADERS: &[&str] = &[
    "PATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "BASH_ENV",
    "ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "CLASSPATH",
    "RUBYOPT",
    "RUBYLIB",
    "PERL5OPT",
    "PERL5LIB",
    "PERL5DB",
    "GCONV_PATH",
    "LOCPATH",
    "GLIBC_TUNABLES",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "BROWSER",
    "CLOUDSDK_PYTHON",
    "CLOUDSDK_PYTHON_ARGS",
    "CLOUDSDK_PYTHON_SITEPACKAGES",
    "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES",
];

/// Prefixes of such variables.
const LOADER_PREFIXES: &[&str] = &["LD_", "DYLD_", "PYTHON", "GIT_", "BASH_FUNC_"];

/// Variables by which a process trusts other certificates.
const TRUST: &[&str] = &[
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "CLOUDSDK_AUTH_DISABLE_SSL_VALIDATION",
];

pub(super) fn check(spec: &PolicySpec, errors: &mut FieldErrors) {
    check_list(&spec.env, "spec.env", errors);
    for (i, agent) in spec.agents.iter().enumerate() {
        check_list(&agent.env, &format!("spec.agents[{i}].env"), errors);
    }
    for (i, sidecar) in spec.sidecars.iter().enumerate() {
        let field = format!("spec.sidecars[{i}].env");
        check_unique(&sidecar.env, &field, errors);
        for (j, var) in sidecar.env.iter().enumerate() {
            check_shape(var, &format!("{field}[{j}]"), errors);
        }
    }
    let mut seen: HashMap<&str, String> = spec
        .env
        .iter()
        .enumerate()
        .map(|(i, var)| (var.name.as_str(), format!("spec.env[{i}]")))
        .collect();
    for (i, token) in spec.tokens.iter().enumerate() {
        let Some(name) = &token.env_name else { continue };
        let field = format!("spec.tokens[{i}].envName");
        check_name(name, &field, errors);
        if let Some(other) = seen.insert(name, field.clone()) {
            errors.add(field, format!("{name:?} is set by {other} already"));
        }
    }
}

/// Whether a variable of this name can make a process run other code or trust other certificates.
pub fn changes_a_process(name: &str) -> bool {
    is_loader(name) || TRUST.contains(&name)
}

/// Whether a variable of this name holds a secret by all appearance: it ends in a word such as `TOKEN` or `API_KEY`.
pub fn is_secret_name(name: &str) -> bool {
    const WORDS: [&str; 13] = [
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "APIKEY",
        "API_KEY",
        "ACCESS_KEY",
        "SECRET_KEY",
        "PRIVATE_KEY",
        "AUTH_KEY",
        "CREDENTIAL",
        "CREDENTIALS",
    ];
    let upper = name.to_ascii_uppercase();
    WORDS.iter().any(|word| {
        upper
            .strip_suffix(word)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
    })
}

/// Whether a variable of this name configures one of our own programs.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with("VERTEX_INJECTOR_")
}

fn check_list(env: &[EnvVar], field: &str, errors: &mut FieldErrors) {
    check_unique(env, field, errors);
    for (i, var) in env.iter().enumerate() {
        check_name(&var.name, &format!("{field}[{i}].name"), errors);
        check_shape(var, &format!("{field}[{i}]"), errors);
    }
}

fn check_unique(env: &[EnvVar], field: &str, errors: &mut FieldErrors) {
    for (i, var) in env.iter().enumerate() {
        if env.iter().take(i).any(|earlier| earlier.name == var.name) {
            errors.add(format!("{field}[{i}].name"), format!("{:?} occurs twice", var.name));
        }
    }
}

fn check_name(name: &str, field: &str, errors: &mut FieldErrors) {
    let why = if is_loader(name) {
        "it can make a process run other code"
    } else if TRUST.contains(&name) {
        "it can make a process trust other certificates"
    } else if clients::is_owned(name) {
        "it routes or authenticates model calls; use the policy's own fields (vertex, identity, conflicts)"
    } else {
        return;
    };
    errors.add(field, format!("{name:?} may not be set by a policy: {why}"));
}

fn is_loader(name: &str) -> bool {
    LOADERS.contains(&name) || LOADER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn check_shape(var: &EnvVar, field: &str, errors: &mut FieldErrors) {
    if var.value.is_some() == var.value_from.is_some() {
        errors.add(field, "exactly one of value and valueFrom must be set");
    }
    if var.value.as_deref().is_some_and(|value| !value.is_empty()) && is_secret_name(&var.name) {
        errors.add(
            format!("{field}.value"),
            format!("{:?} looks like a secret, and a literal is readable by everyone who may read the policy or the pod; use valueFrom.secretKeyRef", var.name),
        );
    }
    if let Some(source) = &var.value_from {
        let chosen = [
            source.config_map_key_ref.is_some(),
            source.secret_key_ref.is_some(),
            source.field_ref.is_some(),
        ];
        if chosen.into_iter().filter(|chosen| *chosen).count() != 1 {
            errors.add(
                format!("{field}.valueFrom"),
                "exactly one of configMapKeyRef, secretKeyRef and fieldRef must be set",
            );
        }
        for (reference, key) in [
            (&source.config_map_key_ref, "configMapKeyRef"),
            (&source.secret_key_ref, "secretKeyRef"),
        ] {
            if let Some(reference) = reference {
                super::check_object_name(&reference.name, &format!("{field}.valueFrom.{key}.name"), errors);
            }
        }
        if let Some(reference) = &source.field_ref {
            super::pieces::check_field_path(
                &reference.field_path,
                true,
                &format!("{field}.valueFrom.fieldRef.fieldPath"),
                errors,
            );
        }
    }
}
