//! How unlike two recordings of the same sound are: log-spectral distance.

use realfft::RealFftPlanner;

/// 32 ms at 16 kHz: two to six pitch periods.
const FRAME: usize = 512;
const HOP: usize = FRAME / 4;
/// Bins that are compared: up to 4 kHz, all that there is in telephone bandwidth.
const BINS: usize = FRAME / 4;
/// What is 50 dB below the recording's mean power counts as nothing, in both.
const FLOOR: f32 = 1e-5;
/// Sum of the squares of a Hann window of [`FRAME`].
const WINDOW_POWER: f32 = 0.375 * FRAME as f32;

/// Distances in dB, one a frame, summed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Distance {
    pub(crate) sum: f64,
    pub(crate) frames: usize,
}

impl Distance {
    pub(crate) fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.frames += other.frames;
    }

    pub(crate) fn mean(self) -> f64 {
        self.sum / self.frames.max(1) as f64
    }
}

/// From `meant` to `heard`, both at 16 kHz and of one time: over the frames that one of the ranges
/// in `touched` reaches, and over all.
pub(crate) fn distance(
    meant: &[f32],
    heard: &[f32],
    touched: &[(usize, usize)],
) -> (Distance, Distance) {
    let transform = RealFftPlanner::<f32>::new().plan_fft_forward(FRAME);
    let (mut frame, mut spectrum) = (transform.make_input_vec(), transform.make_output_vec());
    let mean = meant.iter().map(|s| s * s).sum::<f32>() / meant.len().max(1) as f32;
    let floor = mean * WINDOW_POWER * FLOOR;
    let mut powers = |samples: &[f32]| -> Vec<f32> {
        for (n, (place, sample)) in frame.iter_mut().zip(samples).enumerate() {
            let turn = (n as f32 + 0.5) / FRAME as f32 * std::f32::consts::TAU;
            *place = sample * (0.5 - 0.5 * turn.cos());
        }
        transform.process(&mut frame, &mut spectrum).expect("the lengths are its own");
        spectrum[1..=BINS].iter().map(|bin| bin.norm_sqr() + floor).collect()
    };
    let (mut of_touched, mut of_all) = (Distance::default(), Distance::default());
    let last = meant.len().min(heard.len()).saturating_sub(FRAME);
    for from in (0..last).step_by(HOP) {
        let frame = from..from + FRAME;
        let is_touched = touched.iter().any(|(start, end)| *start < frame.end && from < *end);
        // What nothing was lost of is the same.
        let of_frame = if meant[frame.clone()] == heard[frame.clone()] {
            0.0
        } else {
            let (meant, heard) = (powers(&meant[frame.clone()]), powers(&heard[frame]));
            let squares = meant.iter().zip(&heard).map(|(m, h)| (10.0 * (m / h).log10()).powi(2));
            f64::from(squares.sum::<f32>() / BINS as f32).sqrt()
        };
        let this = Distance { sum: of_frame, frames: 1 };
        of_all.add(this);
        if is_touched {
            of_touched.add(this);
        }
    }
    (of_touched, of_all)
}
