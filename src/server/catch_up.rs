//! Catching up: the thread of one client that is behind.
//!
//! It takes the broadcaster's place at that one socket, where it may block for as long as the peer
//! takes something now and then, writes what the [backlog](super::backlog) holds for its client, and
//! hands the client back. The room does not notice.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::Scope;
use std::time::{Duration, Instant};

use super::backlog::{MAX_UNSENT_BYTES, Next};
use super::batch::Batch;
use super::client_id::ClientId;
use super::room::Room;
use crate::protocol::replies::LeaveReason;
use crate::system::socket::{limit_unsent, wait_until_writable};

/// How long a client may take nothing at all before it is too slow.
const MAX_STALL: Duration = Duration::from_secs(10);

/// How many slices are offered at once. Few, since the stack of each of these threads pays for them.
const MAX_SLICES: usize = 64;

/// With no more than this unsent a client can take a batch or two at once.
const LITTLE_UNSENT_BYTES: u32 = 256 << 10;

/// How long its return is put off until then. A client that needs longer has enough to take meanwhile.
const SETTLING_TIME: Duration = Duration::from_millis(50);

/// Where a client fell behind.
#[derive(Debug)]
pub struct CatchUp {
    /// The client.
    pub id: ClientId,
    /// Its connection.
    pub stream: Arc<TcpStream>,
    /// The batch of which it took only a part.
    pub batch: Arc<Batch>,
    /// How much of its view of that batch it took, in bytes.
    pub taken: usize,
}

/// Starts the thread of a client that fell behind. The scope joins it.
///
/// # Errors
///
/// When the system has no thread left.
pub fn start<'scope>(
    catch_up: CatchUp,
    room: &'scope Room,
    scope: &'scope Scope<'scope, '_>,
) -> io::Result<()> {
    let id = catch_up.id;
    let panicked = move || {
        room.registry.turn_out(id, LeaveReason::ConnectionLost);
        room.backlog.give_up(id);
    };
    let name = format!("{id} catch-up");
    room.threads.spawn(scope, name, move || catch_up.run(room), panicked)
}

impl CatchUp {
    /// Writes until the client has caught up, is finished, or is given up.
    fn run(self, room: &Room) {
        let Self { id, stream, mut batch, mut taken } = self;
        let framing = room.options.framing;
        loop {
            let view = framing.cut(batch.view(id));
            let slices = framing.slices_at_once(MAX_SLICES);
            let progress = |took| room.backlog.progress(id, took);
            if let Err(error) = write(&stream, view, slices, taken, progress) {
                room.give_up(id, &error);
                room.backlog.give_up(id);
                return;
            }
            if room.backlog.is_at_end(id) {
                settle(&stream);
            }
            match room.backlog.next(id) {
                Next::Take(next) => batch = next,
                Next::Finished { deaf } => return room.closing.close(stream, deaf),
                Next::CaughtUp | Next::GivenUp => return,
            }
            taken = 0;
        }
    }
}

/// Blocks for a moment until the peer has taken most of what the system holds for it; the connection
/// being over wakes it, too. Handed back with all of that unsent, a client falls behind in the next
/// round: a room can go on so for as long as it is loud, at half its speed.
fn settle(stream: &TcpStream) {
    // Where the system has no such bound it is handed back at once.
    if limit_unsent(stream, LITTLE_UNSENT_BYTES).is_ok() {
        wait_until_writable(stream, SETTLING_TIME);
        let _ = limit_unsent(stream, MAX_UNSENT_BYTES);
    }
}

/// Writes a view but for its first `taken` bytes, at most `most` slices at once. Blocks while the peer
/// takes nothing, until [`MAX_STALL`] without progress, which is `WouldBlock`, or until `progress` says
/// no; shutting the socket down wakes it.
fn write<'b>(
    mut stream: &TcpStream,
    mut view: impl Iterator<Item = &'b [u8]>,
    most: usize,
    mut taken: usize,
    progress: impl Fn(bool) -> bool,
) -> io::Result<()> {
    let mut took = Instant::now();
    loop {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, text) in slices[..most].iter_mut().zip(&mut view) {
            *slice = IoSlice::new(&text[taken.min(text.len())..]);
            taken = taken.saturating_sub(text.len());
            count += 1;
        }
        if count == 0 {
            return Ok(());
        }
        let mut unsent = &mut slices[..count];
        // Steps over slices that were taken before.
        IoSlice::advance_slices(&mut unsent, 0);
        while !unsent.is_empty() {
            match stream.write_vectored(unsent) {
                Ok(sent) => {
                    IoSlice::advance_slices(&mut unsent, sent);
                    took = Instant::now();
                    if !progress(true) {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The write timeout: short, so that this can look at the clock.
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        && took.elapsed() < MAX_STALL
                        && progress(false) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::socket::send_now;
    use std::net::TcpListener;

    /// Writes until nothing more is taken, and returns how much was.
    fn fill(stream: &TcpStream) -> u32 {
        let text = vec![b'x'; 64 << 10];
        let mut taken = 0;
        while let Ok(sent @ 1..) = send_now(stream, &[IoSlice::new(&text)]) {
            taken += u32::try_from(sent).unwrap();
        }
        taken
    }

    /// A connection to a peer that reads nothing.
    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        limit_unsent(&stream, MAX_UNSENT_BYTES).unwrap();
        (stream, listener.accept().unwrap().0)
    }

    #[test]
    fn who_is_handed_back_can_take_as_much_as_before() {
        let (never, _peer) = connection();
        let (once, _peer) = connection();
        settle(&once);
        assert!(fill(&once).abs_diff(fill(&never)) < LITTLE_UNSENT_BYTES);
    }
}
