//! The course: its sessions run as they are written, its servers have the mistakes that its pages name, and
//! everything to which the pages refer exists.
//!
//! The sessions in the texts are run on Linux only, since the tools of other systems print other texts.

mod steps;

mod matrix;

mod pages;
