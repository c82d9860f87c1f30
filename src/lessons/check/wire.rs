//! The words by which the examiner understands a server: one set for each wire.

/// How a server words what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// The wire of this course and of the real server.
    Line,
    /// Protohackers' problem 3, "Budget Chat".
    Budget,
    /// An echo server: steps 1 and 4.
    Echo,
}

impl Wire {
    /// Returns the wire of this name.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        match name {
            "line" => Ok(Self::Line),
            "budget" => Ok(Self::Budget),
            "echo" => Ok(Self::Echo),
            _ => Err(format!("there is no wire {name}")),
        }
    }

    /// Whether this line says to a newcomer that it is in.
    pub(crate) fn is_welcome(self, line: &str) -> bool {
        match self {
            Self::Budget => line.starts_with("* "),
            Self::Line | Self::Echo => line.contains("online:"),
        }
    }

    /// What the others see when `name` says `text`.
    pub(crate) fn said(self, name: &str, text: &str) -> String {
        match self {
            Self::Budget => format!("[{name}] {text}"),
            Self::Line | Self::Echo => format!("{name}: {text}"),
        }
    }

    /// Whether this line was said by the server.
    pub(crate) fn is_notice(self, line: &str) -> bool {
        line.starts_with(if self == Self::Budget { "* " } else { "[SERVER] " })
    }

    /// Whether this line says that `name` has come.
    pub(crate) fn is_join(self, line: &str, name: &str) -> bool {
        let word = if self == Self::Budget { "entered" } else { "joined" };
        self.is_notice(line) && line.contains(word) && line.contains(name)
    }

    /// Whether this line says that `name` has gone.
    pub(crate) fn is_leave(self, line: &str, name: &str) -> bool {
        self.is_notice(line) && line.contains("left") && line.contains(name)
    }
}
