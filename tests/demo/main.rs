//! What newcomers run first, as it is written: the demo, its recording, and the commands of the quickstart and of troubleshooting.
#![cfg(test)]

mod guide;
mod recording;
mod show;
