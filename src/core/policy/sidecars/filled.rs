//! What the preset of a sidecar fills in, before anything is checked.

use crate::api::{self, Preset};
use crate::presets::Known;

/// A sidecar as far as its defaults are filled in, whether or not the rest of it is right.
pub(in crate::policy) struct Filled<'s> {
    pub(super) sidecar: &'s api::Sidecar,
    pub(super) known: Option<&'static Known>,
    pub(in crate::policy) name: Option<&'s str>,
    pub(super) mcp_key: Option<&'s str>,
    /// The port that it has in every pod: the policy's, or that of a preset whose command is the policy's own and cannot be
    /// told another one.
    pub(in crate::policy) fixed: Option<i32>,
}

impl<'s> Filled<'s> {
    pub(in crate::policy) fn of(sidecar: &'s api::Sidecar) -> Self {
        let known = sidecar.preset.map(Preset::known);
        let own_command = known.filter(|_| !sidecar.command.is_empty());
        Self {
            sidecar,
            known,
            name: sidecar.name.as_deref().or(known.map(|known| known.name)),
            mcp_key: sidecar.mcp_key.as_deref().or(known.map(|known| known.name)),
            fixed: sidecar.port.or(own_command.map(|known| known.port.into())),
        }
    }

    /// The provider in `CREDENTIAL_IDS` whose credential it serves.
    pub(super) fn provider(&self) -> Option<&'s str> {
        self.known.map(|known| known.name).or(self.mcp_key)
    }
}
