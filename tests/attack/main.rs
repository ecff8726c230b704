//! Attacks on what keeps credentials from agents, and on the webhook that gives them out, carried out against the built programs.
#![cfg(test)]

mod admission;
mod network;
mod webhook;
