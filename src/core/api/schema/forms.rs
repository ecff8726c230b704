//! What a text has to look like, in words: who mistyped a region is not helped by a regular expression.

/// What each pattern of the schema wants, to follow "is not". A test finds a pattern that is missing here.
const FORMS: [(&str, &str); 28] = [
    (
        r"^projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/providers/[a-z0-9-]{4,32}$",
        "a provider's full name with the project's number, such as \
         projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster",
    ),
    (
        r"^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$",
        "a project's ID: 6 to 30 small letters, digits and hyphens, with a letter first, such as my-project",
    ),
    (
        r"^(global|us|eu|[a-z]+-[a-z]+[0-9]+)$",
        "global, us, eu, or a region such as us-east5",
    ),
    (
        r"^[a-z0-9][a-z0-9.-]*@[a-z0-9.-]+\.gserviceaccount\.com$",
        "a service account's address, such as agent@my-project.iam.gserviceaccount.com",
    ),
    (
        r"^[A-Za-z0-9][A-Za-z0-9._@-]*$",
        "a model's name, such as claude-sonnet-4-5@20250929",
    ),
    (
        r"^[A-Za-z0-9*][A-Za-z0-9._@*-]*$",
        "a model's name, in which * stands for anything, such as claude-*",
    ),
    (
        r"^https://[^/?#@\s]+$",
        "https:// with a host and nothing behind it but a port, such as https://example.com",
    ),
    (
        r"^https?://[^?#@\s]+$",
        "a URL that begins with https:// or http:// and has no ?, # and @, such as https://example.com/token",
    ),
    (
        r"^/[A-Za-z0-9._~/-]*$",
        "a path of letters, digits and ._~/- that begins with /, such as /mcp",
    ),
    (r"^/[A-Za-z0-9._@/-]+$", "an absolute path of letters, digits and ._@/-"),
    (
        r"^/[^:\s]*$",
        "an absolute path without colons and spaces, such as /etc/agent",
    ),
    (
        r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[1-9][0-9]{0,4})?$",
        "a host, perhaps with a port, such as github.com or git.example.com:8443",
    ),
    (
        r"^[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~*-]+)+$",
        "HOST/OWNER/REPO, in which * stands for any text, such as github.com/acme/*",
    ),
    (
        r"^[A-Za-z_][A-Za-z0-9_]*$",
        "a variable's name: letters, digits and underscores, with no digit first",
    ),
    (
        r"^[-._a-zA-Z0-9]+$",
        "a key of letters, digits and -._, such as key.json",
    ),
    (
        r"^[A-Za-z0-9_][-A-Za-z0-9._]*$",
        "a file's name of letters, digits and -._, with no hyphen or dot first",
    ),
    (
        r"^[A-Za-z0-9][-A-Za-z0-9_.]*$",
        "a name of letters, digits and -._, with a letter or digit first",
    ),
    (
        r"^[A-Za-z0-9._-]+(\|[A-Za-z0-9._-]+)*$",
        "a field of the credential, or several of which the first that exists is taken, such as apiToken|token",
    ),
    (
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "a name of small letters, digits and hyphens, with no hyphen at its ends",
    ),
    (
        r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$",
        "a name of small letters, digits and hyphens, with no hyphen at its ends",
    ),
    (
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "a name of small letters, digits, hyphens and dots, with a letter or digit at each end",
    ),
    (
        r"^[0-9]+(\.[0-9]+)?m?$",
        "a quantity of processors, such as 100m or 0.5",
    ),
    (
        r"^[0-9]+(\.[0-9]+)?([kMGTPE]i?|Ki)?$",
        "a quantity of memory, such as 64Mi",
    ),
    (
        r"^[0-9]+(\.[0-9]+)?([eE][0-9]+|m|[kMGTPE]i?|Ki)?$",
        "a quantity, such as 64Mi",
    ),
    (r"^(Memory)?$", "Memory or empty"),
    (r"^\S+$", "text without spaces"),
    (r"^[^\s,]+$", "text without spaces and commas"),
    (r"^[^\r\n]*$", "text of one line"),
];

/// What a pattern wants; none for one that is not of the schema.
pub(super) fn of(pattern: &str) -> Option<&'static str> {
    FORMS
        .iter()
        .find_map(|(known, form)| (*known == pattern).then_some(*form))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::crds;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn patterns<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("pattern").and_then(Value::as_str));
                map.values().for_each(|value| patterns(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| patterns(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_pattern_of_the_definitions_is_told_in_words_and_no_other() {
        let definitions = serde_json::to_value(crds()).unwrap();
        let mut found = BTreeSet::new();
        patterns(&definitions, &mut found);
        // Those of every object's metadata are the API server's own.
        let metadata = BTreeSet::from([
            r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$",
            r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        ]);
        found.extend(&metadata);
        assert_eq!(found, FORMS.iter().map(|(pattern, _)| *pattern).collect());
    }

    #[test]
    fn every_example_is_of_its_form() {
        for (pattern, form) in FORMS {
            let Some((_, examples)) = form.split_once("such as ") else {
                continue;
            };
            let pattern = regex::Regex::new(pattern).unwrap();
            for example in examples.split(" or ").map(|example| example.split(',').next().unwrap()) {
                assert!(pattern.is_match(example), "{form}");
            }
        }
    }
}
