//! Places one call and plays audio into it: the other side, for the demonstration and for load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};

use crate::audio::g711;
use crate::audio::pcm;
use crate::rtp::packet::Packet;
use crate::runtime::inference_thread::Backlog;
use crate::sdp::answer::Protection;
use crate::sdp::codec::Codec;
use crate::sdp::direction::Direction;
use crate::sdp::offer::Offer;
use crate::sdp::session::{self, Local, Origin};
use crate::sip::client_call::Placing;
use crate::sip::endpoint::Endpoint;
use crate::sip::event::{CallKey, End, Event, Output};
use crate::sip::hops::Way;
use crate::sip::info::PACKAGE;
use crate::sip::settings::Settings;
use crate::sip::transport::{Hop, Source};

/// Samples of one packet: 20 ms at 8 kHz.
const PACKET: usize = 160;
/// Length of one packet.
const PACKET_TIME: Duration = Duration::from_millis(20);
/// Mu-law code of silence.
const SILENCE: u8 = 0xff;
/// Largest datagram that is read whole.
const LARGEST_DATAGRAM: usize = 65_535;

/// A call to be placed.
#[derive(Clone, Debug)]
pub struct CallPlan {
    /// Whom to call.
    pub target: SocketAddr,
    /// Further fields of the INVITE.
    pub headers: Vec<(String, String)>,
    /// What to say, 8 kHz.
    pub audio: Vec<f32>,
    /// Silence after it, for the last verdicts to arrive.
    pub afterwards: Duration,
    /// How much faster than real time to send it.
    pub pace: f64,
    /// The called appliance's models: no packet is sent while they have work before them, so that
    /// on any machine nothing is lost to the pace.
    pub backlog: Option<Arc<Backlog>>,
}

/// How the other side saw the call.
#[derive(Clone, Debug, Default)]
pub struct CallReport {
    /// Bodies of the INFOs that came, in order.
    pub infos: Vec<String>,
    /// When each of them came, since the first packet of audio was sent; that packet's own 20 ms count as gone by.
    pub arrived: Vec<Duration>,
    /// RTCP datagrams that came.
    pub reports: u64,
    /// RTP datagrams that came; from one who only listens there are none.
    pub rtp: u64,
}

/// Why a call did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The system refused.
    #[error("the caller's socket: {0}")]
    Io(#[from] std::io::Error),
    /// They did not take it, or their answer was of no use.
    #[error("the call was not answered: {0}")]
    NotAnswered(String),
    /// They ended it before we did.
    #[error("the other side ended the call: {0:?}")]
    Ended(End),
}

struct Caller {
    endpoint: Endpoint,
    sip: UdpSocket,
    rtp: UdpSocket,
    rtcp: UdpSocket,
    call: CallKey,
    report: CallReport,
    datagram: Vec<u8>,
    /// Where to send audio, once answered.
    media: Option<SocketAddr>,
    /// When the first packet of it was sent.
    began: Option<Instant>,
    end: Option<End>,
}

/// Places the call, plays all of the audio and hangs up.
pub async fn place(plan: CallPlan) -> Result<CallReport, CallError> {
    let local = SocketAddr::new(plan.target.ip(), 0);
    let (sip, rtp, rtcp) = (
        UdpSocket::bind(local).await?,
        UdpSocket::bind(local).await?,
        UdpSocket::bind(local).await?,
    );
    let mut settings = Settings::new(sip.local_addr()?);
    settings.user = "caller".to_owned();
    settings.recv_info = vec![PACKAGE.to_owned()];
    let mut endpoint = Endpoint::new(settings, fastrand::u64(..));
    let description = Local { rtp: rtp.local_addr()?, rtcp_port: rtcp.local_addr()?.port() };
    let mut origin = Origin::new(fastrand::u64(..) >> 2);
    let offer = session::offer(
        description,
        &[Codec::Pcmu],
        Direction::SendOnly,
        &Protection::None,
        &mut origin,
    );
    let target = format!("sip:sidetone@{}", plan.target);
    let now = Instant::now();
    let call = endpoint.invite(
        now,
        Placing {
            way: Some(Way::Hop(Hop::udp(plan.target))),
            headers: plan.headers.clone(),
            offer: Some(offer),
            ..Placing::new(target)
        },
    );
    let report = CallReport::default();
    let datagram = vec![0; LARGEST_DATAGRAM];
    let mut caller = Caller {
        endpoint,
        sip,
        rtp,
        rtcp,
        call,
        report,
        datagram,
        media: None,
        began: None,
        end: None,
    };
    caller.drain().await?;
    caller.play(&plan).await?;
    caller.hang_up().await
}

impl Caller {
    /// Sends the audio at its pace, and the silence after it.
    async fn play(&mut self, plan: &CallPlan) -> Result<(), CallError> {
        while self.media.is_none() && self.end.is_none() {
            self.turn(None).await?;
        }
        let mut packets = pcm::to_i16(&plan.audio)
            .chunks(PACKET)
            .map(|chunk| chunk.iter().map(|&sample| g711::encode_ulaw(sample)).collect())
            .collect::<Vec<Vec<u8>>>();
        let silent = (plan.afterwards.as_secs_f64() / PACKET_TIME.as_secs_f64()) as usize;
        packets.resize(packets.len() + silent, vec![SILENCE; PACKET]);
        let mut clock = interval(PACKET_TIME.div_f64(plan.pace));
        // Behind schedule in real time it catches up; a pace that waits for the models has no schedule.
        clock.set_missed_tick_behavior(match plan.backlog {
            None => MissedTickBehavior::Burst,
            Some(_) => MissedTickBehavior::Delay,
        });
        let ssrc = fastrand::u32(..);
        for (n, payload) in packets.iter().enumerate() {
            // Another event may come first; the packet waits for its tick, and for the models.
            let behind = || plan.backlog.as_ref().is_some_and(|backlog| !backlog.is_empty());
            while !self.turn(Some(&mut clock)).await? || behind() {}
            let Some(media) = self.media.filter(|_| self.end.is_none()) else { break };
            let packet = Packet {
                payload_type: 0,
                marker: n == 0,
                sequence: n as u16,
                timestamp: (n * PACKET) as u32,
                ssrc,
                payload,
            };
            self.rtp.send_to(&packet.write(), media).await?;
            self.began.get_or_insert_with(Instant::now);
        }
        match self.end.take() {
            None => Ok(()),
            Some(end) => Err(CallError::Ended(end)),
        }
    }

    /// Says BYE and waits until the call is over.
    async fn hang_up(mut self) -> Result<CallReport, CallError> {
        self.endpoint.hang_up(Instant::now(), self.call, None);
        self.drain().await?;
        while self.end.is_none() || self.endpoint.stats().transactions_alive > 0 {
            // The BYE's own transaction is over with its answer; what lingers only absorbs repeats.
            if self.end.is_some() && self.endpoint.stats().calls_alive == 0 {
                break;
            }
            self.turn(None).await?;
        }
        Ok(self.report)
    }

    /// Waits for the next thing to happen; whether it was a tick of `clock`.
    async fn turn(&mut self, clock: Option<&mut Interval>) -> Result<bool, CallError> {
        let (mut rtp, mut rtcp) = ([0; 2048], [0; 2048]);
        let due =
            self.endpoint.poll_timeout().unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
        let tick = async {
            match clock {
                Some(clock) => drop(clock.tick().await),
                None => std::future::pending().await,
            }
        };
        let mut ticked = false;
        tokio::select! {
            read = self.sip.recv_from(&mut self.datagram) => {
                let (length, source) = read?;
                let source = Source::udp(source);
                self.endpoint.handle_message(Instant::now(), &source, &self.datagram[..length]);
            }
            _ = self.rtp.recv_from(&mut rtp) => self.report.rtp += 1,
            _ = self.rtcp.recv_from(&mut rtcp) => self.report.reports += 1,
            () = sleep_until(due.into()) => self.endpoint.handle_timeout(Instant::now()),
            () = tick => ticked = true,
        }
        self.drain().await?;
        Ok(ticked)
    }

    async fn drain(&mut self) -> Result<(), CallError> {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit { hop, bytes } => {
                    self.sip.send_to(&bytes, hop.address).await?;
                }
                Output::Event { event, .. } => self.handle_event(event)?,
                // The target is an address, under no account, and everybody may call.
                Output::Locate { .. } | Output::Registration { .. } | Output::Rejected { .. } => {}
            }
        }
        Ok(())
    }

    fn handle_event(&mut self, event: Event) -> Result<(), CallError> {
        match event {
            Event::Answered { sdp, .. } => {
                let answer = sdp.ok_or_else(|| CallError::NotAnswered("no SDP".to_owned()))?;
                let agreed = Offer::parse(&answer)
                    .map_err(|e| e.to_string())
                    .and_then(|answer| {
                        answer
                            .read_answer(&[Codec::Pcmu], Direction::SendOnly, &Protection::None)
                            .map_err(|e| e.to_string())
                    })
                    .map_err(CallError::NotAnswered)?;
                self.media = Some(agreed.rtp);
            }
            Event::InfoReceived { body, .. } => {
                self.report.infos.push(String::from_utf8_lossy(&body).into_owned());
                let since = self.began.map(|began| began.elapsed() + PACKET_TIME);
                self.report.arrived.push(since.unwrap_or_default());
            }
            Event::Ended(End::Refused { status }) => {
                return Err(CallError::NotAnswered(format!("status {status}")));
            }
            Event::Ended(end) => self.end = Some(end),
            Event::Invited(_)
            | Event::Confirmed { .. }
            | Event::Reinvited { .. }
            | Event::Described { .. }
            | Event::PauseAsked { .. }
            | Event::Progress { .. }
            | Event::ReinviteRefused { .. }
            | Event::InfoAnswered { .. }
            | Event::InfoFailed { .. }
            | Event::InfoSkipped { .. } => {}
        }
        Ok(())
    }
}
