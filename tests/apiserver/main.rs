//! The product around a real kube-apiserver: the chart installed by Helm, the webhook started as the
//! chart's notes say, and what kubectl then does to pods.
//!
//! A pod's injection is shown as the difference to the same pod in a namespace that has not opted
//! in, so every list of changes below is complete: whatever is not in it is as it was.
#![cfg(test)]

mod again;
mod alike;
mod audit;
mod brokers;
mod check;
mod difference;
mod failure;
mod guard;
mod in_pod;
mod networks;
mod pods;
mod policies;
mod proxy;
mod selection;
mod sidecars;
mod systems;
mod webhook;
mod world;
