//! The course: its sessions do what they say, its servers have the mistakes that its pages name, and what the
//! pages refer to exists.
//!
//! The sessions in the texts are acted out on Linux; other systems' tools print other words.

mod steps;

mod matrix;

mod pages;
