//! Attacks on what keeps credentials from agents, carried out against the built programs.
#![cfg(test)]

mod admission;
