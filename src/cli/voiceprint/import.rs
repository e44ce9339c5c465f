//! `sidetone voiceprint import`: many persons, from recordings and the consents that go with them.

pub mod plan;
pub mod report;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;

use clap::Args;
use jiff::Timestamp;

use crate::cli::actor::actor;
use crate::cli::enroll::agree;
use crate::cli::moment;
use crate::cli::person::{act, asked, open};
use crate::cli::progress::Progress;
use crate::cli::voiceprint::import::plan::{Agreement, Candidate, Defaults};
use crate::cli::voiceprint::import::report::{Report, Result as Told, Why};
use crate::cli::{Outcome, Places, Refusal};
use crate::consent::consents::{Given, Refusal as ConsentRefusal};
use crate::consent::permit::{Enrolment, Permit};
use crate::consent::role::Role;
use crate::consent::scope::Scopes;
use crate::runtime::enroller::{EnrollError, Enroller};
use crate::runtime::onnx::speaker_model::SpeakerModel;
use crate::runtime::store::vault::{Vault, VaultError};
use crate::runtime::voices::Voices;
use crate::speaker::embedder::Embedders;
use crate::speaker::quality::Shortcoming;
use crate::speaker::voiceprint::Voiceprint;

/// Arguments of `sidetone voiceprint import`.
#[derive(Debug, Args)]
#[command(
    after_help = "A CSV has the columns subject, file and consent, and may have scopes, expires and role; several rows of one \
    subject are\nseveral recordings, and relative files count from the CSV's folder. A folder has a recording, or a \
    sub-folder of\nrecordings, for each subject, and a consents.csv with the columns subject and consent (scopes, expires, \
    role), unless\n--consent-prefix makes the references.\n\n\
    Whoever is in the vault already by the same recordings and the same consent is passed over, so that an import that \
    was\ninterrupted goes on where it was. Refused are the opted out, consents that were taken back, rows of one subject \
    that\nname different consents, one recording for two subjects, and speech that is not good enough.\n\n\
    Examples:\n  \
    sidetone voiceprint import --csv customers.csv --report imported.csv\n  \
    sidetone voiceprint import --folder recordings/ --consent-prefix contract-2026/ --jobs 4\n\n\
    Exit code 1 if anybody was refused."
)]
pub struct Arguments {
    #[command(flatten)]
    places: Places,
    /// The list.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "folder",
        conflicts_with = "folder"
    )]
    csv: Option<PathBuf>,
    /// The recordings.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// With --folder: the reference of each consent is this and the subject.
    #[arg(long, value_name = "PREFIX", requires = "folder")]
    consent_prefix: Option<String>,
    /// What they agreed to, where no column says it: words of verify, enrol, adapt, watchlist, keywords.
    #[arg(long, value_name = "SCOPES", default_value = "verify enrol")]
    scopes: Scopes,
    /// The last day on which consents hold, where no column says it.
    #[arg(long, value_name = "DATE", value_parser = moment::until)]
    expires: Option<Timestamp>,
    /// As what they are known, where no column says it: caller or agent.
    #[arg(long, default_value = "caller", value_parser = asked)]
    role: Role,
    /// Recordings that are heard at once; left out, as many as there are processors. Calls that go on want some of those.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Write what became of everybody to this file, mode 0600: CSV, or JSON if it is called so.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print the result as one JSON document.
    #[arg(long)]
    json: bool,
}

/// Somebody to be enrolled, by leave.
struct Work {
    candidate: Candidate,
    leave: Permit<Enrolment>,
}

/// What came of it.
struct Heard {
    candidate: Candidate,
    voiceprint: Result<Voiceprint, EnrollError>,
}

/// Enrols everybody who may be.
pub fn run(arguments: &Arguments) -> Result<Outcome, Refusal> {
    let (config, _) = arguments.places.load()?;
    let (scopes, expires, role) = (arguments.scopes, arguments.expires, arguments.role);
    let defaults = Defaults { scopes, expires, role };
    let prefix = arguments.consent_prefix.as_deref();
    let candidates = match (&arguments.csv, &arguments.folder) {
        (Some(csv), _) => plan::of_csv(csv, &defaults)?,
        (None, Some(folder)) => plan::of_folder(folder, prefix, &defaults)?,
        (None, None) => Vec::new(),
    };
    let mut report = Report::begin(arguments.report.as_deref())?;
    let installed = arguments.places.installed(&config)?;
    let jobs = arguments
        .jobs
        .map_or_else(|| thread::available_parallelism().map_or(1, usize::from), usize::from);
    let jobs = jobs.min(candidates.len()).max(1);
    let voices = (0..jobs).map(|_| installed.voices()).collect::<Result<Vec<_>, _>>()?;
    let mut vault = open(&config.store)?;
    let progress = Progress::new("read", candidates.len() as u64, "persons");
    let candidates = plan::with_digests(candidates, |done| progress.reach(done));
    drop(progress);
    let progress = Progress::new("imported", candidates.len() as u64, "persons");
    let names = &installed.models().speaker;
    let mut importer =
        Importer { vault: &mut vault, report: &mut report, by: actor(), progress: &progress };
    // One waits for each that is heard, so that nobody is idle; who agreed is on record by then.
    let (work, waiting) = sync_channel(jobs);
    let (waiting, (heard, done)) = (Mutex::new(waiting), channel());
    thread::scope(|scope| {
        // Dropped when all is handed in, or the import fails: then those who hear have come to their end.
        let work = work;
        for voices in voices {
            let (waiting, heard) = (&waiting, heard.clone());
            scope.spawn(move || hear_all(voices, names, waiting, &heard));
        }
        drop(heard);
        let mut in_hand = 0;
        for candidate in candidates {
            if let Some(next) = importer.admit(candidate)? {
                while in_hand >= 2 * jobs {
                    importer.keep(done.recv().expect("somebody hears"))?;
                    in_hand -= 1;
                }
                work.send(next).expect("somebody hears");
                in_hand += 1;
            }
        }
        drop(work);
        done.iter().try_for_each(|heard| importer.keep(heard))
    })?;
    drop(progress);
    report.finish(arguments.json)
}

/// Hears one candidate after another until there are no more.
fn hear_all(
    mut voices: Voices<SpeakerModel>,
    names: &Embedders,
    waiting: &Mutex<Receiver<Work>>,
    heard: &Sender<Heard>,
) {
    loop {
        let next = waiting.lock().expect("nobody panics with it").recv();
        let Ok(Work { candidate, leave }) = next else { return };
        let mut enroller = Enroller::new(&leave, &mut voices, names, &candidate.subject.name);
        let all = candidate.files.iter().try_for_each(|file| enroller.hear_file(file).map(drop));
        let voiceprint = all.and_then(|()| enroller.finish());
        // Nobody waits for it where the import has failed.
        if heard.send(Heard { candidate, voiceprint }).is_err() {
            return;
        }
    }
}

/// Who owns the vault while others hear.
struct Importer<'a> {
    vault: &'a mut Vault,
    report: &'a mut Report,
    by: String,
    progress: &'a Progress,
}

impl Importer<'_> {
    /// Records the consent of `candidate`, if they are to be heard; else says why not.
    fn admit(&mut self, candidate: Candidate) -> Result<Option<Work>, Refusal> {
        let Agreement { reference, scopes, expires } = match &candidate.agreement {
            Ok(agreement) => agreement.clone(),
            Err(why) => {
                let told = Told::Refused(why.clone());
                return self.told(&candidate, &told).map(|()| None);
            }
        };
        let subject = &candidate.subject;
        let (at, by) = (Timestamp::now(), self.by.clone());
        let consent = reference.as_str().to_owned();
        let given = Given { reference, at, by, expires };
        match agree(self.vault, subject, scopes, given) {
            Ok(leave) => {
                let kept = self.vault.voice(subject)?.voiceprint;
                let same = |kept: &Voiceprint| {
                    kept.consent == consent && kept.recordings == candidate.digests
                };
                if kept.as_ref().is_some_and(same) {
                    return self.told(&candidate, &Told::PassedOver).map(|()| None);
                }
                Ok(Some(Work { candidate, leave }))
            }
            Err(VaultError::Refused(refusal)) => {
                let told = Told::Refused(refused(refusal));
                self.told(&candidate, &told).map(|()| None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps what was heard, if it was good.
    fn keep(&mut self, heard: Heard) -> Result<(), Refusal> {
        let Heard { candidate, voiceprint } = heard;
        let told = match voiceprint {
            Ok(mut voiceprint) => {
                voiceprint.recordings.clone_from(&candidate.digests);
                match self.vault.enrol(&candidate.subject, &voiceprint, &act(&self.by)) {
                    Ok(()) => Told::Enrolled { net_speech_s: voiceprint.net_speech_s },
                    // Taken back while it was heard.
                    Err(VaultError::Refused(refusal)) => Told::Refused(refused(refusal)),
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => {
                let code = match &error {
                    EnrollError::Shortcoming(Shortcoming::TooLittleSpeech { .. }) => {
                        "too_little_speech"
                    }
                    EnrollError::Shortcoming(_) => "not_good_enough",
                    EnrollError::File(_)
                    | EnrollError::Rate { .. }
                    | EnrollError::NotSound { .. } => "unreadable",
                    EnrollError::Model(_) => "model_failed",
                };
                Told::Refused(Why::new(code, error.to_string()))
            }
        };
        self.told(&candidate, &told)
    }

    fn told(&mut self, candidate: &Candidate, told: &Told) -> Result<(), Refusal> {
        let done = self.report.tell(candidate, told)?;
        self.progress.reach(done);
        Ok(())
    }
}

fn refused(refusal: ConsentRefusal) -> Why {
    let code = match refusal {
        ConsentRefusal::None => "no_consent",
        ConsentRefusal::NotCovered => "not_covered",
        ConsentRefusal::Withdrawn => "withdrawn",
        ConsentRefusal::Expired => "expired",
        ConsentRefusal::OptedOut => "opted_out",
    };
    Why::new(code, refusal.to_string())
}
