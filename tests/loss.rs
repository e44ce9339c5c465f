//! What 5 % of random loss may cost those who listen, on real speech with the real models.
//!
//! A smaller sample of what `make quality` prints, 38 orders and ten calls of five readers. Without
//! the models or the recordings in `../shared/speech` the test says so and passes.
#![expect(clippy::print_stderr, reason = "a measurement says what it found")]

#[path = "sim/line.rs"]
mod line;
#[path = "sim/network.rs"]
mod network;
#[path = "sim/phone.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod phone;
#[allow(dead_code, reason = "the bench prints more of it")]
mod quality;
mod store;

use std::time::Duration;

use sidetone::audio::decoder::Codec;

use network::{BURST, Loss, Network};
use phone::{Datagram, peer};
use quality::figures::Comparison;
use quality::spectrum::distance;
use quality::speech::Sample;
use quality::{Quality, Way};

#[test]
fn five_percent_of_random_loss_costs_little() {
    let sample = Sample { orders: 8, strangers: 125 };
    let Some(mut quality) = Quality::load(sample, 2) else { return };
    let clean = quality.measure(Way::new(Codec::Pcmu, Network::CLEAN));
    let losing = Network::losing(Loss::Random(0.05));
    let lossy = quality.measure(Way::new(Codec::Pcmu, losing));
    let comparison = Comparison { clean: &clean, lossy: &lossy };
    let ((cosine, of_cosine), (found, of_found)) = (comparison.same(), comparison.found());
    eprintln!(
        "{:.1} % lost; cosine {cosine:.3} ({:+.3}), phrases {:.1} % ({:+.1}), {:?} trials",
        100.0 * comparison.lost(),
        of_cosine.mean,
        100.0 * found,
        100.0 * of_found.mean,
        comparison.trials(),
    );
    let (readers, windows, orders, said) = comparison.trials();
    assert!(readers == 10 && windows > 100 && orders > 30 && said > 90, "speech is there");
    assert!((comparison.lost() - 0.05).abs() < 0.01, "{}", comparison.lost());
    assert!(cosine > 0.5 && of_cosine.mean > -0.03, "{cosine} {of_cosine:?}");
    assert!(found > 0.8 && of_found.mean > -0.03, "{found} {of_found:?}");
}

// ---- what it is measured with

/// Which of 100,000 packets, 20 ms apart, arrive, in the order in which they do.
fn arriving(network: Network) -> Vec<u32> {
    let packet = |n: u32| Datagram {
        at: Duration::from_millis(20) * n,
        from: peer(),
        bytes: n.to_be_bytes().to_vec(),
    };
    let came = network.carry(&(0..100_000).map(packet).collect::<Vec<_>>(), 1);
    came.iter().map(|d| u32::from_be_bytes(d.bytes[..].try_into().expect("a number"))).collect()
}

#[test]
fn a_network_loses_its_share_in_bursts_of_their_length() {
    for (loss, length) in [(Loss::Random(0.05), 1.0 / 0.95), (Loss::Bursty(0.05), BURST)] {
        let came = arriving(Network::losing(loss));
        let lost = 100_000.0 - came.len() as f64;
        let bursts = came.windows(2).filter(|two| two[1] - two[0] > 1).count() as f64;
        assert!((lost / 100_000.0 - 0.05).abs() < 0.004, "{loss:?}: {lost}");
        assert!((lost / bursts / length - 1.0).abs() < 0.05, "{loss:?}: {}", lost / bursts);
    }
}

#[test]
fn jitter_reorders_and_loses_nothing() {
    assert!(arriving(Network::CLEAN).is_sorted());
    let mut came = arriving(Network::jittery(150, Loss::Nothing));
    assert!(came.windows(2).filter(|two| two[1] < two[0]).count() > 10_000);
    came.sort_unstable();
    assert_eq!(came, (0..100_000).collect::<Vec<_>>());
}

#[test]
fn twice_as_loud_is_six_decibels_away() {
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<f32> = (0..16_000).map(|_| random.f32() - 0.5).collect();
    let louder: Vec<f32> = noise.iter().map(|sample| 2.0 * sample).collect();
    // 100 samples lie in five frames of 512 that begin 128 apart.
    let (touched, all) = distance(&noise, &louder, &[(1_000, 1_100)]);
    assert!((touched.mean() - 6.02).abs() < 0.01 && touched.frames == 5, "{touched:?}");
    assert!((all.mean() - 6.02).abs() < 0.01 && all.frames == 121, "{all:?}");
    let (_, none) = distance(&noise, &noise, &[]);
    assert_eq!(none.mean(), 0.0);
}
