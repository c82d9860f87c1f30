//! The course: thirteen steps from an echo server to what the real server is. Text, and what the steps
//! have built.
//!
#![doc = include_str!("course.md")]

pub mod mistakes {
    //! The mistakes of chat servers, on one page: where each is seen, and from where on it is gone.
    //!
    #![doc = include_str!("mistakes.md")]
}

pub mod glossary {
    //! The terms of the course, in a sentence each, with the step that shows them.
    //!
    #![doc = include_str!("glossary.md")]
}

pub mod crossing {
    //! From the last step to the real server: what each module is called there, and what is added.
    //!
    #![doc = include_str!("crossing.md")]
}

pub mod costs {
    //! What the designs of steps 8, 10, 11 and 13 cost, to be measured by yourself.
    //!
    #![doc = include_str!("costs.md")]
}

pub mod teachers {
    //! For teachers: eight lessons of ninety minutes.
    //!
    #![doc = include_str!("teachers.md")]
}

pub mod built;
