//! A line between browser and appliance that can be cut, and mended.

use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The line.
#[derive(Debug)]
pub(crate) struct Relay {
    /// Where the browser is to ask.
    pub(crate) address: SocketAddr,
    line: Arc<Mutex<Line>>,
}

#[derive(Debug, Default)]
struct Line {
    is_cut: bool,
    streams: Vec<TcpStream>,
}

impl Relay {
    /// A line to `to`.
    pub(crate) fn new(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let line = Arc::new(Mutex::new(Line::default()));
        let shared = Arc::clone(&line);
        // It ends with the test's process.
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let mut line = shared.lock().expect("no panic holds it");
                if line.is_cut {
                    continue;
                }
                let Ok(far) = TcpStream::connect(to) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (mut from, mut to) =
                        (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
                    thread::spawn(move || {
                        let _ = copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                line.streams.extend([near, far]);
            }
        });
        Self { address, line }
    }

    /// Cuts it, or mends it.
    pub(crate) fn cut(&self, is_cut: bool) {
        let mut line = self.line.lock().expect("no panic holds it");
        line.is_cut = is_cut;
        for stream in line.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
