//! What became of everybody in an import: for people as a table, for programs as a file.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use crate::cli::output::PrivateFile;
use crate::cli::voiceprint::import::plan::Candidate;
use crate::cli::{Outcome, Refusal, println};

/// Refusals that are printed; of more, the file tells.
const PRINTED: usize = 50;

/// What became of somebody.
#[derive(Clone, Debug)]
pub enum Result {
    /// They are enrolled.
    Enrolled {
        /// Speech that the voiceprint was made from, seconds.
        net_speech_s: f64,
    },
    /// They were before, by the same recordings and the same consent.
    PassedOver,
    /// They are not.
    Refused(Why),
}

/// Why somebody was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub sentence: String,
}

impl Why {
    /// A reason.
    pub fn new(code: &'static str, sentence: String) -> Self {
        Self { code, sentence }
    }
}

/// A line of the report's file.
#[derive(Serialize)]
struct Row<'a> {
    subject: &'a str,
    role: &'static str,
    recordings: usize,
    result: &'static str,
    code: &'static str,
    reason: &'a str,
    net_speech_s: Option<f64>,
}

/// A report as it grows: its file has a line for everybody, in memory are counts and the first refusals.
#[derive(Debug)]
pub struct Report {
    file: Option<(PrivateFile, Form)>,
    enrolled: u64,
    passed_over: u64,
    refused: u64,
    codes: BTreeMap<&'static str, u64>,
    first: Vec<(String, Why)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Csv,
    Json,
}

impl Report {
    /// Begins one, whose file is `path`: JSON if its name ends so, else CSV.
    pub fn begin(path: Option<&Path>) -> std::result::Result<Self, Refusal> {
        let file = path.map(|path| -> std::result::Result<_, String> {
            let is_json = path.extension().is_some_and(|ending| ending == "json");
            let mut file = PrivateFile::create(path)?;
            file.line(if is_json {
                "["
            } else {
                "subject,role,recordings,result,code,reason,net_speech_s"
            })?;
            Ok((file, if is_json { Form::Json } else { Form::Csv }))
        });
        Ok(Self {
            file: file.transpose()?,
            enrolled: 0,
            passed_over: 0,
            refused: 0,
            codes: BTreeMap::new(),
            first: Vec::new(),
        })
    }

    /// Takes in what became of `candidate`; of how many it knows by now.
    pub fn tell(
        &mut self,
        candidate: &Candidate,
        result: &Result,
    ) -> std::result::Result<u64, Refusal> {
        let is_first = self.told() == 0;
        let (word, code, reason, net_speech_s) = match result {
            Result::Enrolled { net_speech_s } => {
                self.enrolled += 1;
                ("enrolled", "", "", Some(*net_speech_s))
            }
            Result::PassedOver => {
                self.passed_over += 1;
                ("passed_over", "", "", None)
            }
            Result::Refused(why) => {
                self.refused += 1;
                *self.codes.entry(why.code).or_default() += 1;
                if self.first.len() < PRINTED {
                    self.first.push((candidate.subject.to_string(), why.clone()));
                }
                ("refused", why.code, why.sentence.as_str(), None)
            }
        };
        let row = Row {
            subject: &candidate.subject.name,
            role: candidate.subject.role.as_str(),
            recordings: candidate.files.len(),
            result: word,
            code,
            reason,
            net_speech_s,
        };
        match &mut self.file {
            Some((file, Form::Json)) => {
                let comma = if is_first { "" } else { "," };
                file.line(&format!("{comma}{}", json!(row)))?;
            }
            Some((file, Form::Csv)) => file.line(&as_csv(&row)?)?,
            None => {}
        }
        Ok(self.told())
    }

    fn told(&self) -> u64 {
        self.enrolled + self.passed_over + self.refused
    }

    /// Puts the file into its place, and prints what it comes to.
    pub fn finish(mut self, as_json: bool) -> std::result::Result<Outcome, Refusal> {
        if let Some((mut file, form)) = self.file.take() {
            if form == Form::Json {
                file.line("]")?;
            }
            file.finish()?;
        }
        let outcome = if self.refused == 0 { Outcome::Done } else { Outcome::Problem };
        if as_json {
            let first: Vec<_> = self
                .first
                .iter()
                .map(|(subject, why)| {
                    json!({ "subject": subject, "code": why.code, "reason": why.sentence })
                })
                .collect();
            println!(
                "{}",
                json!({ "enrolled": self.enrolled, "passed_over": self.passed_over,
                    "refused": self.refused, "codes": self.codes, "first_refusals": first })
            );
            return Ok(outcome);
        }
        println!("enrolled     {:>8}", self.enrolled);
        println!(
            "passed over  {:>8}  in the vault already by the same recordings and consent",
            self.passed_over
        );
        println!("refused      {:>8}", self.refused);
        for (code, count) in &self.codes {
            println!("    {code:20} {count:>8}");
        }
        for (subject, why) in &self.first {
            println!("  {subject}: {}", why.sentence);
        }
        if self.refused > PRINTED as u64 {
            println!("  and more: --report has them all");
        }
        Ok(outcome)
    }
}

fn as_csv(row: &Row<'_>) -> std::result::Result<String, Refusal> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.serialize(row)?;
    let line = String::from_utf8(writer.into_inner().map_err(|error| error.to_string())?)?;
    Ok(line.trim_end().to_owned())
}
