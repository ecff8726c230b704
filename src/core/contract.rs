//! What the programs beside an agent are told, as one type each: [`broker::Broker`], [`exec::Exec`] and [`probe::Probe`].
//!
//! The injector writes them to the variables and arguments of a container. The program in there reads them back, from the
//! same variables and arguments or from the flags of a person at a shell. Names of flags and variables, defaults, and what
//! belongs together stand here alone; what a value reads as is always what was written.

pub mod broker;
pub mod choice;
pub mod exec;
pub mod git;
pub mod probe;
pub mod proxy;
pub mod setting;

/// The variable with files of certificates (PEM), separated by commas, that broker and wrapper trust beside the system's.
pub const CA_FILES: &str = "VERTEX_INJECTOR_CA_FILES";

/// The verb that copies the program into a directory.
pub const COPY: &str = "copy";

/// The directory that [`COPY`] copies to.
pub const TO: setting::Setting = setting::Setting::flag("to");
