//! From step 7: asks a newcomer for a name. Runs on the newcomer's thread, never in the accept loop.
//!
//! The real server's counterpart is [`server::login`](crate::server::login). There, a single time limit covers the
//! whole login.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::input::Input;

/// The time after which a newcomer that sends nothing is disconnected.
const LOGIN_TIME: Duration = Duration::from_secs(10);

/// Asks for a name until `join` accepts a name, and returns the member that `join` returned. Calls `join` only with
/// names that consist of letters, digits and hyphens. Returns `None` if the client ended its stream without a name.
///
/// Blocks until the newcomer has sent a line, for at most ten seconds per line.
///
/// # Errors
///
/// Any error of `read`, `write` or `join`. An error ends the session.
pub fn login<M>(
    mut stream: &TcpStream,
    input: &mut Input<'_>,
    join: impl Fn(&str) -> io::Result<Option<M>>,
) -> io::Result<Option<M>> {
    stream.set_read_timeout(Some(LOGIN_TIME))?;
    loop {
        stream.write_all(b"[SERVER] Enter your nickname:\n")?;
        let Some(name) = input.next_line()? else { return Ok(None) };
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '-');
        if is_name && let Some(member) = join(&name)? {
            stream.set_read_timeout(None)?;
            return Ok(Some(member));
        }
        stream.write_all(b"[SERVER] That name is taken, or not a name.\n")?;
    }
}
