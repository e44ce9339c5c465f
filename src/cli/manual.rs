//! `sidetone manual`: the manual pages, man(7). One for each command in section 1, made of the arguments themselves, and
//! one for each file in section 5, made of the files that are shipped. Not for people, who have `man`: the package asks.

pub mod commented;
pub mod page;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;
use jiff::Timestamp;

use crate::cli::manual::page::Page;
use crate::cli::{Outcome, Refusal};

const CONFIGURATION: &str = include_str!("../../config/sidetone.toml");
const POLICY: &str = include_str!("../../config/policy.toml");

/// What `man` shows in the middle of the first line.
const MANUAL: &str = "sidetone";

/// Arguments of `sidetone manual`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sidetone manual --into man && man -l man/sidetone.1")]
pub struct Arguments {
    /// Folder that they are written into; it is made where there is none.
    #[arg(long, value_name = "FOLDER")]
    into: PathBuf,
    /// The date that they bear, in seconds since 1970; without it today's.
    #[arg(long, env = "SOURCE_DATE_EPOCH", value_name = "SECONDS")]
    date: Option<i64>,
}

/// Writes them all; `command` is the whole command line.
pub fn run(arguments: &Arguments, command: Command) -> Result<Outcome, Refusal> {
    let day = arguments.date.map_or(Ok(Timestamp::now()), Timestamp::from_second);
    let day = day.map_err(|error| format!("--date: {error}"))?.strftime("%Y-%m-%d").to_string();
    let folder = &arguments.into;
    let failed = |error: io::Error| format!("cannot write {}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(failed)?;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    write_with_subcommands(folder, &command, None, &day).map_err(failed)?;
    for (name, about, text, tables) in [
        ("sidetone.toml", "the configuration of sidetone(1)", CONFIGURATION, true),
        ("sidetone-policy.toml", "the phrases and rules of sidetone(1)", POLICY, false),
    ] {
        let mut page = Page::default();
        let version = command.get_version().unwrap_or_default();
        page.title(name, &day, &format!("sidetone {version}"), MANUAL);
        page.section("NAME");
        page.paragraph([format!("{name} - {about}").as_str()]);
        page.section("DESCRIPTION");
        commented::describe(&mut page, text, tables);
        see_also(
            &mut page,
            ["sidetone(1)", "sidetone-check(1)", "sidetone.toml(5)", "sidetone-policy.toml(5)"],
            name,
        );
        fs::write(folder.join(format!("{name}.5")), page.render()).map_err(failed)?;
    }
    Ok(Outcome::Done)
}

/// The page of `command`, which is a subcommand of `above`, and of those below it.
fn write_with_subcommands(
    folder: &Path,
    command: &Command,
    above: Option<&Command>,
    day: &str,
) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_with_subcommands(folder, below, Some(command), day)?;
    }
    let version = above.unwrap_or(command).get_version().unwrap_or(env!("CARGO_PKG_VERSION"));
    let man =
        Man::new(command.clone()).date(day).source(format!("sidetone {version}")).manual(MANUAL);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut rest = Page::default();
    let after = command.get_after_long_help().or_else(|| command.get_after_help());
    after_help(&mut rest, &after.map(ToString::to_string).unwrap_or_default());
    if above.is_none() {
        files_and_environment(&mut rest);
    }
    let page_of = |command: &Command| {
        format!("{}(1)", command.get_display_name().unwrap_or_else(|| command.get_name()))
    };
    let below = command.get_subcommands().filter(|below| !below.is_hide_set()).map(page_of);
    let also: Vec<String> = above
        .map(page_of)
        .into_iter()
        .chain(below)
        .chain(["sidetone.toml(5)".to_owned(), "sidetone-policy.toml(5)".to_owned()])
        .collect();
    see_also(&mut rest, also.iter().map(String::as_str), "");
    page.write_all(rest.render_rest().as_bytes())?;
    fs::write(folder.join(man.get_filename()), page)
}

/// The help's last part in man's sections: what begins with `Exit code` and what begins with `Example` have one each.
fn after_help(page: &mut Page, text: &str) {
    let paragraphs = text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty());
    let (mut notes, mut status, mut examples) = (Vec::new(), Vec::new(), Vec::new());
    for paragraph in paragraphs {
        match paragraph.split_once('\n') {
            Some(("Example:" | "Examples:", rest)) => examples.push(rest),
            _ if paragraph.starts_with("Exit code") => status.push(paragraph),
            _ => notes.push(paragraph),
        }
    }
    if !notes.is_empty() {
        page.section("NOTES");
        notes.iter().for_each(|notes| page.paragraph(notes.lines()));
    }
    page.section("EXIT STATUS");
    status.iter().for_each(|status| page.paragraph(status.lines()));
    if !status.iter().any(|status| status.starts_with("Exit codes: 0")) {
        page.paragraph(["0 done, 1 the work found a problem, 2 bad use or configuration."]);
    }
    if !examples.is_empty() {
        page.section("EXAMPLES");
        examples.iter().for_each(|example| page.verbatim(example.lines()));
    }
}

/// Where things lie, on the first page alone.
fn files_and_environment(page: &mut Page) {
    let list = |page: &mut Page, heading, items: &[(&str, &str)]| {
        page.section(heading);
        for (name, about) in items {
            page.item(&[name], [*about]);
        }
    };
    list(
        page,
        "FILES",
        &[
            ("/etc/sidetone/sidetone.toml", "The configuration, sidetone.toml(5)."),
            ("/etc/sidetone/policy.toml", "Phrases and rules, sidetone-policy.toml(5)."),
            ("/etc/sidetone/store.key", "The vault's master key: without it every voice is lost."),
            ("/var/lib/sidetone", "The vault, the audit trail's anchors and the models."),
            ("/usr/share/doc/sidetone", "The handbook, recipes for PBXs, alerts and dashboards."),
        ],
    );
    list(
        page,
        "ENVIRONMENT",
        &[
            ("SIDETONE_CONFIG", "The configuration, as --config."),
            ("SIDETONE_MODELS", "The folder of the models, as --models."),
            ("SIDETONE_STORE_KEY_FILE", "The vault's master key; goes before store.key_file."),
            ("SIDETONE_LOG", "What is logged: error, warn, info, debug, or info,ort=info."),
            ("ORT_DYLIB_PATH", "The library of ONNX Runtime, as --onnxruntime."),
            ("NO_COLOR", "No colours, whatever the terminal."),
        ],
    );
}

/// The pages `also`, without `but`.
fn see_also<'a>(page: &mut Page, also: impl IntoIterator<Item = &'a str>, but: &str) {
    let also = also.into_iter().filter(|page| page.split('(').next() != Some(but));
    page.section("SEE ALSO");
    page.paragraph([also.collect::<Vec<_>>().join(", ").as_str()]);
}
