//! What the README says holds: its commands run, its policies are valid and serve the pods that they are for, its tables
//! are those of the code, its files exist.
#![cfg(test)]

mod commands;
mod gcloud;
mod pages;
mod policies;
mod recipes;
mod tables;
mod text;
