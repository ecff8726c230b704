//! The credential as git hosts take it: a user name and a password, `Authorization: Basic`.

use crate::exec::fields::{Fields, Missing};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use vertex_injector_core::contract::git::{Login, UserName, Username};
use vertex_injector_core::git::config::GitHost;
use zeroize::Zeroizing;

/// Why nobody can log in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoLogin {
    /// A field is missing.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The name cannot be one.
    #[error("the user name in the credential has a colon or a control character, which no host can read")]
    Username,
    /// The password cannot be one.
    #[error("the password in the credential has a control character, which no host can read")]
    Password,
}

/// The value of the header with which to log in to a host.
///
/// # Errors
/// When the credential lacks what it needs; by name, never with a value.
pub fn authorization(login: &Login, host: &GitHost, fields: &Fields) -> Result<HeaderValue, NoLogin> {
    let of_host = if is_gitlab(host) {
        UserName::GITLAB
    } else {
        UserName::TOKEN
    };
    let username = match &login.username {
        Username::OfHost => of_host.as_str(),
        Username::Named(name) => name.as_str(),
        Username::Field(field) => fields.chosen(field)?.expose().trim_end(),
    };
    if username.parse::<UserName>().is_err() {
        return Err(NoLogin::Username);
    }
    // Files and Secrets often end with a newline.
    let password = fields.chosen(&login.password)?.expose().trim_end_matches(['\r', '\n']);
    if password.chars().any(char::is_control) {
        return Err(NoLogin::Password);
    }
    let both = Zeroizing::new(format!("{username}:{password}"));
    let header = Zeroizing::new(format!(
        "Basic {}",
        &*Zeroizing::new(BASE64_STANDARD.encode(both.as_bytes()))
    ));
    let mut header = HeaderValue::from_str(&header).map_err(|_| NoLogin::Password)?;
    header.set_sensitive(true);
    Ok(header)
}

fn is_gitlab(host: &GitHost) -> bool {
    host.host()
        .name()
        .is_some_and(|name| name.split('.').next() == Some("gitlab"))
}

#[cfg(test)]
mod tests {
    use super::{Login, NoLogin, Username, authorization};
    use crate::exec::fields::Fields;

    fn fields(json: &str) -> Fields {
        Fields::from_json(json.as_bytes()).unwrap()
    }

    fn login(username: Username) -> Login {
        Login {
            username,
            password: "token|password".parse().unwrap(),
        }
    }

    fn header(login: &Login, host: &str, json: &str) -> Result<String, NoLogin> {
        let header = authorization(login, &host.parse().unwrap(), &fields(json))?;
        assert!(header.is_sensitive());
        Ok(header.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_name_is_what_the_hosts_kind_expects() {
        let login = login(Username::OfHost);
        for (host, expected) in [
            // x-access-token:t
            ("github.com", "Basic eC1hY2Nlc3MtdG9rZW46dA=="),
            ("git.example.com", "Basic eC1hY2Nlc3MtdG9rZW46dA=="),
            // oauth2:t
            ("gitlab.com", "Basic b2F1dGgyOnQ="),
            ("gitlab.example.com:8443", "Basic b2F1dGgyOnQ="),
        ] {
            assert_eq!(
                header(&login, host, r#"{"token":"t"}"#).as_deref(),
                Ok(expected),
                "{host}"
            );
        }
    }

    #[test]
    fn name_and_password_can_be_fields_and_end_with_a_newline() {
        let field = login(Username::Field("user".parse().unwrap()));
        // me:secret
        let expected = Ok("Basic bWU6c2VjcmV0");
        assert_eq!(
            header(&field, "github.com", r#"{"user":"me\n","password":"secret\n"}"#).as_deref(),
            expected
        );
        let named = login(Username::Named("me".parse().unwrap()));
        assert_eq!(
            header(&named, "github.com", r#"{"password":"secret","token":""}"#).as_deref(),
            expected
        );
    }

    #[test]
    fn what_is_missing_or_unusable_is_named_and_not_shown() {
        let field = login(Username::Field("user".parse().unwrap()));
        for (json, words) in [
            (r#"{"canary":"canary-1"}"#, "has no field user"),
            (r#"{"user":"me"}"#, "has no field token or password"),
            (r#"{"user":"canary:me","token":"t"}"#, "colon"),
            (r#"{"user":"me","token":"canary\nx"}"#, "password"),
        ] {
            let error = header(&field, "github.com", json).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert!(!error.contains("canary-1") && !error.contains("canary:"), "{error}");
        }
    }
}
