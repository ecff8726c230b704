//! The credential wrapper: whom it sends what, what it makes of the answers, when it does so, and what the built program does to
//! the server that it runs.
#![cfg(test)]

mod ambient;
mod bootstrap;
mod clock;
mod control;
mod files;
mod git;
mod hosts;
mod http;
mod mapping;
mod mcp;
mod process;
mod program;
mod signals;
mod trust;
