//! DET curves: false rejects over false accepts, on axes that make normal scores straight lines.

use std::fmt::Write;

use crate::speaker::trials::Point;

/// Ends of both axes, as rates.
const ENDS: (f64, f64) = (0.0005, 0.4);
/// Rates at which the axes have a line.
const TICKS: [f64; 8] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2];
/// Size of the drawing and its margin, user units.
const SIZE: f64 = 480.0;
const MARGIN: f64 = 56.0;
/// Colours that stay apart for people who see few.
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000"];
/// Size of the curve in characters.
const COLUMNS: usize = 56;
const LINES: usize = 18;

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

/// The curves as one SVG document.
pub fn svg(curves: &[(String, Vec<Point>)]) -> String {
    let whole = SIZE + 2.0 * MARGIN;
    let x = |rate| MARGIN + SIZE * place(rate);
    let y = |rate| MARGIN + SIZE * (1.0 - place(rate));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {whole}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>DET curve</title>\n\
         <rect width=\"{whole}\" height=\"{whole}\" fill=\"#fff\"/>\n"
    );
    // Writing into a String cannot fail.
    for rate in TICKS {
        let (at_x, at_y, label) = (x(rate), y(rate), 100.0 * rate);
        let (near, far) = (MARGIN, MARGIN + SIZE);
        let _ = writeln!(
            svg,
            "<path d=\"M{at_x:.1} {near}V{far}M{near} {at_y:.1}H{far}\" stroke=\"#ddd\"/>\
             <text x=\"{at_x:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            far + 16.0,
            near - 6.0,
            at_y + 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<rect x=\"{MARGIN}\" y=\"{MARGIN}\" width=\"{SIZE}\" height=\"{SIZE}\" fill=\"none\" \
         stroke=\"#333\"/>\n<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">false accepts, %</text>\n\
         <text transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">false rejects, %</text>",
        whole / 2.0,
        whole - 14.0,
        whole / 2.0
    );
    for (n, (name, curve)) in curves.iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let mut path = String::new();
        for (n, point) in curve.iter().enumerate() {
            let command = if n == 0 { 'M' } else { 'L' };
            let (x, y) = (x(point.false_accept), y(point.false_reject));
            let _ = write!(path, "{command}{x:.1} {y:.1}");
        }
        let (at, name) = (MARGIN + 20.0 + 18.0 * n as f64, escaped(name));
        let _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{}\" y=\"{at}\" text-anchor=\"end\" fill=\"{colour}\">{name}</text>",
            MARGIN + SIZE - 10.0
        );
    }
    svg + "</svg>\n"
}

fn escaped(name: &str) -> String {
    name.replace('&', "&amp;").replace('<', "&lt;")
}

/// The curves in characters: the first as `*`, the second as `+`, and so on.
pub fn text(curves: &[(String, Vec<Point>)]) -> String {
    let marks = ['*', '+', 'o', 'x', '#'];
    let mut grid = vec![vec![' '; COLUMNS]; LINES];
    for (n, (_, curve)) in curves.iter().enumerate().rev() {
        for pair in curve.windows(2) {
            let [a, b] = pair else { continue };
            // A step of the curve is drawn cell by cell.
            for part in 0..=20 {
                let mix = |a: f64, b: f64| a + (b - a) * f64::from(part) / 20.0;
                let (fa, fr) =
                    (mix(a.false_accept, b.false_accept), mix(a.false_reject, b.false_reject));
                let column = (place(fa) * (COLUMNS - 1) as f64).round() as usize;
                let line = ((1.0 - place(fr)) * (LINES - 1) as f64).round() as usize;
                grid[line][column] = marks[n % marks.len()];
            }
        }
    }
    let mut text = String::from("false rejects, %\n");
    let nearest = |line: usize| {
        TICKS
            .iter()
            .find(|rate| ((1.0 - place(**rate)) * (LINES - 1) as f64).round() as usize == line)
    };
    for (n, line) in grid.iter().enumerate() {
        let label = nearest(n).map_or(String::new(), |rate| format!("{}", 100.0 * rate));
        let cells: String = line.iter().collect();
        let _ = writeln!(text, "{label:>5} |{}", cells.trim_end());
    }
    let mut axis = vec![' '; COLUMNS + 4];
    for rate in TICKS {
        let at = (place(rate) * (COLUMNS - 1) as f64).round() as usize;
        // Two numbers do not run into one another.
        if at > 0 && axis[at - 1] != ' ' {
            continue;
        }
        for (n, c) in format!("{}", 100.0 * rate).chars().enumerate() {
            axis[at + n] = c;
        }
    }
    let axis: String = axis.into_iter().collect();
    let _ = writeln!(text, "      +{}\n       {}", "-".repeat(COLUMNS), axis.trim_end());
    let names = curves.iter().zip(marks).map(|((name, _), mark)| format!("{mark} {name}"));
    let _ = writeln!(text, "false accepts, %    {}", names.collect::<Vec<_>>().join("   "));
    text
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
        let svg = svg(&[("ours".to_owned(), curve()), ("a<b".to_owned(), curve())]);
        assert_eq!(svg.matches("stroke-width=\"2\"").count(), 2);
        assert!(svg.contains(">ours<") && svg.contains(">a&lt;b<") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn the_text_shows_both_curves_within_its_frame() {
        let text =
            text(&[("ours".to_owned(), curve()), ("theirs".to_owned(), curve()[1..].to_vec())]);
        assert!(text.contains("* ours   + theirs"));
        assert!(text.lines().all(|line| line.chars().count() <= COLUMNS + 12));
        assert!(text.contains('*'));
    }
}
