//! An offer of several audio streams, each answered for itself: recordings of a call (RFC 7866 §7.1) have one for each
//! of its parties.

use std::net::IpAddr;

use sdp_types::Media;

use crate::sdp::answer::{AnswerError, Negotiated, Order, Terms};
use crate::sdp::direction::Direction;
use crate::sdp::offer::Offer;
use crate::sdp::session::{Origin, accepted, bare, refused};
use crate::sdp::stream::Stream;

/// One audio stream that is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered<'a> {
    /// Which m-line, from 0.
    pub index: usize,
    /// Its label (RFC 4574), by which metadata names it.
    pub label: Option<&'a str>,
}

/// What we answer to one of them.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Of which m-line.
    pub index: usize,
    media: Media,
    /// What it comes to.
    pub negotiated: Negotiated,
}

impl Offer {
    /// Its audio streams over RTP that are switched on, in the order of their m-lines.
    pub fn streams(&self) -> impl Iterator<Item = Offered<'_>> {
        let on = self.streams.iter().filter(|stream| stream.rtp.port() != 0);
        on.map(|stream| Offered { index: stream.index, label: stream.label.as_deref() })
    }

    /// Answers the stream of m-line `index` alone, as one who hears it and sends nothing.
    pub fn settle(&self, index: usize, terms: &Terms<'_>) -> Result<Settled, AnswerError> {
        let stream = self.streams.iter().find(|stream| stream.index == index);
        let stream = stream.ok_or(AnswerError::NoAudio)?;
        let protection = terms.protection(stream)?;
        let mut negotiated = Negotiated::of(stream, terms.codecs, protection)?;
        if terms.order == Order::Ours {
            terms.sort(&mut negotiated);
        }
        negotiated.direction = heard(stream);
        let media = accepted(&self.session.medias[index], terms.local, &negotiated, false);
        Ok(Settled { index, media, negotiated })
    }

    /// The answer with these streams in their places, and every other m-line refused in its own.
    pub fn answer_several(&self, ip: IpAddr, settled: &[Settled], origin: &mut Origin) -> String {
        let mut session = bare(ip);
        session.times.clone_from(&self.session.times);
        for (index, offered) in self.session.medias.iter().enumerate() {
            let ours = settled.iter().find(|settled| settled.index == index);
            session.medias.push(ours.map_or_else(|| refused(offered), |ours| ours.media.clone()));
        }
        origin.sign(session)
    }
}

fn heard(stream: &Stream) -> Direction {
    Direction::of(false, stream.direction.sends() && !stream.on_hold)
}
