//! The course: its steps and its chapter do what their texts say.
//!
//! The sessions in the texts are acted out on Linux; other systems' tools print other words.

mod steps;

mod chapter;
