//! The text format OpenMetrics 1.0 of what `prometheus` has gathered, which that package does not write, with the
//! exemplars that it does not know.

use std::fmt::Write as _;

use prometheus::proto::{LabelPair, MetricFamily, MetricType};

use super::exemplars::{Exemplar, Exemplars, Series};

/// Content type of [`render`].
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All `families`, and which conversation moved them last.
pub(super) fn render(families: &[MetricFamily], exemplars: &Exemplars) -> String {
    let mut text = String::new();
    for family in families {
        write_family(&mut text, family, exemplars);
    }
    text.push_str("# EOF\n");
    text
}

fn write_family(text: &mut String, family: &MetricFamily, exemplars: &Exemplars) {
    let (kind, of) = (family.get_field_type(), family.name());
    // A counter's family goes without the suffix that its samples have.
    let (name, word) = match kind {
        MetricType::COUNTER => (of.strip_suffix("_total").unwrap_or(of), "counter"),
        MetricType::HISTOGRAM => (of, "histogram"),
        MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => (of, "gauge"),
    };
    line(text, format_args!("# HELP {name} {}", escaped(family.help())));
    line(text, format_args!("# TYPE {name} {word}"));
    for metric in family.get_metric() {
        let (pairs, values) = (metric.get_label(), values(metric.get_label()));
        let exemplar = |bucket| {
            let series: Series = (of.to_owned(), values.clone(), bucket);
            exemplars.of(&series).as_ref().map(told).unwrap_or_default()
        };
        match kind {
            MetricType::COUNTER => {
                let value = number(metric.get_counter().get_value());
                let told = exemplar(None);
                line(text, format_args!("{name}_total{} {value}{told}", labels(pairs, None)));
            }
            MetricType::HISTOGRAM => {
                let histogram = metric.get_histogram();
                let buckets = histogram.get_bucket();
                let bounds = buckets.iter().map(|b| (b.upper_bound(), b.cumulative_count()));
                let all = (f64::INFINITY, histogram.get_sample_count());
                for (bucket, (bound, count)) in bounds.chain([all]).enumerate() {
                    let (labels, told) = (labels(pairs, Some(bound)), exemplar(Some(bucket)));
                    line(text, format_args!("{name}_bucket{labels} {count}{told}"));
                }
                // A sum of what may be negative is no counter: the format has none then, and no count either, which is
                // the last bucket's.
                if buckets.first().is_none_or(|bucket| bucket.upper_bound() >= 0.0) {
                    let (labels, sum) = (labels(pairs, None), number(histogram.get_sample_sum()));
                    line(text, format_args!("{name}_count{labels} {}", all.1));
                    line(text, format_args!("{name}_sum{labels} {sum}"));
                }
            }
            MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => {
                let value = number(metric.get_gauge().get_value());
                line(text, format_args!("{name}{} {value}", labels(pairs, None)));
            }
        }
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("a string takes every character");
}

fn values(pairs: &[LabelPair]) -> Vec<String> {
    pairs.iter().map(|pair| pair.value().to_owned()).collect()
}

/// In braces, if there are any; `bound` is a bucket's.
fn labels(pairs: &[LabelPair], bound: Option<f64>) -> String {
    let pairs = pairs.iter().map(|pair| format!("{}=\"{}\"", pair.name(), escaped(pair.value())));
    let bound = bound.map(|bound| format!("le=\"{}\"", number(bound)));
    let all: Vec<String> = pairs.chain(bound).collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

fn told(exemplar: &Exemplar) -> String {
    let Exemplar { reference, value, at } = exemplar;
    let value = number(*value);
    format!(" # {{conversation=\"{}\"}} {value} {at:.3}", escaped(reference))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

/// As the format writes it: 1.0, not 1, so that every number looks like one.
fn number(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        format!("{value:?}")
    }
}
