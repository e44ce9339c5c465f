//! What the signalling thread says of its accounts' registrations.

use tracing::{info, warn};

use crate::runtime::signalling::Signalling;
use crate::sip::account::RegistrationEvent;

impl Signalling {
    /// Something happened to the binding of an account.
    pub(super) fn handle_registration(&mut self, account: usize, event: &RegistrationEvent) {
        let name = self.accounts.get(account).map_or("", |account| account.name.as_str());
        self.metrics.registration(name, matches!(event, RegistrationEvent::Registered { .. }));
        match event {
            RegistrationEvent::Registered { expires } => {
                info!(account = name, expires_s = expires.as_secs(), "registered");
            }
            RegistrationEvent::Failed { why } => {
                self.metrics.registration_failed(name);
                warn!(account = name, %why, "not registered");
            }
            RegistrationEvent::Lost => warn!(account = name, "the binding lapsed"),
            RegistrationEvent::Withdrawn => info!(account = name, "unregistered"),
        }
    }
}
