//! Curves on two axes, as an SVG document and in characters; which rates lie where is the caller's.

use std::fmt::Write;

/// Size of the drawing and its margin, user units.
const SIZE: f64 = 480.0;
const MARGIN: f64 = 56.0;
/// Colours that stay apart for people who see few.
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000"];
/// Size of the curves in characters.
const COLUMNS: usize = 56;
const LINES: usize = 18;

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it measures.
    pub name: &'static str,
    /// Places on it, 0 to 1, that have a line, and what stands there.
    pub ticks: Vec<(f64, String)>,
}

/// What is drawn.
#[derive(Clone, Debug)]
pub struct Plot {
    /// Of the document.
    pub title: &'static str,
    /// From left to right.
    pub across: Axis,
    /// From bottom to top.
    pub up: Axis,
    /// By name the points, each a place on either axis, 0 to 1.
    pub curves: Vec<(String, Vec<(f64, f64)>)>,
}

impl Plot {
    /// As one SVG document.
    pub fn svg(&self) -> String {
        let whole = SIZE + 2.0 * MARGIN;
        let x = |place: f64| MARGIN + SIZE * place;
        let y = |place: f64| MARGIN + SIZE * (1.0 - place);
        let (near, far) = (MARGIN, MARGIN + SIZE);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {whole}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<title>{}</title>\n\
             <rect width=\"{whole}\" height=\"{whole}\" fill=\"#fff\"/>\n",
            self.title
        );
        // Writing into a String cannot fail.
        for (place, label) in &self.across.ticks {
            let _ = writeln!(
                svg,
                "<path d=\"M{:.1} {near}V{far}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                x(*place),
                x(*place),
                far + 16.0
            );
        }
        for (place, label) in &self.up.ticks {
            let _ = writeln!(
                svg,
                "<path d=\"M{near} {:.1}H{far}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                y(*place),
                near - 6.0,
                y(*place) + 4.0
            );
        }
        let _ = writeln!(
            svg,
            "<rect x=\"{MARGIN}\" y=\"{MARGIN}\" width=\"{SIZE}\" height=\"{SIZE}\" fill=\"none\" \
             stroke=\"#333\"/>\n<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n\
             <text transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            whole / 2.0,
            whole - 14.0,
            self.across.name,
            whole / 2.0,
            self.up.name
        );
        for (n, (name, curve)) in self.curves.iter().enumerate() {
            let colour = COLOURS[n % COLOURS.len()];
            let mut path = String::new();
            for (n, (across, up)) in curve.iter().enumerate() {
                let command = if n == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{command}{:.1} {:.1}", x(*across), y(*up));
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

    /// In characters: the first curve as `*`, the second as `+`, and so on.
    pub fn text(&self) -> String {
        let marks = ['*', '+', 'o', 'x', '#'];
        let column = |place: f64| (place * (COLUMNS - 1) as f64).round() as usize;
        let row = |place: f64| ((1.0 - place) * (LINES - 1) as f64).round() as usize;
        let mut grid = vec![vec![' '; COLUMNS]; LINES];
        for (n, (_, curve)) in self.curves.iter().enumerate().rev() {
            let mut mark = |(across, up): (f64, f64)| {
                grid[row(up)][column(across)] = marks[n % marks.len()];
            };
            if let [only] = curve[..] {
                mark(only);
            }
            for pair in curve.windows(2) {
                let [a, b] = pair else { continue };
                // A step of the curve is drawn cell by cell.
                for part in 0..=20 {
                    let mix = |a: f64, b: f64| a + (b - a) * f64::from(part) / 20.0;
                    mark((mix(a.0, b.0), mix(a.1, b.1)));
                }
            }
        }
        let mut text = format!("{}\n", self.up.name);
        for (n, line) in grid.iter().enumerate() {
            let tick = self.up.ticks.iter().find(|(place, _)| row(*place) == n);
            let label = tick.map_or("", |(_, label)| label);
            let cells: String = line.iter().collect();
            let _ = writeln!(text, "{label:>5} |{}", cells.trim_end());
        }
        let mut axis = vec![' '; COLUMNS + 4];
        for (place, label) in &self.across.ticks {
            let at = column(*place);
            // Two numbers do not run into one another.
            if at > 0 && axis[at - 1] != ' ' {
                continue;
            }
            for (n, c) in label.chars().enumerate() {
                axis[at + n] = c;
            }
        }
        let axis: String = axis.into_iter().collect();
        let _ = writeln!(text, "      +{}\n       {}", "-".repeat(COLUMNS), axis.trim_end());
        let names = self.curves.iter().zip(marks).map(|((name, _), mark)| format!("{mark} {name}"));
        let names: Vec<_> = names.collect();
        let _ = writeln!(text, "{}    {}", self.across.name, names.join("   "));
        text
    }
}

fn escaped(name: &str) -> String {
    name.replace('&', "&amp;").replace('<', "&lt;")
}
