//! What the configuration says about the audio of each peer and account.

use std::sync::Arc;

use crate::call::negotiation::MediaTerms;
use crate::config::Config;
use crate::config::rtp::{CodecName, CodecOrder, Rtp};
use crate::config::sip::Peer;
use crate::rtp::dtls::Identity;
use crate::rtp::security::SrtpPolicy;
use crate::sdp::answer::Order;
use crate::sdp::codec::Codec;

/// The terms of each peer and account, by name.
#[derive(Debug)]
pub struct MediaSettings {
    usual: MediaTerms,
    peers: Vec<(String, MediaTerms)>,
    accounts: Vec<(String, MediaTerms)>,
}

impl MediaSettings {
    /// Reads them; `identity` is our certificate for DTLS.
    pub fn read(config: &Config, identity: &Arc<Identity>) -> Self {
        let usual = terms(&config.rtp, identity);
        let accounts = config.sip.accounts.iter().map(|account| {
            (account.name.clone(), MediaTerms { srtp: account.srtp, ..usual.clone() })
        });
        let (peers, accounts) = (Vec::new(), accounts.collect());
        let mut settings = Self { usual, peers, accounts };
        settings.replace_peers(&config.sip.peers);
        settings
    }

    /// Other peers from now on; calls that stand have their terms already.
    pub fn replace_peers(&mut self, peers: &[Peer]) {
        let terms = peers.iter().map(|peer| {
            let (srtp, send_silence) = (peer.srtp, peer.send_silence);
            (peer.name.clone(), MediaTerms { srtp, send_silence, ..self.usual.clone() })
        });
        self.peers = terms.collect();
    }

    /// Of the peer whose call has come. Who is none of them is the registrar of some account; of
    /// which is not known here, so the strictest one counts.
    pub fn of_caller(&self, name: &str) -> &MediaTerms {
        let peer = self.peers.iter().find(|(known, _)| known == name);
        let strictness = |terms: &MediaTerms| match terms.srtp {
            SrtpPolicy::Off => 0,
            SrtpPolicy::Prefer => 1,
            SrtpPolicy::Require => 2,
        };
        let strictest = || self.accounts.iter().max_by_key(|(_, terms)| strictness(terms));
        peer.or_else(strictest).map_or(&self.usual, |(_, terms)| terms)
    }

    /// Of a call that we place: what its peer says goes before what its account says.
    pub fn of_called(&self, peer: Option<&str>, account: Option<&str>) -> &MediaTerms {
        let peer = peer.and_then(|peer| self.peers.iter().find(|(name, _)| name == peer));
        let account = account.and_then(|name| self.accounts.iter().find(|(n, _)| n == name));
        peer.or(account).map_or(&self.usual, |(_, terms)| terms)
    }
}

fn terms(rtp: &Rtp, identity: &Arc<Identity>) -> MediaTerms {
    let codecs = rtp.codecs.iter().flat_map(|name| match name {
        CodecName::Opus => &[Codec::Opus][..],
        CodecName::G722 => &[Codec::G722],
        CodecName::Pcma => &[Codec::Pcma],
        CodecName::Pcmu => &[Codec::Pcmu],
        CodecName::L16 => &[Codec::L16Wide, Codec::L16],
    });
    MediaTerms {
        codecs: codecs.copied().collect(),
        order: match rtp.codec_order {
            CodecOrder::Offer => Order::Theirs,
            CodecOrder::Ours => Order::Ours,
        },
        srtp: SrtpPolicy::default(),
        send_silence: false,
        identity: Some(Arc::clone(identity)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::runtime::dtls_identity;

    const SHIPPED: &str = include_str!("../../config/sidetone.toml");

    #[test]
    fn each_peer_and_account_has_its_own_terms_and_a_registrar_the_strictest() {
        let account = |name: &str, srtp: &str| {
            format!(
                "[[sip.account]]\nname = \"{name}\"\nregistrar = \"sip:192.0.2.1\"\n\
                 address = \"sip:a@192.0.2.1\"\nexpires_s = 120\nregister = true\nsrtp = \"{srtp}\"\n"
            )
        };
        let text = SHIPPED.replacen("# srtp = \"prefer\"", "srtp = \"off\"", 1).replacen(
            "# send_silence = false",
            "send_silence = true",
            1,
        ) + &account("lax", "prefer")
            + &account("strict", "require");
        let config = Config::parse(Path::new("sidetone.toml"), &text).expect("good");
        let settings = MediaSettings::read(&config, &dtls_identity::make().expect("randomness"));
        let told = |terms: &MediaTerms| (terms.srtp, terms.send_silence);
        assert_eq!(told(settings.of_caller("pbx")), (SrtpPolicy::Off, true));
        assert_eq!(told(settings.of_caller("registrar")), (SrtpPolicy::Require, false));
        assert_eq!(told(settings.of_called(None, Some("lax"))), (SrtpPolicy::Prefer, false));
        assert_eq!(told(settings.of_called(Some("pbx"), Some("lax"))), (SrtpPolicy::Off, true));
        assert_eq!(told(settings.of_called(None, None)), (SrtpPolicy::Prefer, false));
        let linear = [Codec::L16Wide, Codec::L16];
        assert!(settings.of_caller("pbx").codecs.ends_with(&linear), "one name, two rates");
    }
}
