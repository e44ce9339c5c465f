//! Recordings on disk (WAV, FLAC, Ogg with Opus or Vorbis): as samples, or as packets of Opus.
//!
//! The only file that names `symphonia` and `rubato`.

use std::fs::File;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

use crate::audio::decoder::{Codec, Decoder};

/// Longest recording that is read, seconds: an hour of 48 kHz stereo is 1.4 GB of samples.
const LONGEST_S: usize = 3600;
/// Sample rates that are read, Hz: a header may say anything, and a conversion needs memory for it.
const RATES: RangeInclusive<u32> = 4_000..=768_000;
/// Most packets of Opus that are read: an hour of the shortest.
const MOST_PACKETS: usize = LONGEST_S * 400;

/// Why a file gave no audio.
#[derive(Debug, thiserror::Error)]
pub enum AudioFileError {
    /// It could not be opened.
    #[error("cannot read {}: {error}", .file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Its bytes are no recording of a kind that we know.
    #[error("{} is no WAV, FLAC or Ogg recording: {why}", .file.display())]
    NoAudio {
        /// Which file.
        file: PathBuf,
        /// What the reader stumbled over.
        why: String,
    },
    /// A recording of nothing.
    #[error("{} holds no samples", .file.display())]
    Empty {
        /// Which file.
        file: PathBuf,
    },
    /// It goes on for too long.
    #[error("{} is longer than {} minutes", .file.display(), LONGEST_S / 60)]
    TooLong {
        /// Which file.
        file: PathBuf,
    },
}

/// What a recording holds.
#[derive(Debug)]
pub enum Recording {
    /// Samples in [-1, 1].
    Samples {
        /// Each channel's; all of one length.
        channels: Vec<Vec<f32>>,
        /// Samples a second.
        rate: u32,
        /// What they were coded in, as `flac`.
        codec: String,
        /// Why there are no more of them, where the file ends too early.
        fault: Option<String>,
    },
    /// Packets of Opus (RFC 7845), as they would go in RTP; several channels in one.
    Opus {
        /// In order.
        packets: Vec<Box<[u8]>>,
        /// Why there are no more of them.
        fault: Option<String>,
    },
}

/// Reads all of `file`.
pub fn read(file: &Path) -> Result<Recording, AudioFileError> {
    let no_audio = |why: String| AudioFileError::NoAudio { file: file.to_owned(), why };
    let too_long = || AudioFileError::TooLong { file: file.to_owned() };
    let source = File::open(file)
        .map_err(|error| AudioFileError::Unreadable { file: file.to_owned(), error })?;
    let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|error| match error {
            SymphoniaError::Unsupported(_) => no_audio("its format is not known".to_owned()),
            other => no_audio(other.to_string()),
        })?;
    let track = format.default_track(TrackType::Audio);
    let track = track.ok_or_else(|| no_audio("it has no audio track".to_owned()))?;
    let id = track.id;
    let parameters = track.codec_params.as_ref().and_then(|p| p.audio());
    let parameters = parameters.ok_or_else(|| no_audio("its codec is not told".to_owned()))?;
    // Opus is decoded where a call's is, and not here.
    let decoder = (parameters.codec != CODEC_ID_OPUS).then(|| {
        symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &AudioDecoderOptions::default())
            .map_err(|error| no_audio(error.to_string()))
    });
    let mut decoder = decoder.transpose()?;
    let codec = decoder.as_ref().map_or("opus", |decoder| decoder.codec_info().short_name);
    let codec = codec.to_owned();

    let (mut channels, mut rate) = (Vec::<Vec<f32>>::new(), 0);
    let (mut packets, mut opus_ticks) = (Vec::new(), 0_u64);
    let mut interleaved = Vec::<f32>::new();
    let fault = loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break None,
            // A recording that was cut off ends early; what there is counts.
            Err(SymphoniaError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                break Some("it ends in the middle of a packet".to_owned());
            }
            Err(error) => return Err(no_audio(error.to_string())),
        };
        if packet.track_id != id {
            continue;
        }
        let Some(decoder) = &mut decoder else {
            opus_ticks += u64::from(Codec::Opus.duration(&packet.data).unwrap_or(0));
            packets.push(packet.data);
            if opus_ticks > (LONGEST_S * 48_000) as u64 || packets.len() > MOST_PACKETS {
                return Err(too_long());
            }
            continue;
        };
        let audio = decoder.decode(&packet).map_err(|error| no_audio(error.to_string()))?;
        let width = audio.num_planes().max(1);
        rate = audio.spec().rate();
        if !RATES.contains(&rate) {
            return Err(no_audio(format!("{rate} samples a second are none of sound")));
        }
        audio.copy_to_vec_interleaved(&mut interleaved);
        channels.resize_with(width, Vec::new);
        for (place, channel) in channels.iter_mut().enumerate() {
            channel.extend(interleaved.iter().skip(place).step_by(width));
        }
        if channels[0].len() > LONGEST_S * rate as usize {
            return Err(too_long());
        }
    };
    if packets.is_empty() && channels.first().is_none_or(Vec::is_empty) {
        return Err(AudioFileError::Empty { file: file.to_owned() });
    }
    Ok(match decoder {
        Some(_) => Recording::Samples { channels, rate, codec, fault },
        None => Recording::Opus { packets, fault },
    })
}

/// Reads `file`, folds its channels into one and converts it to `rate` Hz; samples in [-1, 1].
pub fn read_mono(file: &Path, rate: u32) -> Result<Vec<f32>, AudioFileError> {
    Ok(match read(file)? {
        Recording::Samples { channels, rate: own, .. } => resample(folded(&channels), own, rate),
        Recording::Opus { packets, .. } => {
            let mut decoder = Decoder::new(Codec::Opus);
            // A packet that does not decode is left out, as the recorder's own gaps are.
            let heard = packets.iter().filter_map(|packet| decoder.decode(packet).ok());
            resample(heard.flatten().collect(), Codec::Opus.sample_rate(), rate)
        }
    })
}

/// The mean of all channels.
pub fn folded(channels: &[Vec<f32>]) -> Vec<f32> {
    let length = channels.iter().map(Vec::len).min().unwrap_or(0);
    let mean = |n: usize| channels.iter().map(|c| c[n]).sum::<f32>() / channels.len() as f32;
    (0..length).map(mean).collect()
}

/// Converts `samples` from one rate to another, without delay.
pub fn resample(samples: Vec<f32>, from: u32, to: u32) -> Vec<f32> {
    if from == to {
        return samples;
    }
    let mut resampler = Fft::<f32>::new(from as usize, to as usize, 1024, 1, FixedSync::Both)
        .expect("two rates above zero and one channel are a valid conversion");
    let input = InterleavedSlice::new(&samples, 1, samples.len())
        .expect("one channel fits a slice of its own length");
    resampler
        .process_all(&input, samples.len(), None)
        .expect("the buffers are made to measure")
        .take_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_file_is_no_recording() {
        let error = read_mono(Path::new("Cargo.toml"), 8000).expect_err("no audio");
        assert!(
            error.to_string().starts_with("Cargo.toml is no WAV, FLAC or Ogg recording"),
            "{error}"
        );
    }

    #[test]
    fn conversion_keeps_length_level_pitch_and_place() {
        let angle = |n: usize, rate: f32| n as f32 * 440.0 * std::f32::consts::TAU / rate;
        let tone: Vec<f32> = (0..48_000).map(|n| angle(n, 48_000.0).sin()).collect();
        let converted = resample(tone, 48_000, 8_000);
        assert!(converted.len().abs_diff(8_000) <= 1, "{} samples", converted.len());
        // Amplitude and phase of the tone in it, away from the edges.
        let (mut sine, mut cosine) = (0.0, 0.0);
        for (n, sample) in converted.iter().enumerate().take(7_200).skip(800) {
            sine += sample * angle(n, 8_000.0).sin() / 3_200.0;
            cosine += sample * angle(n, 8_000.0).cos() / 3_200.0;
        }
        assert!((sine.hypot(cosine) - 1.0).abs() < 1e-3, "amplitude {}", sine.hypot(cosine));
        let shift = cosine.atan2(sine) / angle(1, 8_000.0);
        assert!(shift.abs() < 0.6, "off by {shift} samples");
    }
}
