//! Threads, sockets, clocks, models and disk: the only floor with IO.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the floor that reads clocks and opens things"
)]

pub mod actions;
pub mod analyst;
pub mod answered_for;
pub mod appliance;
pub mod audio_file;
pub mod batcher;
pub mod caller;
pub mod capture;
pub mod claims;
pub mod complaints;
pub mod conversations;
pub mod dtls_identity;
pub mod embedder_card;
pub mod enroller;
pub mod enrollments;
pub mod espeak;
pub mod event_streams;
pub mod example_file;
pub mod health;
pub mod heard;
pub mod http;
pub mod inference_thread;
pub mod installed;
pub mod learning;
pub mod leg_orders;
pub mod legs;
pub mod line_log;
pub mod locate;
pub mod media_settings;
pub mod media_thread;
pub mod metrics;
pub mod models;
pub mod notify;
pub mod observation;
pub mod onnx;
pub mod orders;
pub mod pauses;
pub mod phrase_engine;
pub mod phrase_list;
pub mod phrase_thresholds;
pub mod placed_calls;
pub mod policy_in_force;
pub mod policy_reload;
pub mod port_range;
pub mod pronouncing;
pub mod recording_sessions;
pub mod recordings;
pub mod registrations;
pub mod replay;
pub mod rulings;
pub mod sherpa;
pub mod signalling;
pub mod sip_settings;
pub mod site_calibration;
pub mod spotting_run;
pub mod standing_pauses;
pub mod store;
pub mod transport;
pub mod trial_list;
pub mod trial_run;
pub mod verdict_log;
pub mod voices;
