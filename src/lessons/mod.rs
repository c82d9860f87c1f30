//! The course: thirteen steps from an echo server to a chat server like the real one. This module contains the
//! text of the course, and the code that several steps share.
//!
#![doc = include_str!("links/2.md")]
#![doc = include_str!("course.md")]
// The link definitions at the end of these texts lead to source files, so they work where the files are browsed.
// In the documentation, the first definition of a link is used. So the files in `links`, which lead to pages of
// the documentation, are included first. There is one such file for each depth of a page.

pub mod mistakes {
    //! The mistakes of chat servers, on one page: which step shows each mistake, and which step mends it.
    //!
    #![doc = include_str!("links/3.md")]
    #![doc = include_str!("links/items.md")]
    #![doc = include_str!("mistakes.md")]
}

pub mod glossary {
    //! The terms of the course. For each term, one sentence explains it, and a link leads to its first step.
    //!
    #![doc = include_str!("links/3.md")]
    #![doc = include_str!("glossary.md")]
}

pub mod costs {
    //! The costs of the designs of steps 8, 10, 11 and 13, and how to measure these costs yourself.
    //!
    #![doc = include_str!("links/3.md")]
    #![doc = include_str!("costs.md")]
}

pub mod teachers {
    //! For teachers: eight lessons of ninety minutes.
    //!
    #![doc = include_str!("links/3.md")]
    #![doc = include_str!("teachers.md")]
}

pub mod built;
