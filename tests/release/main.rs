//! What `hack/release/build` makes, with programs that were built before: complete, the same wherever it is made, and the same as what
//! is tested. Building the programs takes minutes, and is left to a release.
#![cfg(test)]

mod files;
mod made;
mod published;
