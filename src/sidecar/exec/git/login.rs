//! The credential as git hosts take it: a user name and a password, `Authorization: Basic`.

use crate::exec::fields::{Choice, Fields, Missing};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use vertex_injector_core::git::config::GitHost;
use zeroize::Zeroizing;

/// Where name and password come from.
#[derive(Debug, Clone)]
pub struct Login {
    /// The name.
    pub username: Username,
    /// The field of the password.
    pub password: Choice,
}

/// Where the name comes from.
#[derive(Debug, Clone)]
pub enum Username {
    /// What the host's kind expects beside a token: `oauth2` at GitLab, else `x-access-token`.
    OfHost,
    /// This one.
    Named(String),
    /// A field of the credential.
    Field(Choice),
}

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

impl Login {
    /// The value of the header.
    ///
    /// # Errors
    /// When the credential lacks what it needs; by name, never with a value.
    pub fn authorization(&self, host: &GitHost, fields: &Fields) -> Result<HeaderValue, NoLogin> {
        let username = match &self.username {
            Username::OfHost if is_gitlab(host) => "oauth2",
            Username::OfHost => "x-access-token",
            Username::Named(name) => name,
            Username::Field(field) => field.of(fields)?.expose().trim_end(),
        };
        if !is_username(username) {
            return Err(NoLogin::Username);
        }
        // Files and Secrets often end with a newline.
        let password = self.password.of(fields)?.expose().trim_end_matches(['\r', '\n']);
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
}

/// Whether this can be a user name in Basic authentication.
pub fn is_username(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c == ':' || c.is_control())
}

fn is_gitlab(host: &GitHost) -> bool {
    host.host()
        .name()
        .is_some_and(|name| name.split('.').next() == Some("gitlab"))
}

#[cfg(test)]
mod tests {
    use super::{Login, NoLogin, Username};
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
        let header = login.authorization(&host.parse().unwrap(), &fields(json))?;
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
        let named = login(Username::Named("me".to_owned()));
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
