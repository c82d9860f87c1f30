//! The chat as a stranger sees it: one binary of integration tests, a module for each topic.
//!
//! Every test starts a server of its own on a free port and talks to it over sockets, with the
//! texts written out as they are on the wire. Texts that the wire does not fix come from
//! `chat::protocol::replies`, so they stand in one place. See [`harness`] for how tests wait.

mod harness;

mod login;

mod nicknames;

mod messages;

mod text;

mod ordering;

mod commands;

mod leaving;

mod backlog;

mod history;

mod bad_input;

mod gateway;

mod shutdown;

mod log;

#[cfg(target_os = "linux")]
mod resources;

mod processes;

mod client;

mod piped_client;

mod quickstart;
