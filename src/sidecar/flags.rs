//! The settings of the contract as flags, for people at a shell: what they are called is the contract's, what they mean to a
//! person is written here.

use clap::builder::{PossibleValuesParser, StyledStr};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, Error};
use vertex_injector_core::contract::setting::{Given, Setting, Wrong};

/// What a verb is told, with its flags.
pub trait Contract: Sized {
    /// The flags.
    fn flags() -> Vec<Arg>;

    /// What they say together.
    ///
    /// # Errors
    /// When they cannot be used.
    fn read(given: &Given<'_>) -> Result<Self, Wrong>;
}

/// What the flags and variables of a verb tell it.
#[derive(Debug, Clone)]
pub struct Told<T>(pub T);

impl<T: Contract> clap::FromArgMatches for Told<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let values = |setting: Setting| {
            let values = matches.try_get_many::<String>(setting.flag).ok().flatten();
            values.into_iter().flatten().cloned().collect()
        };
        T::read(&Given::new(&values))
            .map(Self)
            .map_err(|wrong| Error::raw(ErrorKind::ValueValidation, wrong))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<T: Contract> clap::Args for Told<T> {
    fn augment_args(command: Command) -> Command {
        command.args(T::flags())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// A flag that is given once.
pub(crate) fn one(setting: Setting, value: &'static str, help: impl Into<StyledStr>) -> Arg {
    let arg = Arg::new(setting.flag)
        .long(setting.flag)
        .value_name(value)
        .help(help.into());
    match setting.variable {
        Some(name) => arg.env(name),
        None => arg,
    }
}

/// A flag that may be repeated.
pub(crate) fn many(setting: Setting, value: &'static str, help: impl Into<StyledStr>) -> Arg {
    one(setting, value, help).action(ArgAction::Append)
}

/// A flag whose values are separated by commas.
pub(crate) fn list(setting: Setting, value: &'static str, help: impl Into<StyledStr>) -> Arg {
    many(setting, value, help).value_delimiter(',')
}

/// The only values of a flag.
pub(crate) fn of(names: impl IntoIterator<Item = &'static str>) -> PossibleValuesParser {
    names.into_iter().collect::<Vec<_>>().into()
}
