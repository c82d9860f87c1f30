//! The course: its sessions do what they say, its servers have the mistakes that it says they have, and
//! what its pages name is there.
//!
//! The sessions in the texts are acted out on Linux; other systems' tools print other words.

mod steps;

mod matrix;

mod pages;
