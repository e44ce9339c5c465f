//! How well phrases are found: as lines, as JSON and as a curve of recall over false alarms.

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::eval::plot::{Axis, Plot};
use crate::cli::println;
use crate::keyword::detections::{
    Detection, Operating, at, curve, poisson, safe_threshold, wilson,
};
use crate::keyword::spotter::Spotter;
use crate::policy::rule::Policy;

/// How far above what was not said a threshold is put that is to be safe on other recordings, nats.
const MARGIN: f32 = 0.3;
/// False alarms an hour that the curve is told at.
const RATES: [f64; 4] = [0.0, 0.5, 1.0, 5.0];
/// False alarms an hour that the axis has a line at; none stands at its beginning.
const RATE_TICKS: [f64; 4] = [0.1, 1.0, 10.0, 100.0];

/// What one way to decide came to.
#[derive(Debug)]
pub struct Report<'a> {
    /// Its name.
    pub system: &'a str,
    /// Every phrase in every recording.
    pub detections: &'a [Detection],
    /// By phrase, nats.
    pub thresholds: &'a [f32],
    /// Length of the recordings.
    pub hours: f64,
}

/// What one phrase came to.
#[derive(Debug, Serialize)]
pub struct PhraseRow {
    id: String,
    /// Of the shortest way to say it.
    phones: Option<usize>,
    /// Whether it may be written with digits.
    number: bool,
    tokens: usize,
    threshold: f32,
    said: usize,
    found: usize,
    /// Nothing where it was never said.
    recall: Option<f64>,
    /// 95 %, Wilson.
    recall_interval: (f64, f64),
    false_alarms: usize,
    false_alarms_per_hour: f64,
    /// 95 %, Poisson.
    false_alarms_per_hour_interval: (f64, f64),
    curve: Vec<Operating>,
}

impl Report<'_> {
    fn of_phrase(&self, place: usize) -> Vec<Detection> {
        self.detections.iter().filter(|detection| detection.phrase == place).copied().collect()
    }

    /// What a threshold for each phrase does; the first stands for all in the answer.
    fn configured(&self) -> Operating {
        let of_phrase = |(place, threshold): (usize, &f32)| at(&self.of_phrase(place), *threshold);
        let mut points = self.thresholds.iter().enumerate().map(of_phrase);
        let first = points.next().unwrap_or_else(|| at(&[], 0.0));
        points.fold(first, |sum, point| Operating {
            threshold: sum.threshold,
            said: sum.said + point.said,
            found: sum.found + point.found,
            false_alarms: sum.false_alarms + point.false_alarms,
        })
    }

    /// What the safe threshold of either half does on the other.
    fn halves(&self) -> [Operating; 2] {
        let half = |odd: bool| -> Vec<Detection> {
            self.detections.iter().filter(|d| (d.recording % 2 == 1) == odd).copied().collect()
        };
        let (even, odd) = (half(false), half(true));
        [at(&odd, safe_threshold(&even, MARGIN)), at(&even, safe_threshold(&odd, MARGIN))]
    }

    /// As JSON.
    pub fn document(&self) -> Value {
        let configured = self.configured();
        json!({
            "system": self.system, "hours": self.hours, "configured": configured,
            "recall_interval": wilson(configured.recall(), configured.said),
            "false_alarms_per_hour_interval": self.per_hour(configured.false_alarms),
            "curve": curve(self.detections), "other_half": self.halves(),
        })
    }

    /// 95 % interval of the false alarms an hour, of which `count` were seen.
    fn per_hour(&self, count: usize) -> (f64, f64) {
        let (low, high) = poisson(count);
        (low / self.hours, high / self.hours)
    }

    /// What each phrase came to.
    pub fn by_phrase(&self, policy: &Policy, spotter: &Spotter) -> Vec<PhraseRow> {
        let row = |(place, phrase): (usize, &crate::policy::rule::WatchedPhrase)| {
            let of = self.of_phrase(place);
            let point = at(&of, self.thresholds[place]);
            let shape = spotter.shape_of(place);
            PhraseRow {
                id: phrase.id.clone(),
                phones: shape.map(|shape| shape.phones),
                number: shape.is_some_and(|shape| shape.number),
                tokens: spotter.tokens_of(place),
                threshold: point.threshold,
                said: point.said,
                found: point.found,
                recall: (point.said > 0).then(|| point.recall()),
                recall_interval: wilson(point.recall(), point.said),
                false_alarms: point.false_alarms,
                false_alarms_per_hour: point.false_alarms as f64 / self.hours,
                false_alarms_per_hour_interval: self.per_hour(point.false_alarms),
                curve: curve(&of),
            }
        };
        policy.phrases.iter().enumerate().map(row).collect()
    }

    /// A line for each phrase.
    pub fn print_by_phrase(&self, policy: &Policy, spotter: &Spotter) {
        for row in self.by_phrase(policy, spotter) {
            let (low, high) = row.recall_interval;
            let (least, most) = row.false_alarms_per_hour_interval;
            println!(
                "    {:<36} at {:>5.2}: {:>4} of {:>4} [{low:.3} {high:.3}], {} false alarms, {:.2} an hour [{least:.2} {most:.2}]",
                row.id,
                row.threshold,
                row.found,
                row.said,
                row.false_alarms,
                row.false_alarms_per_hour
            );
        }
    }

    /// Recall over false alarms an hour, where anything was said at all.
    pub fn curve(&self) -> Option<Vec<(f64, f64)>> {
        let points = curve(self.detections);
        let said = self.detections.iter().any(|detection| detection.said);
        (said && !points.is_empty()).then(|| {
            points.iter().map(|p| (p.false_alarms as f64 / self.hours, p.recall())).collect()
        })
    }

    /// As lines.
    pub fn print(&self) {
        let (system, hours, configured) = (self.system, self.hours, self.configured());
        let (least, most) = self.per_hour(configured.false_alarms);
        let alarms = format!(
            "{} false alarms, {:.2} an hour [{least:.2} {most:.2}]",
            configured.false_alarms,
            configured.false_alarms as f64 / hours
        );
        if configured.said == 0 {
            return println!(
                "  {system:<18} at {:>5.2}: none was said, {alarms}",
                configured.threshold
            );
        }
        let (low, high) = wilson(configured.recall(), configured.said);
        println!(
            "  {system:<18} at {:>5.2}: {:.3} [{low:.3} {high:.3}] of {}, {alarms}",
            configured.threshold,
            configured.recall(),
            configured.said
        );
        let both = self.halves().map(|half| {
            format!(
                "{:.3} of {} and {} false alarms at {:.2}",
                half.recall(),
                half.said,
                half.false_alarms,
                half.threshold
            )
        });
        println!("  {:<18} other half: {}", "", both.join("; "));
        let points = curve(self.detections);
        let told = RATES.iter().filter_map(|rate| {
            let within = |point: &&Operating| point.false_alarms as f64 / hours <= *rate;
            let point = points.iter().rev().find(within)?;
            Some(format!("{:.3} at {rate}", point.recall()))
        });
        println!(
            "  {:<18} recall at false alarms an hour: {}",
            "",
            told.collect::<Vec<_>>().join(", ")
        );
    }
}

/// Curves of (false alarms an hour, recall) by name, ready to be drawn.
pub fn plot(curves: &[(String, Vec<(f64, f64)>)]) -> Plot {
    let [first, .., last] = RATE_TICKS;
    // Decades, and the first tenth of the axis for what is rarer than its first line.
    let place = |rate: f64| match rate {
        rate if rate < first => 0.1 * rate / first,
        rate => (0.1 + 0.9 * (rate / first).log10() / (last / first).log10()).min(1.0),
    };
    let rates = std::iter::once(0.0).chain(RATE_TICKS);
    Plot {
        title: "Recall over false alarms",
        across: Axis {
            name: "false alarms an hour, all phrases",
            ticks: rates.map(|rate| (place(rate), rate.to_string())).collect(),
        },
        up: Axis {
            name: "recall, %",
            ticks: (0..=5).map(|n| (f64::from(n) / 5.0, (20 * n).to_string())).collect(),
        },
        curves: curves
            .iter()
            .map(|(name, curve)| {
                (name.clone(), curve.iter().map(|(rate, recall)| (place(*rate), *recall)).collect())
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_begins_at_no_false_alarm_and_ends_within_the_frame() {
        let curve = vec![(0.0, 0.5), (0.1, 0.6), (1000.0, 1.0)];
        let plot = plot(&[("ours".to_owned(), curve)]);
        let [(_, points)] = &plot.curves[..] else { panic!("{plot:?}") };
        assert_eq!((points[0], points[2]), ((0.0, 0.5), (1.0, 1.0)));
        assert!((points[1].0 - 0.1).abs() < 1e-9);
        let text = plot.text();
        assert!(text.contains("* ours") && text.contains("false alarms an hour"), "{text}");
    }

    #[test]
    fn of_phrases_that_nobody_says_there_is_no_curve() {
        let unsaid = Detection { recording: 0, phrase: 0, said: false, score: Some(-1.0) };
        let said = Detection { said: true, ..unsaid };
        let of = |detections: &[Detection]| {
            Report { system: "s", detections, thresholds: &[-2.0], hours: 2.0 }.curve()
        };
        assert_eq!(of(&[unsaid]), None);
        assert_eq!(of(&[said, unsaid]), Some(vec![(0.5, 1.0)]));
    }

    #[test]
    fn both_intervals_are_told() {
        let unsaid = Detection { recording: 0, phrase: 0, said: false, score: Some(-1.0) };
        let report = Report { system: "s", detections: &[unsaid], thresholds: &[-2.0], hours: 2.0 };
        let document = report.document();
        assert_eq!(document["configured"]["false_alarms"], 1);
        let high = document["false_alarms_per_hour_interval"][1].as_f64().expect("a number");
        assert!((high - 2.786).abs() < 0.01, "{high}");
        assert_eq!(document["recall_interval"], json!([0.0, 1.0]));
    }
}
