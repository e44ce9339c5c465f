//! The manual pages and the completions: made of the command line itself, so what is tested is that each command has a
//! page, that `man` and `mandoc` find nothing to complain of, that examples keep their lines, and that shells take the rest.

#![expect(clippy::disallowed_methods, reason = "a test reads and writes its files")]

#[expect(dead_code, reason = "no models are needed")]
mod store;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use store::skip;

const SIDETONE: &str = env!("CARGO_BIN_EXE_sidetone");

/// All pages, in a folder of their own.
fn pages() -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new(SIDETONE)
        .args(["manual", "--date", "1790000000", "--into"])
        .arg(folder.path())
        .output()
        .expect("it runs");
    assert!(made.status.success(), "{made:?}");
    let mut pages: Vec<PathBuf> =
        fs::read_dir(&folder).expect("a folder").map(|page| page.expect("a file").path()).collect();
    pages.sort();
    (folder, pages)
}

fn name(page: &Path) -> String {
    page.file_name().expect("a name").to_string_lossy().into_owned()
}

/// What a tool made of its arguments; `None`, and said so, where it is not installed.
fn ran(tool: &str, arguments: &[&str], files: &[PathBuf]) -> Option<Output> {
    let output = Command::new(tool)
        .args(arguments)
        .args(files)
        .env("MANWIDTH", "100")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(output),
        Err(_) => {
            skip(&format!("{tool} is not installed"));
            None
        }
    }
}

/// The commands that `--help` lists below `words`.
fn subcommands(words: &[&str]) -> Vec<String> {
    let help = Command::new(SIDETONE).args(words).arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("UTF-8");
    let Some((_, listed)) = help.split_once("Commands:\n") else { return Vec::new() };
    let listed = listed.lines().take_while(|line| line.starts_with("  "));
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_and_every_file_has_a_page() {
    let (_folder, pages) = pages();
    let mut wanted: BTreeSet<String> =
        ["sidetone.1", "sidetone.toml.5", "sidetone-policy.toml.5"].map(str::to_owned).into();
    for command in subcommands(&[]) {
        wanted.insert(format!("sidetone-{command}.1"));
        let below = subcommands(&[&command]);
        wanted.extend(below.into_iter().map(|below| format!("sidetone-{command}-{below}.1")));
    }
    assert!(wanted.len() > 30, "{wanted:?}");
    assert_eq!(pages.iter().map(|page| name(page)).collect::<BTreeSet<_>>(), wanted);
}

#[test]
fn man_formats_every_page_without_a_warning() {
    let (_folder, pages) = pages();
    for page in &pages {
        let one = std::slice::from_ref(page);
        let Some(shown) = ran("man", &["--warnings", "-l", "-E", "UTF-8"], one) else { return };
        let complaints = String::from_utf8_lossy(&shown.stderr);
        assert!(shown.status.success() && complaints.is_empty(), "{}: {complaints}", name(page));
    }
}

#[test]
fn mandoc_finds_no_fault_in_a_page() {
    let (_folder, pages) = pages();
    let Some(found) = ran("mandoc", &["-T", "lint", "-W", "warning"], &pages) else { return };
    let complaints = String::from_utf8_lossy(&found.stdout);
    assert!(found.status.success() && complaints.is_empty(), "{complaints}");
}

#[test]
fn a_page_reads_as_the_help_does_and_its_examples_keep_their_lines() {
    let (folder, _) = pages();
    let shown = |page: &str| {
        let page = folder.path().join(page);
        let shown = ran("man", &["-l", "-P", "cat"], &[page])?;
        Some(String::from_utf8(shown.stdout).expect("UTF-8").replace('\u{2010}', "-"))
    };
    let Some(import) = shown("sidetone-voiceprint-import.1") else { return };
    let lines: Vec<&str> = import.lines().map(str::trim).collect();
    for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"] {
        assert!(lines.contains(&heading), "{heading} is missing: {import}");
    }
    assert!(
        lines.iter().any(|line| line.starts_with("sidetone voiceprint import --csv customers.csv")),
        "{import}"
    );
    let all = shown("sidetone.1").expect("man is there");
    for said in ["sidetone-voiceprint(1)", "/etc/sidetone/store.key", "SIDETONE_MODELS", "SEE ALSO"]
    {
        assert!(all.contains(said), "{said} is missing: {all}");
    }
    let token = shown("sidetone-token.1").expect("man is there");
    assert!(
        token.lines().any(|line| line.trim() == "auditor   reads the audit trail"),
        "the table of roles keeps its lines: {token}"
    );
    let file = shown("sidetone.toml.5").expect("man is there");
    let lines: Vec<&str> = file.lines().map(str::trim).collect();
    let at = |wanted: &str| {
        let found = lines.iter().position(|line| line.starts_with(wanted));
        found.unwrap_or_else(|| panic!("{wanted} is missing: {file}"))
    };
    assert!(at("[sip]") < at("max_calls = 100"));
    let said = lines[at("max_calls = 100") + 1];
    assert!(said.starts_with("Calls at once; one more gets 503"), "{said}");
}

#[test]
fn shells_take_their_completions_and_know_the_commands() {
    let folder = tempfile::tempdir().expect("a folder");
    // Each is sourced by its own shell, as its users would, and then asked.
    for (shell, program, question) in [
        (
            "bash",
            "bash",
            "source \"$0\"; COMP_WORDS=(sidetone vou); COMP_CWORD=1; COMP_WORDS[1]=voi; _sidetone sidetone voi sidetone; echo \"${COMPREPLY[@]}\"",
        ),
        ("fish", "fish", "source $argv[1]; complete -C 'sidetone voi'"),
        (
            "zsh",
            "zsh",
            "autoload -U compinit; compinit -D -u; source \"$0\"; whence -w _sidetone; grep -o voiceprint: \"$0\" | head -1",
        ),
    ] {
        let made = Command::new(SIDETONE).args(["completions", shell]).output().expect("it runs");
        assert!(made.status.success(), "{made:?}");
        let script = folder.path().join(shell);
        fs::write(&script, made.stdout).expect("a writable folder");
        let Some(told) = ran(program, &["-c", question], &[script]) else { continue };
        let said = String::from_utf8_lossy(&told.stdout);
        assert!(told.status.success() && said.contains("voiceprint"), "{shell}: {told:?}");
    }
    let unknown = Command::new(SIDETONE).args(["completions", "csh"]).output().expect("it runs");
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
}
