//! The dashboards and provisioning files that are shipped for Grafana, as far as they can be checked without one: the
//! JSON was checked against the types of Grafana's own package `@grafana/schema` 13.2.3, whose schema version they have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

const FOLDER: &str = "config/grafana/dashboards";
const PROVIDER: &str = include_str!("../../config/grafana/provisioning/dashboards/sidetone.yml");
const SOURCE: &str = include_str!("../../config/grafana/provisioning/datasources/sidetone.yml");

/// All of them, by file.
pub(crate) fn dashboards() -> BTreeMap<String, Value> {
    let files = fs::read_dir(FOLDER).expect("dashboards");
    let read = files.map(|file| {
        let file = file.expect("an entry").path();
        let text = fs::read_to_string(&file).expect("a dashboard");
        (file.display().to_string(), serde_json::from_str(&text).expect("JSON"))
    });
    read.collect()
}

/// The panels that ask for something.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let all = dashboard["panels"].as_array().expect("panels");
    all.iter().filter(|panel| panel["type"] != "row")
}

fn text<'a>(value: &'a Value, place: &str) -> &'a str {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("{place}: {value}"))
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_from_where_is_good() {
    for (file, dashboard) in dashboards() {
        assert_eq!(dashboard["schemaVersion"], 42, "{file}");
        for panel in panels(&dashboard) {
            let title = text(&panel["title"], &file);
            let place = format!("{file}: {title}");
            assert!(text(&panel["description"], &place).ends_with('.'), "{place}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{place}");
            for target in panel["targets"].as_array().expect("queries") {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{place}");
                let query = text(&target["expr"], &place);
                assert!(query.contains("instance=~\"$instance\""), "{place}: {query}");
                assert!(target["refId"].is_string(), "{place}");
            }
            let defaults = &panel["fieldConfig"]["defaults"];
            if panel["type"] == "heatmap" {
                text(&panel["options"]["yAxis"]["unit"], &place);
            } else {
                text(&defaults["unit"], &place);
                let steps = defaults["thresholds"]["steps"].as_array().expect("thresholds");
                assert!(steps[0]["value"].is_null(), "{place}: the first step has no bound");
            }
        }
    }
}

#[test]
fn panels_have_numbers_of_their_own_and_none_lies_on_another() {
    for (file, dashboard) in dashboards() {
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in dashboard["panels"].as_array().expect("panels") {
            assert!(ids.insert(panel["id"].as_u64().expect("a number")), "{file}: {}", panel["id"]);
            let [x, y, w, h] = ["x", "y", "w", "h"]
                .map(|of| panel["gridPos"][of].as_u64().expect("a place and a size"));
            assert!(x + w <= 24, "{file}: {} leaves the page", panel["title"]);
            for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(taken.insert(place), "{file}: {} lies on another", panel["title"]);
            }
        }
    }
}

#[test]
fn the_dashboards_lead_to_each_other_and_ask_for_appliance_and_prometheus() {
    let all = dashboards();
    let uids = all.values().map(|dashboard| text(&dashboard["uid"], "uid").to_owned());
    let uids: BTreeSet<String> = uids.collect();
    assert_eq!(uids.len(), 4);
    for (file, dashboard) in &all {
        let links = dashboard["links"].as_array().expect("links").iter();
        let to: BTreeSet<String> = links
            .map(|link| {
                assert!(link["includeVars"] == true && link["keepTime"] == true, "{file}: {link}");
                text(&link["url"], file).strip_prefix("/d/").expect("a dashboard").to_owned()
            })
            .chain([text(&dashboard["uid"], file).to_owned()])
            .collect();
        assert_eq!(to, uids, "{file}");
        let variables = dashboard["templating"]["list"].as_array().expect("variables");
        let names: Vec<&str> = variables.iter().map(|v| text(&v["name"], file)).collect();
        assert_eq!(names, ["datasource", "instance"], "{file}");
    }
}

#[test]
fn what_provisions_them_is_told_in_the_documents_as_it_is() {
    let documents = include_str!("../../docs/watch-it.md");
    let path = "/var/lib/grafana/dashboards/sidetone";
    assert!(PROVIDER.contains(&format!("\n      path: {path}\n")));
    assert!(documents.contains(&format!("-t {path} ")));
    assert!(SOURCE.contains("\n    type: prometheus\n") && SOURCE.contains("timeInterval: 15s"));
    for dashboard in dashboards().values() {
        let row = format!("| {} | ", text(&dashboard["title"], "title"));
        assert!(documents.contains(&row), "docs/watch-it.md has no {row}");
    }
}
