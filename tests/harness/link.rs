//! A link between a server and an engine. A test can cut the link, or redirect it to another engine.

use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A link between one server and an engine. It forwards bytes in both directions until it is cut.
pub(crate) struct Link {
    address: SocketAddr,
    engine: Arc<Mutex<String>>,
    is_cut: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Link {
    pub(crate) fn to(engine: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let engine = Arc::new(Mutex::new(engine));
        let link = Self { address, engine, is_cut: Arc::default(), streams: Arc::default() };
        let engine = Arc::clone(&link.engine);
        let (is_cut, streams) = (Arc::clone(&link.is_cut), Arc::clone(&link.streams));
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if is_cut.load(Ordering::Relaxed) {
                    continue;
                }
                let engine =
                    engine.lock().expect("no thread panics while it holds the lock").clone();
                let Ok(far) = TcpStream::connect(engine) else { continue };
                let mut streams = streams.lock().expect("no thread panics while it holds the lock");
                for stream in [&near, &far] {
                    streams.extend(stream.try_clone());
                }
                let clones = (near.try_clone(), far.try_clone());
                let (Ok(near_too), Ok(far_too)) = clones else { continue };
                thread::spawn(move || pass_on(near, &far));
                thread::spawn(move || pass_on(far_too, &near_too));
            }
        });
        link
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Redirects new connections to another engine.
    pub(crate) fn lead_to(&self, engine: String) {
        *self.engine.lock().expect("no thread panics while it holds the lock") = engine;
    }

    /// Cuts the link if `is_cut` is true, and otherwise restores the link. In both cases, open connections are
    /// closed.
    pub(crate) fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::Relaxed);
        for stream in
            self.streams.lock().expect("no thread panics while it holds the lock").drain(..)
        {
            // This fails if the connection has already ended.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass_on(mut from: TcpStream, mut to: &TcpStream) {
    // When this direction ends, with or without an error, the opposite direction ends too.
    let _ = std::io::copy(&mut from, &mut to);
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
