//! The handbook keeps its word: every command in README and docs is run, or where it cannot be, is at least one that there
//! is; what it is said to answer is what it answers; every link leads somewhere.
//!
//! Blocks of a chapter are done in their order, at a site of the chapter's own:
//!
//! * `sh` is run by `sh -eu`, and must end well;
//! * `text` or `json` behind it is what it said, times and digests aside; `...` is anything;
//! * `toml` is put into the file that a mark before it names, whole (`<!-- file: .. -->`) or as a change of it
//!   (`<!-- change: .. -->`);
//! * `<!-- needs: .. -->` before a block says what this machine lacks: it is looked at, and not run. What can be had is
//!   had: `systemd` starts and stops the site's appliance, `PostgreSQL` is one where a server is installed;
//! * `<!-- site: serving, enrolled -->` begins with a new site, at which the appliance runs and customer-4711 is known.
//!
//! Without the models nothing is run; the rest holds all the same.
#![expect(clippy::disallowed_methods, reason = "a test reads files and the clock")]
#![expect(clippy::print_stderr, reason = "what took how long")]

mod appliance;
mod book;
mod databases;
mod peers;
mod store;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use book::chapter::{self, Block, Chapter, Part};
use book::expected::difference;
use book::shell;
use book::site::Site;
use book::vocabulary::{self, Vocabulary};
use peers::authority::Authority;

/// What a block may need that is not here, as a mark names it.
const NEEDS: &[&str] = &[
    "root",
    "systemd",
    "PostgreSQL",
    "Asterisk",
    "a PBX",
    "Prometheus",
    "Alertmanager",
    "the sources",
    "the package",
    "a network",
    "recordings of your own",
    "another machine",
];
/// Other people's programs in the handbook, by the names of Debian's packages, too.
const TOOLS: &[&str] = &["curl", "jq", "sqlite3"];
/// The chapter that has every metric.
const METRICS: &str = "docs/watch-it.md";
/// What some metrics are only there with: an account, a receiver, a certificate.
const WITH_ALL_METRICS: &str = r#"
[sip]
listen = ["udp:127.0.0.1:5090", "tcp:127.0.0.1:5090", "tls:127.0.0.1:0"]
tls = { certificate = "tls.crt", key = "tls.key", authorities = "authorities.pem", client_certificates = "off" }
[[sip.account]]
name = "asterisk"
registrar = "sip:127.0.0.1:9"
address = "sip:sidetone@pbx.example.org"
expires_s = 120
register = true
[[notify.webhook]]
name = "crm"
url = "http://127.0.0.1:9/"
secret_file = "crm.secret"
"#;
/// Chapters that are done at a time: the models are the load, and tests beside this one have calls to make.
const AT_ONCE: usize = 2;

#[test]
fn every_command_does_what_the_handbook_says() {
    let Some(store) = store::store() else { return };
    if !TOOLS.iter().all(|tool| peers::installed(tool, tool)) {
        return;
    }
    let chapters = Mutex::new(chapter::all());
    let faults = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = chapters.lock().expect("nobody panics with it").pop();
                    let Some(chapter) = next else { break };
                    let begun = Instant::now();
                    let found = faults_of(&chapter, &store);
                    eprintln!(
                        "{:5.1} s  {}",
                        begun.elapsed().as_secs_f64(),
                        chapter.file.display()
                    );
                    faults.lock().expect("nobody panics with it").extend(found);
                }
            });
        }
    });
    let faults = faults.into_inner().expect("nobody panicked with it");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Does all of a chapter, and tells what was not as it says; behind the first fault nothing means anything.
fn faults_of(chapter: &Chapter, store: &Path) -> Option<String> {
    let mut site = None;
    let mut said: Option<String> = None;
    for part in &chapter.parts {
        let block = match part {
            Part::Site(words) => {
                // The one before ends first: its ports and its processor are free.
                drop(site.take());
                site = Some(Site::new(store, words));
                continue;
            }
            Part::Block(block) => block,
        };
        let fault =
            |what: String| Some(format!("{}, line {}: {what}", chapter.file.display(), block.line));
        if matches!(block.language.as_str(), "sh" | "toml") && site.is_none() {
            site = Some(Site::new(store, &[]));
        }
        match (block.language.as_str(), &mut site) {
            ("sh", Some(here)) => match done(block, here) {
                Ok(output) => said = output,
                Err(what) => return fault(what),
            },
            // Behind a block that was not run, or none, it only shows what something looks like.
            ("text" | "json", _) => {
                let shown =
                    said.take().and_then(|said| difference(&block.language, &block.content, &said));
                if let Some(what) = shown {
                    return fault(what);
                }
            }
            ("toml", Some(here)) => {
                match &block.mark {
                    Some((word, file)) if word == "file" => here.write(file, &block.content),
                    Some((word, file)) if word == "change" => here.change(file, &block.content),
                    _ => return fault(
                        "a block of TOML is for a file: <!-- file: .. --> or <!-- change: .. -->"
                            .into(),
                    ),
                }
            }
            // Only shown.
            ("" | "ini" | "nginx" | "apache", _) => {}
            (other, _) => return fault(format!("nobody knows what to do with {other}")),
        }
    }
    None
}

/// Runs a block, if it can be; what it said.
fn done(block: &Block, here: &mut Site) -> Result<Option<String>, String> {
    match block.mark.as_ref().map(|(word, what)| (word.as_str(), what.as_str())) {
        None => {}
        Some(("needs", "systemd")) => {
            for words in shell::commands(&block.content) {
                if let [systemctl, verb, unit] = &words[..]
                    && systemctl == "systemctl"
                    && unit == "sidetone"
                {
                    here.control(verb)?;
                }
            }
            return Ok(None);
        }
        Some(("needs", what)) if here.has(what) => {}
        Some(("needs", what)) if NEEDS.contains(&what) => return Ok(None),
        Some(mark) => return Err(format!("{mark:?} is no mark of a block of commands")),
    }
    let (code, out, err) = here.run(&block.content);
    match code {
        Some(0) => Ok(Some(out)),
        code => Err(format!("exit code {code:?}\n{}{out}{err}", block.content)),
    }
}

#[test]
fn nothing_is_named_that_is_not_there() {
    let vocabulary = Vocabulary::learn();
    let makefile = fs::read_to_string("Makefile").expect("tests run at the package root");
    let mut faults = Vec::new();
    for chapter in chapter::all() {
        let mut fault = |line: usize, what: &str| {
            faults.push(format!("{}, line {line}: {what}", chapter.file.display()));
        };
        for part in &chapter.parts {
            let Part::Block(block) = part else { continue };
            if block.language != "sh" {
                continue;
            }
            let parsed =
                Command::new("sh").args(["-nc", &block.content]).output().expect("a shell");
            if !parsed.status.success() {
                fault(block.line, &String::from_utf8_lossy(&parsed.stderr));
            }
            for words in shell::commands(&block.content) {
                if let Some(what) = command_fault(&vocabulary, &makefile, &words) {
                    fault(block.line, &what);
                }
            }
        }
        for (line, code) in chapter.code() {
            if vocabulary.key(&code) == Some(false) {
                fault(line, &format!("config/sidetone.toml has no {code}"));
            }
            // What is left open in a sentence is no word of ours.
            let closed = code.replace("..", "").replace(" | ", " ");
            let words: Vec<_> = closed.split_whitespace().map(str::to_owned).collect();
            if words.len() > 1
                && let Some(what) = command_fault(&vocabulary, &makefile, &words)
            {
                fault(line, &what);
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn command_fault(vocabulary: &Vocabulary, makefile: &str, words: &[String]) -> Option<String> {
    match words.first()?.as_str() {
        "sidetone" => vocabulary.fault(words),
        "make" => {
            let target = words.get(1)?;
            let there = makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
            (!there).then(|| format!("the Makefile has no target {target}"))
        }
        _ => None,
    }
}

#[test]
fn every_metric_stands_in_the_reference_and_none_that_is_not_there() {
    let Some(store) = store::store().filter(|_| peers::installed("curl", "curl")) else { return };
    let mut site = Site::new(&store, &[]);
    site.write("/etc/sidetone/crm.secret", "whsec_c2lkZXRvbmUgYW5kIGEgc2VjcmV0IG9mIGl0cyBvd24=\n");
    Authority::new(&site.path("/etc/sidetone")).issue("tls", "localhost", 2099);
    site.change("/etc/sidetone/sidetone.toml", WITH_ALL_METRICS);
    site.control("start").expect("it did not run yet");
    let (_, told, _) = site.run("curl -s http://127.0.0.1:9464/metrics");
    let families: Vec<&str> = told
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| name.starts_with("sidetone_"))
        .collect();
    assert!(families.len() > 50, "{told}");
    let mut faults = Vec::new();
    let reference = fs::read_to_string(METRICS).expect("a chapter");
    for family in &families {
        if !reference.contains(&format!("`{family}`")) {
            faults.push(format!("{METRICS} says nothing of {family}"));
        }
    }
    for chapter in chapter::all() {
        let text = fs::read_to_string(&chapter.file).expect("it was read before");
        for name in vocabulary::metrics(&text) {
            let of_histogram =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            // What a `grep` looks for is how they begin.
            let begins = |with: &str| families.iter().any(|family| family.starts_with(with));
            let there = |name: &str| match text.contains(&format!("^{name}")) || name.ends_with('_')
            {
                true => begins(name),
                false => families.contains(&name),
            };
            if !there(name) && !of_histogram.is_some_and(there) {
                faults.push(format!("{}: there is no metric {name}", chapter.file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_subcommand_is_told_of() {
    let chapters = chapter::all();
    let mut told = String::new();
    for chapter in &chapters {
        for part in &chapter.parts {
            if let Part::Block(block) = part {
                told.push_str(&block.content);
            }
        }
        chapter.code().iter().for_each(|(_, code)| told.push_str(&format!("{code}\n")));
    }
    let vocabulary = Vocabulary::learn();
    let missing: Vec<_> =
        vocabulary.leaves().filter(|leaf| !told.contains(&format!("sidetone {leaf}"))).collect();
    assert!(missing.is_empty(), "no chapter has a word about {missing:?}");
}

#[test]
fn every_link_leads_somewhere() {
    let mut files = vec![PathBuf::from("README.md")];
    for folder in ["docs", "config", "models/training"] {
        chapter::markdown_below(Path::new(folder), &mut files);
    }
    let mut faults = Vec::new();
    for file in &files {
        for (line, target) in Chapter::read(file).links() {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = match path {
                "" => file.clone(),
                path => file.parent().unwrap_or(Path::new("")).join(path),
            };
            let there = path.exists()
                && (anchor.is_empty()
                    || Chapter::read(&path).anchors().iter().any(|a| a == anchor));
            if !there {
                faults.push(format!("{}, line {line}: {target} leads nowhere", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_table_of_contents_has_every_chapter_once() {
    let summary = Chapter::read(Path::new("docs/SUMMARY.md"));
    let mut listed: Vec<_> = summary.links().into_iter().map(|(_, target)| target).collect();
    listed.retain(|target| !target.starts_with("../"));
    listed.sort();
    let mut files = Vec::new();
    chapter::markdown_below(Path::new("docs"), &mut files);
    let mut there: Vec<_> = files
        .iter()
        .map(|file| file.strip_prefix("docs").expect("below it").display().to_string())
        .filter(|file| file != "SUMMARY.md")
        .collect();
    there.sort();
    assert_eq!(listed, there);
}
