//! The broker: what it accepts as a credential, how it fetches and keeps tokens, and what the built program shows an agent.
#![cfg(test)]

mod bodies;
mod budget;
mod calls;
mod clock;
mod credentials;
mod egress;
mod exchange;
mod failures;
mod hostile;
mod http2;
mod id_tokens;
mod injected;
mod inspection;
mod loopback;
mod manners;
mod metadata;
mod methods;
mod nearest;
mod process;
mod program;
mod proxy_program;
mod proxy_properties;
mod published;
mod room;
mod streams;
mod strict;
mod subject_urls;
mod unknown_fields;
mod vertex;
mod whole;
