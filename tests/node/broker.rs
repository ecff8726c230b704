//! Brokers of pods that run.

mod away;
mod doctor;
mod ends;
mod mesh;
mod meshes;
mod modes;
mod pods;
mod rotation;
mod sniffed;
mod world;
