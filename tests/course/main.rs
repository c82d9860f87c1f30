//! The course: its steps and its chapter do what their texts say, and the real server does better.
//!
//! The sessions in the texts are acted out on Linux; elsewhere the same tools print other words.

#![cfg(unix)]

#[cfg(target_os = "linux")]
mod play;

#[cfg(target_os = "linux")]
mod terminal;

#[cfg(target_os = "linux")]
mod steps;

#[cfg(target_os = "linux")]
mod chapter;

mod fixed;
