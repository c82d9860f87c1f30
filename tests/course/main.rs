//! The course: its steps do what their texts say.
//!
//! The sessions in the texts are acted out on Linux; elsewhere the same tools print other words.

#![cfg(target_os = "linux")]

mod play;

mod terminal;

mod steps;
