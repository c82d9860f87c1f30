//! The texts of the wires that the examiner understands.

/// A wire: the form of the lines that a server and its clients send.
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
    /// Returns the wire with this name.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        match name {
            "line" => Ok(Self::Line),
            "budget" => Ok(Self::Budget),
            "echo" => Ok(Self::Echo),
            _ => Err(format!("there is no wire {name}")),
        }
    }

    /// Whether this line tells a newcomer that it has joined.
    pub(crate) fn is_welcome(self, line: &str) -> bool {
        match self {
            Self::Budget => line.starts_with("* "),
            Self::Line | Self::Echo => line.contains("online:"),
        }
    }

    /// Returns the line that the other clients receive if the client `name` sends `text`.
    pub(crate) fn said(self, name: &str, text: &str) -> String {
        match self {
            Self::Budget => format!("[{name}] {text}"),
            Self::Line | Self::Echo => format!("{name}: {text}"),
        }
    }

    /// Whether this line comes from the server itself.
    pub(crate) fn is_notice(self, line: &str) -> bool {
        line.starts_with(if self == Self::Budget { "* " } else { "[SERVER] " })
    }

    /// Whether this line says that `name` has joined.
    pub(crate) fn is_join(self, line: &str, name: &str) -> bool {
        let word = if self == Self::Budget { "entered" } else { "joined" };
        self.is_notice(line) && line.contains(word) && line.contains(name)
    }

    /// Whether this line says that `name` has left.
    pub(crate) fn is_leave(self, line: &str, name: &str) -> bool {
        self.is_notice(line) && line.contains("left") && line.contains(name)
    }
}
