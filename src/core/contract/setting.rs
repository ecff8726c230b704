//! Settings by name, and how their values are read.

use std::fmt::{self, Display};
use std::str::FromStr;

/// A setting of a program, as its flag and perhaps a variable name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The flag, without its dashes.
    pub flag: &'static str,
    /// The variable that is read where the flag is not given.
    pub variable: Option<&'static str>,
}

impl Setting {
    /// One that has a flag only.
    pub const fn flag(flag: &'static str) -> Self {
        Self { flag, variable: None }
    }

    /// One that has a variable too.
    pub const fn variable(flag: &'static str, variable: &'static str) -> Self {
        Self {
            flag,
            variable: Some(variable),
        }
    }
}

impl Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{}", self.flag)
    }
}

/// Settings that cannot be used: which, why, and what could be. Shows what was given for a port, and nothing else of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(pub(super) String);

/// A setting with one value for each time that it is written.
pub type Written = Vec<(Setting, String)>;

/// What was given, as text: for each setting its values in order, none when it was not given.
pub struct Given<'g>(&'g dyn Fn(Setting) -> Vec<String>);

impl<'g> Given<'g> {
    /// What `values` says was given.
    pub fn new(values: &'g dyn Fn(Setting) -> Vec<String>) -> Self {
        Self(values)
    }

    /// Whether it was given.
    pub(super) fn has(&self, setting: Setting) -> bool {
        !(self.0)(setting).is_empty()
    }

    /// Its one value. Of several the last counts.
    pub(super) fn one<T: FromStr<Err: Display>>(&self, setting: Setting) -> Result<Option<T>, Wrong> {
        (self.0)(setting).last().map(|text| parse(setting, text)).transpose()
    }

    /// Its value, without which nothing can be done.
    pub(super) fn needed<T: FromStr<Err: Display>>(&self, setting: Setting) -> Result<T, Wrong> {
        self.one(setting)?.ok_or_else(|| {
            let variable = setting
                .variable
                .map(|name| format!(", or set {name}"))
                .unwrap_or_default();
            Wrong(format!("{setting} is missing; give it{variable}"))
        })
    }

    /// All of its values, in order.
    pub(super) fn each<T: FromStr<Err: Display>>(&self, setting: Setting) -> Result<Vec<T>, Wrong> {
        let texts = (self.0)(setting);
        texts.iter().map(|text| parse(setting, text)).collect()
    }

    /// The same for values that cannot hold a comma, which may separate them as well.
    pub(super) fn list<T: FromStr<Err: Display>>(&self, setting: Setting) -> Result<Vec<T>, Wrong> {
        let texts = (self.0)(setting);
        let parts = texts.iter().flat_map(|text| text.split(','));
        parts.map(|text| parse(setting, text)).collect()
    }

    /// A port; 0 lets the system choose.
    pub(super) fn port(&self, setting: Setting) -> Result<Option<u16>, Wrong> {
        Ok(self.one(setting)?.map(|Port(port)| port))
    }
}

fn parse<T: FromStr<Err: Display>>(setting: Setting, text: &str) -> Result<T, Wrong> {
    text.parse().map_err(|problem| Wrong(format!("{setting}: {problem}")))
}

struct Port(u16);

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let port = text.parse().map(Self);
        port.map_err(|_| format!("{text:?} is no port; ports are numbers up to 65535, and 0 lets the system choose"))
    }
}

/// Lets a kind that has `ALL` and `name` be written and read by name.
macro_rules! by_name {
    ($($kind:ty),*) => {$(
        impl $kind {
            /// The names of all.
            pub fn names() -> Vec<&'static str> {
                Self::ALL.iter().map(|known| known.name()).collect()
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $kind {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let known = Self::ALL.iter().copied().find(|known| known.name() == text);
                known.ok_or_else(|| format!("not one of {}", Self::names().join(", ")))
            }
        }
    )*};
}
pub(super) use by_name;
