//! What loss and jitter cost the speaker model, the phrase spotter and the spectrum: two tables in
//! Markdown (`make quality`).
//!
//! `cargo bench --bench loss -- gaps` prints the first alone, which is quick: what is put into a gap,
//! beside nothing at all and beside ITU-T G.711 Appendix I. `SIDETONE_QUALITY_EVERY` says of how many
//! orders one is used. Without the models or the recordings in `../shared/speech` it says so.
#![expect(clippy::print_stdout, reason = "the tables are what it is for")]
#![expect(clippy::disallowed_methods, reason = "a bench reads its arguments")]

#[path = "appendix_i.rs"]
mod appendix_i;
#[path = "../sim/line.rs"]
mod line;
#[path = "../sim/network.rs"]
mod network;
#[path = "../sim/phone.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod phone;
#[path = "../quality/mod.rs"]
mod quality;
#[path = "../store/mod.rs"]
mod store;

use std::time::Duration;

use sidetone::audio::concealment::Concealment;
use sidetone::audio::decoder::{Codec, Decoder};
use sidetone::audio::resampler::Upsampler;
use sidetone::rtp::packet::Packet;

use network::{Loss, Network};
use phone::{Datagram, Phone};
use quality::figures::{Change, Comparison, Outcome};
use quality::spectrum::{Distance, distance};
use quality::speech::{self, Sample};
use quality::{Quality, Way};

/// Samples of a packet at 8 kHz.
const PACKET: usize = 160;
/// Packets that are made up at most, as in `audio::playback`.
const LONGEST: usize = 6;

fn main() {
    if !speech::is_there() {
        return store::skip("the recordings in ../shared/speech are not there");
    }
    let every = std::env::var("SIDETONE_QUALITY_EVERY").ok();
    let every = every.and_then(|every| every.parse().ok()).unwrap_or(3);
    let sample = Sample { orders: every, strangers: 25 };
    gaps(sample);
    if !std::env::args().any(|argument| argument == "gaps") {
        networks(sample);
    }
}

// ---- what is put into a gap

type Bridge = fn(&[f32], usize, Option<&[f32]>) -> Vec<f32>;

fn gaps(sample: Sample) {
    let bridges: [(&str, Bridge); 3] = [
        ("silence", |_, length, _| vec![0.0; length]),
        ("G.711 Appendix I", |past, length, _| appendix_i::carried_on(past, length)),
        ("ours", |past, length, after| {
            let mut concealment = Concealment::new(phone::RATE);
            concealment.hear(past);
            concealment.bridge(length, after)
        }),
    ];
    let calls: Vec<Vec<f32>> =
        speech::calls(sample).iter().map(|call| coded(&call.audio)).collect();
    println!("| dB over touched frames | 5 % random | 10 % random | 5 % bursty | 10 % bursty |");
    println!("|---|---|---|---|---|");
    for (name, bridge) in bridges {
        print!("| {name} |");
        for loss in [Loss::Random, Loss::Bursty].map(|of| [of(0.05), of(0.10)]).concat() {
            let mut all = Distance::default();
            for (call, seed) in calls.iter().zip(0..) {
                all.add(bridged(call, Network::losing(loss), seed, bridge));
            }
            print!(" {:.2} |", all.mean());
        }
        println!();
    }
    println!();
}

/// What mu-law leaves of `audio`.
fn coded(audio: &[f32]) -> Vec<f32> {
    let (mut phone, mut decoder) = (Phone::new(Codec::Pcmu), Decoder::new(Codec::Pcmu));
    phone.say(audio);
    let payload = |datagram: &Datagram| {
        let packet = Packet::parse(&datagram.bytes).expect("a packet");
        decoder.decode(packet.payload).expect("audio")
    };
    phone.sent.iter().flat_map(payload).collect()
}

/// The distance that `bridge` leaves in the frames that it touches.
fn bridged(call: &[f32], network: Network, seed: u64, bridge: Bridge) -> Distance {
    let packets: Vec<&[f32]> = call.chunks_exact(PACKET).collect();
    let sent = (0..packets.len()).map(|n| Datagram {
        at: Duration::ZERO,
        from: phone::peer(),
        bytes: n.to_be_bytes().to_vec(),
    });
    let came = network.carry(&sent.collect::<Vec<_>>(), seed);
    let came = came.iter().map(|d| usize::from_be_bytes(d.bytes[..].try_into().expect("a number")));
    let (mut heard, mut touched) = (Vec::<f32>::new(), Vec::new());
    for n in came.chain([packets.len()]) {
        let gap = n - heard.len() / PACKET;
        if gap > 0 {
            touched.push((2 * heard.len(), 2 * n * PACKET));
            let after = packets.get(n).copied().filter(|_| gap <= LONGEST);
            let past = &heard[heard.len().saturating_sub(6 * PACKET)..];
            let filled = bridge(past, gap.min(LONGEST) * PACKET, after);
            heard.extend(filled);
            heard.resize(n * PACKET, 0.0);
        }
        heard.extend(packets.get(n).copied().unwrap_or_default());
    }
    let up = |samples: &[f32]| {
        let mut upsampler = Upsampler::new();
        [upsampler.push(samples), upsampler.flush()].concat()
    };
    distance(&up(&packets.concat()), &up(&heard), &touched).0
}

// ---- what networks do to a call

fn networks(sample: Sample) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let Some(mut quality) = Quality::load(sample, threads) else { return };
    println!(
        "| line | not played | net speech | coverage | dB touched | dB all | cosine, same speaker \
         | cosine, others | phrases found | not said |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let shares = [0.01, 0.03, 0.05, 0.10];
    let nothing = || Loss::Nothing;
    let jitters = [(50, nothing()), (100, nothing()), (150, nothing()), (150, Loss::Random(0.05))];
    let pcmu = shares
        .map(Loss::Random)
        .into_iter()
        .chain(shares.map(Loss::Bursty))
        .map(Network::losing)
        .chain(jitters.map(|(ms, loss)| Network::jittery(ms, loss)));
    let five = [Network::losing(Loss::Random(0.05))];
    let both = [five[0], Network::losing(Loss::Bursty(0.05))];
    rows(&mut quality, "PCMU", Way::new(Codec::Pcmu, Network::CLEAN), pcmu);
    rows(&mut quality, "G.722", Way::new(Codec::G722, Network::CLEAN), five);
    let opus = Way::new(Codec::Opus, Network::CLEAN);
    rows(&mut quality, "Opus", opus, both);
    let repeating = Way { expected_loss: 10, ..opus };
    rows(&mut quality, "Opus that repeats itself", repeating, both);
}

/// The clean line and then each of `networks`, compared with it.
fn rows(quality: &mut Quality, name: &str, way: Way, networks: impl IntoIterator<Item = Network>) {
    let clean = quality.measure(way);
    row(name, way.network, Comparison { clean: &clean, lossy: &clean });
    for network in networks {
        let lossy: Vec<Outcome> = quality.measure(Way { network, ..way });
        row(name, network, Comparison { clean: &clean, lossy: &lossy });
    }
    let (readers, windows, orders, said) = Comparison { clean: &clean, lossy: &clean }.trials();
    eprint_trials(name, readers, windows, orders, said);
}

#[expect(clippy::print_stderr, reason = "beside the table, not in it")]
fn eprint_trials(name: &str, readers: usize, windows: usize, orders: usize, said: usize) {
    eprintln!(
        "{name}: {readers} calls of readers, {windows} windows; {orders} orders, {said} phrases"
    );
}

fn row(name: &str, network: Network, of: Comparison<'_>) {
    let loss = match network.loss {
        Loss::Nothing => String::new(),
        Loss::Random(share) => format!(", {:.0} % lost at random", 100.0 * share),
        Loss::Bursty(share) => format!(", {:.0} % lost in bursts", 100.0 * share),
    };
    let jitter = match network.jitter.as_millis() {
        0 => String::new(),
        ms => format!(", 0-{ms} ms of jitter"),
    };
    let (touched, all) = of.distances();
    let ((same, of_same), (others, of_others)) = (of.same(), of.others());
    let (found, of_found) = of.found();
    let clean = network == Network::CLEAN;
    let cosine = |level: f64, change: Change| match clean {
        true => format!("{level:.3}"),
        false => format!("{level:.3} ({:+.3} ±{:.3})", change.mean, change.margin),
    };
    let phrases = match clean {
        true => format!("{:.1} %", 100.0 * found),
        false => format!(
            "{:.1} % ({:+.1} ±{:.1})",
            100.0 * found,
            100.0 * of_found.mean,
            100.0 * of_found.margin
        ),
    };
    println!(
        "| {name}{jitter}{loss} | {:.1} % | {:.0} % | {:.2} | {touched:.1} | {all:.2} | {} | {} | {} | {} |",
        100.0 * of.lost(),
        100.0 * of.net_speech(),
        of.coverage(),
        cosine(same, of_same),
        cosine(others, of_others),
        phrases,
        of.false_hits(),
    );
}
