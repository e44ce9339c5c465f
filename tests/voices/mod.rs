//! The real embedders, and calls of real speech that are compared by them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sidetone::audio::g711;
use sidetone::audio::pcm;
use sidetone::call::speaker_watch::SpeakerWatch;
use sidetone::consent::reference::ConsentReference;
use sidetone::policy::evidence::SpeakerEvidence;
use sidetone::runtime::answered_for::answered_for;
use sidetone::runtime::audio_file::read_mono;
use sidetone::runtime::enroller::{EnrollError, Enroller};
use sidetone::runtime::heard::Heard;
use sidetone::runtime::installed::Installed;
use sidetone::runtime::onnx::speaker_model::SpeakerModel;
use sidetone::runtime::voices::Voices;
use sidetone::speaker::calibration::Calibration;
use sidetone::speaker::embedder::Embedders;
use sidetone::speaker::verifier::{Settings, Verifier};
use sidetone::speaker::voiceprint::Voiceprint;

/// Where the speech lies.
pub(crate) const SPEECH: &str = "../shared/speech";
/// What callers speak through, Hz.
pub(crate) const RATE: u32 = 8_000;

/// The models of `store`.
pub(crate) fn installed(store: &Path) -> &'static Installed {
    // One a process, and every test of a file is of one process.
    static INSTALLED: std::sync::OnceLock<Installed> = std::sync::OnceLock::new();
    INSTALLED.get_or_init(|| Installed::open(store, None).expect("models"))
}

/// Both embedders and their names.
pub(crate) struct Bench {
    pub(crate) voices: Voices<SpeakerModel>,
    pub(crate) names: Embedders,
}

impl Bench {
    /// `None` where models or speech are not there, which is said.
    pub(crate) fn new() -> Option<Self> {
        let store = crate::store::store()?;
        if !Path::new(SPEECH).is_dir() {
            crate::store::skip("the speech is not there");
            return None;
        }
        let installed = installed(&store);
        let voices = installed.voices().expect("the embedders");
        Some(Self { voices, names: installed.models().speaker.clone() })
    }

    /// A voiceprint of `audio` at [`RATE`].
    pub(crate) fn enrol(&mut self, audio: &[f32]) -> Result<Voiceprint, EnrollError> {
        let consent = ConsentReference::new("readers").expect("a reference");
        let leave = answered_for(&consent);
        let mut enroller = Enroller::new(&leave, &mut self.voices, &self.names, "reader");
        enroller.hear(audio)?;
        enroller.finish()
    }

    /// What a call that was `heard` shows of the claim to be `print`'s.
    pub(crate) fn compare(
        &mut self,
        heard: &mut Heard,
        print: &Voiceprint,
        settings: Settings,
    ) -> Vec<SpeakerEvidence> {
        let consent = ConsentReference::new("readers").expect("a reference");
        let verifier = Verifier::new(Calibration::RESNET34_GE2E, settings);
        let leave = answered_for(&consent);
        let watch = SpeakerWatch::new(&leave, Some(print), &self.names, verifier);
        heard.compare(watch.expect("a voiceprint of these models"), &mut self.voices)
    }
}

/// What lies in `folder`, in order.
pub(crate) fn listing(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// Readers of the cohort on whom nothing was fitted: every eighth of their numbers' order, as text.
pub(crate) fn strangers() -> Vec<PathBuf> {
    let mut cohort = listing(&Path::new(SPEECH).join("cohort"));
    cohort.sort_by_key(|file| file.to_string_lossy().replace('-', "_"));
    cohort.into_iter().skip(7).step_by(8).collect()
}

/// Recordings one after the other, half a second apart, as a telephone codes them: mu-law at -26 dBFS.
pub(crate) fn telephone(files: &[PathBuf]) -> Vec<f32> {
    let mut audio: Vec<f32> = Vec::new();
    for file in files {
        audio.extend(read_mono(file, RATE).expect("a recording"));
        audio.resize(audio.len() + RATE as usize / 2, 0.0);
    }
    let power = audio.iter().map(|x| x * x).sum::<f32>() / audio.len().max(1) as f32;
    let gain = 0.05 / power.sqrt().max(1e-6);
    let loud: Vec<f32> = audio.iter().map(|x| x * gain).collect();
    let coded = pcm::to_i16(&loud).into_iter().map(|s| g711::decode_ulaw(g711::encode_ulaw(s)));
    coded.map(|s| f32::from(s) / 32_768.0).collect()
}

/// [`telephone`] audio as a caller's.
pub(crate) fn heard(files: &[PathBuf]) -> Heard {
    Heard::of(&telephone(files), RATE, None)
}

/// The value in the middle; `None` of none.
pub(crate) fn median(mut values: Vec<Duration>) -> Option<Duration> {
    values.sort();
    values.get(values.len() / 2).copied()
}
