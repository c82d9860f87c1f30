//! The relay: one room on several servers. The server does not use it yet.
//!
//! One server has one order because all that happens is appended under one lock. Two servers have two locks,
//! and so two orders, and each gives the name `carol` away once. What helps is a **log** outside of all servers: a
//! list that grows at one end, in which each entry has one place. A stream of Redis or Valkey is such a list. A server
//! appends what its clients wish, and delivers nothing until it reads it back. As all apply the same entries in
//! the same order, all come to the same room: *state-machine replication*.
//!
//! The [`state`] decides, [`checkpoint`] lets a newcomer catch up; [`engine`] and [`resp`] speak to the engine.

pub mod entry;

pub mod state;

pub mod checkpoint;

pub mod engine;

pub mod resp;
