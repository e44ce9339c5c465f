//! What 5 % of random loss may cost those who listen, on real speech with the real models.
//!
//! A smaller sample of what `make quality` prints, 40 orders and ten calls of five readers. Without
//! the models or the recordings in `../shared/speech` the test says so and passes.
#![expect(clippy::print_stderr, reason = "a measurement says what it found")]

#[path = "sim/line.rs"]
mod line;
#[path = "sim/network.rs"]
#[allow(dead_code, reason = "the bench knows worse ones")]
mod network;
#[path = "sim/phone.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod phone;
#[allow(dead_code, reason = "the bench prints more of it")]
mod quality;
mod store;

use sidetone::audio::decoder::Codec;

use network::{Loss, Network};
use quality::figures::Comparison;
use quality::speech::Sample;
use quality::{Quality, Way};

#[test]
fn five_percent_of_random_loss_costs_little() {
    let sample = Sample { orders: 8, strangers: 50 };
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
