//! The course: thirteen steps from an echo server to a chat server like the real one. This module contains the
//! text of the course, and the code that several steps share.
//!
#![doc = include_str!("links/2.md")]
#![doc = include_str!("course.md")]
// The link definitions at the end of these texts lead to source files, so the links work for everybody who browses
// the source files. In the documentation, the links must lead to pages of the documentation. The files in `links`
// define them in this way. They are included first, because rustdoc uses the first definition of a link. There is one
// such file for each depth of a page in the module tree.

pub mod mistakes {
    //! The mistakes of chat servers, on one page: for each mistake, the step that shows it, and the step that mends
    //! it.
    //!
    #![doc = include_str!("links/3.md")]
    #![doc = include_str!("links/items.md")]
    #![doc = include_str!("mistakes.md")]
}

pub mod glossary {
    //! The terms of the course. For each term: an explanation in one sentence, and a link to the step that introduces
    //! the term.
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
