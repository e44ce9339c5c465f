//! A service manager's end of `NOTIFY_SOCKET`: a real datagram socket, and what was told there.

use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use crate::appliance::{Appliance, Site, wait_for};

/// What a service told, and when.
pub(crate) struct Manager {
    path: String,
    told: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Manager {
    /// Listens in the folder of `site`, until the test ends.
    pub(crate) fn new(site: &Site) -> Self {
        let path = site.path("notify").display().to_string();
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        thread::spawn(move || {
            let mut message = [0; 4096];
            while let Ok(length) = socket.recv(&mut message) {
                let text = String::from_utf8_lossy(&message[..length]).into_owned();
                kept.lock().expect("no panic").push((Instant::now(), text));
            }
        });
        Self { path, told }
    }

    /// Starts `sidetone serve` on `site` with this manager and these variables.
    pub(crate) fn start(&self, site: &Site, more: &[(&str, &str)]) -> Appliance {
        let mut environment = vec![("NOTIFY_SOCKET", self.path.as_str())];
        environment.extend(more);
        Appliance::start_with(site, &environment)
    }

    /// The same where it answers HTTP over TLS.
    pub(crate) fn start_over_tls(&self, site: &Site) -> Appliance {
        Appliance::start_over_tls_with(site, &[("NOTIFY_SOCKET", &self.path)])
    }

    /// What was told so far, each message with its moment.
    pub(crate) fn told(&self) -> Vec<(Instant, String)> {
        self.told.lock().expect("no panic").clone()
    }

    /// How often a message with the line `line` came.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.told().iter().filter(|(_, told)| told.lines().any(|told| told == line)).count()
    }

    /// The newest status.
    pub(crate) fn status(&self) -> String {
        let told = self.told();
        let status =
            |told: &str| told.lines().find_map(|l| l.strip_prefix("STATUS=").map(str::to_owned));
        told.iter().rev().find_map(|(_, told)| status(told)).unwrap_or_default()
    }

    /// Waits for a status that holds `wanted`.
    pub(crate) fn wait_for_status(&self, wanted: &str) -> String {
        wait_for(wanted, || Some(self.status()).filter(|status| status.contains(wanted)))
    }
}
