//! DET curves: false rejects over false accepts, on axes that make normal scores straight lines.

use crate::cli::eval::plot::{Axis, Plot};
use crate::speaker::trials::Point;

/// Ends of both axes, as rates.
const ENDS: (f64, f64) = (0.0005, 0.4);
/// Rates at which the axes have a line.
const TICKS: [f64; 8] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2];
/// The normal deviate of a rate, to 4.5e-4 (Abramowitz and Stegun 26.2.23).
fn probit(rate: f64) -> f64 {
    let tail = rate.min(1.0 - rate).max(1e-12);
    let t = (-2.0 * tail.ln()).sqrt();
    let deviate = t
        - (2.515_517 + t * (0.802_853 + t * 0.010_328))
            / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)));
    if rate < 0.5 { -deviate } else { deviate }
}

/// Place of a rate on an axis, 0 to 1.
fn place(rate: f64) -> f64 {
    let (low, high) = (probit(ENDS.0), probit(ENDS.1));
    ((probit(rate) - low) / (high - low)).clamp(0.0, 1.0)
}

/// The curves, ready to be drawn.
pub fn plot(curves: &[(String, Vec<Point>)]) -> Plot {
    let axis = |name| Axis {
        name,
        ticks: TICKS.iter().map(|rate| (place(*rate), format!("{}", 100.0 * rate))).collect(),
    };
    let points = |curve: &[Point]| {
        let at = |point: &Point| (place(point.false_accept), place(point.false_reject));
        curve.iter().map(at).collect()
    };
    Plot {
        title: "DET curve",
        across: axis("false accepts, %"),
        up: axis("false rejects, %"),
        curves: curves.iter().map(|(name, curve)| (name.clone(), points(curve))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve() -> Vec<Point> {
        let point = |false_accept, false_reject| Point { false_accept, false_reject };
        vec![
            point(1.0, 0.0),
            point(0.1, 0.002),
            point(0.01, 0.01),
            point(0.0, 0.2),
            point(0.0, 1.0),
        ]
    }

    #[test]
    fn the_deviate_is_that_of_the_tables() {
        for (rate, deviate) in [(0.5, 0.0), (0.01, -2.326), (0.975, 1.960), (0.001, -3.090)] {
            assert!((probit(rate) - deviate).abs() < 1e-3, "{rate}");
        }
    }

    #[test]
    fn a_drawing_has_a_path_and_a_name_for_each_curve() {
        let svg = plot(&[("ours".to_owned(), curve()), ("a<b".to_owned(), curve())]).svg();
        assert_eq!(svg.matches("stroke-width=\"2\"").count(), 2);
        assert!(svg.contains(">ours<") && svg.contains(">a&lt;b<") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn the_text_shows_both_curves_within_its_frame() {
        let text =
            plot(&[("ours".to_owned(), curve()), ("theirs".to_owned(), curve()[1..].to_vec())])
                .text();
        assert!(text.contains("* ours   + theirs"));
        assert!(text.lines().all(|line| line.chars().count() <= 68));
        assert!(text.contains('*'));
    }
}
