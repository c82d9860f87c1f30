//! The course: thirteen steps from an echo server to what the real server is. Text, and what the steps
//! have built.
//!
#![doc = include_str!("links/2.md")]
#![doc = include_str!("course.md")]
// The links of these texts are for whoever browses the files. In the documentation the first definition of
// a link counts, and those come from `links`: a file for each depth of the page.

pub mod mistakes {
    //! The mistakes of chat servers, on one page: where each is seen, and where it is mended.
    //!
    #![doc = include_str!("links/3.md")]
    #![doc = include_str!("links/items.md")]
    #![doc = include_str!("mistakes.md")]
}

pub mod glossary {
    //! The terms of the course, in a sentence each, with the step that shows them.
    //!
    #![doc = include_str!("links/3.md")]
    #![doc = include_str!("glossary.md")]
}

pub mod costs {
    //! What the designs of steps 8, 10, 11 and 13 cost. Measure it yourself.
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
