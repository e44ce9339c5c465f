//! Networks that lose, delay and reorder, the same way for the same seed.

use std::time::Duration;

use crate::phone::Datagram;

/// Packets in a burst of losses, in the mean.
pub(crate) const BURST: f64 = 3.5;

/// How packets are lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Loss {
    /// None is.
    Nothing,
    /// This share, each by itself (Bernoulli).
    Random(f64),
    /// This share, [`BURST`] in a row in the mean (Gilbert: what is sent in the bad state is lost).
    Bursty(f64),
}

/// A way from a phone to us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Network {
    pub(crate) loss: Loss,
    /// Each packet is delayed by up to so much, evenly distributed and whatever the others do, so
    /// that they overtake each other.
    pub(crate) jitter: Duration,
}

impl Network {
    pub(crate) const CLEAN: Self = Self { loss: Loss::Nothing, jitter: Duration::ZERO };

    pub(crate) fn losing(loss: Loss) -> Self {
        Self { loss, ..Self::CLEAN }
    }

    pub(crate) fn jittery(ms: u64, loss: Loss) -> Self {
        Self { loss, jitter: Duration::from_millis(ms) }
    }

    /// What arrives of `sent`, in the order in which it does. No packet is spared, the first neither.
    pub(crate) fn carry(&self, sent: &[Datagram], seed: u64) -> Vec<Datagram> {
        // Two sources of chance, so that the same packets are lost whatever the jitter.
        let mut loss = fastrand::Rng::with_seed(seed);
        let mut delay = fastrand::Rng::with_seed(!seed);
        let mut bad = false;
        let mut arriving: Vec<Datagram> = sent
            .iter()
            .map(|datagram| Datagram {
                at: datagram.at + self.jitter.mul_f64(delay.f64()),
                ..datagram.clone()
            })
            .filter(|_| {
                let chance = loss.f64();
                bad = match self.loss {
                    Loss::Nothing => false,
                    Loss::Random(share) => chance < share,
                    Loss::Bursty(_) if bad => chance >= 1.0 / BURST,
                    Loss::Bursty(share) => chance < share / (1.0 - share) / BURST,
                };
                !bad
            })
            .collect();
        arriving.sort_by_key(|datagram| datagram.at);
        arriving
    }
}
