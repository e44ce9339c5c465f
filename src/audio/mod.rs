//! From codec payloads to windows and segments of clean speech, without IO.

pub mod bandwidth;
pub mod channel;
pub mod channel_noise;
pub mod concealment;
pub mod decoder;
pub mod fbank;
pub mod front_end;
pub mod g711;
pub mod g722;
pub mod level;
pub mod listener;
pub mod mel;
pub mod mixed_stream;
pub mod opus_encoder;
pub mod pcm;
pub mod playback;
pub mod resampler;
pub mod segmenter;
pub mod spectrum;
pub mod speech_level;
pub mod speech_windows;
pub mod tone;
pub mod turns;
pub mod voice_activity;
