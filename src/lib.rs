//! sidetone: a silent SIP participant that verifies the caller's voice and spots phrases.
//!
//! A PBX lets it into a call. It decodes the audio, decides continuously whether the caller is who
//! they claim to be, spots watched phrases, and tells the PBX by SIP INFO, and Prometheus. This page
//! is the tour: the floors, one packet's walk through them, and the words we use.
//!
//! # Floors
//!
//! A room imports only from floors below, never sideways, never up; `tests/floors.rs` holds the
//! walls, and every import names the file that defines the thing.
//!
//! | floor | wing | what it is |
//! |---|---|---|
//! | 7 | [`cli`] | one file per subcommand: arguments, work, exit code |
//! | 6 | [`runtime`] | sockets, threads, clock, models, disk, HTTP: the only floor with IO |
//! | 5 | [`config`] | the TOML file as types |
//! | 4 | [`call`] | one call, pure: the only place where the wings below meet |
//! | 3 | [`policy`] | what the evidence means: watched phrases, rules, judge, verdicts |
//! | 2 | [`speaker`] [`keyword`] | who speaks; what was said |
//! | 1 | [`sip`] [`siprec`] [`sdp`] [`rtp`] [`audio`] [`consent`] [`vault`] | protocols, signal, the rules of consent, and what seals and chains what is kept, without IO |
//!
//! `speaker` and `policy` look down on [`consent`], too: whatever embeds a voice asks for leave by type, and an obstacle may be a refusal. `sdp-types` is the whole wing [`sdp`]'s; the other packages stand behind one file each:
//! `rsip` in [`sip::message`], `mail-parser` in [`sip::multipart`], `roxmltree` in [`siprec::metadata`], `ipnet` in [`sip::access`], `rtp-rs` in [`rtp::packet`],
//! `rtcp-types` in [`rtp::report`], `libsrtp` in [`rtp::srtp`], `dimpl` in [`rtp::dtls`],
//! `audiopus` in [`audio::decoder`] and [`audio::opus_encoder`], `webrtc-vad` in
//! [`audio::voice_activity`], `realfft` in [`audio::spectrum`], `rustls` in [`runtime::transport::tls`], `rcgen` in [`runtime::dtls_identity`],
//! `hickory-resolver` in [`runtime::transport::resolver`], `ort` in [`runtime::onnx`], `prometheus`
//! in [`runtime::metrics`], `symphonia` and `rubato` in [`runtime::audio_file`], `pcap-parser` in
//! [`runtime::capture::file`], `etherparse` in [`runtime::capture::network`], `ureq` in [`cli::call`], [`cli::doctor`] and [`runtime::notify::http_client`], `x509-cert` in [`runtime::certificate_expiry`], `clap_mangen` and `roff` in the folder [`cli::manual`],
//! `clap_complete` in [`cli::completions`], `sd-notify` in [`runtime::service_manager`], `listenfd` in [`runtime::transport::handed_over`],
//! `chacha20poly1305` in [`vault::sealed`], `ring` in [`vault::proof`], `rusqlite` in [`runtime::store::sqlite`], `postgres` in
//! [`runtime::store::postgres`] and the file beside it, `ciborium` in [`runtime::store::packed`], `indicatif` in [`cli::progress`], `utoipa` in the
//! folder [`runtime::http`], `csv` in [`runtime::trial_list`], [`cli::voiceprint::import`]'s plan and report, [`cli::eval::table`] and [`cli::eval::keyword_scores`]. `ort` is named in the folder beside its file, too. [`runtime::onnx_telemetry`] keeps
//! ONNX Runtime, which would report to its maker, from it.
//!
//! # Machines
//!
//! Whatever has a state below `runtime` is a machine without a clock: `handle_*(now, ..)` when
//! something arrived, `handle_timeout(now)` when its deadline has come, `poll_output()` until it is
//! empty, `poll_timeout()` for the next deadline, `stats()` for plain integers. Time and chance are
//! arguments, so the same seed gives the same transcript.
//!
//! # One RTP packet, from socket to SIP INFO
//!
//! 1. [`runtime::media_thread`] reads the datagram, and the clock once
//! 2. [`call::media_session::MediaSession::handle_datagram`]: [`rtp::security`] decrypts it, where
//!    [`call::media_plan`] says so, and shakes hands by [`rtp::dtls`]; RTP or RTCP
//! 3. [`rtp::packet::Packet::parse`]: an error is counted and stops here; [`rtp::source`] checks where
//!    it came from
//! 4. [`rtp::reception`] records it: widened numbers, loss, duplicates, jitter, drift, probation
//! 5. [`rtp::jitter_buffer`] puts it in its place, and gives out `Packet`, `Lost` or `Silence`; there
//!    is no play-out clock, since nobody listens live: what is in order leaves at once, and a gap
//!    waits for as long as [`rtp::lateness`] has found worth it
//! 6. [`audio::playback`] has [`audio::decoder`] decode it, and [`audio::concealment`] bridge a gap;
//!    what is made up is marked and never scored. Keys go by [`rtp::telephone_event`] to [`call::card_watch`]
//! 7. [`audio::listener`] makes it 16 kHz of telephone bandwidth, [`audio::voice_activity`] tells
//!    speech from silence, [`audio::speech_windows`] cuts windows of net speech for the speaker models
//!    and [`audio::segmenter`] whole spurts for the keyword model
//! 8. [`audio::level`], [`audio::tone`] and [`audio::speech_level`] measure on the way; [`call::line`]
//!    puts figures and counts into a [`policy::line`]'s report, when the line falls silent, comes back
//!    or is over. `Output::Infer` goes to [`runtime::inference_thread`], whose queue ([`runtime::batcher`]) keeps
//!    the newest window of each session, and serves sessions in turn
//! 9. [`runtime::onnx::speaker_model`] makes an embedding, by the [`audio::front_end`] that the model's card
//!    ([`runtime::embedder_card`]) names; [`keyword::spotter`] has [`runtime::onnx::moonshine`] hear a segment:
//!    [`keyword::phone_search`] looks for the [`keyword::pronunciation`]s of each phrase in what the phone head heard, and
//!    for what it does not rule out a [`keyword::search`] has the segment written down, and asks the decoder.
//!    [`keyword::digit_search`] counts digits in a row and tells how many, never which; [`keyword::phone_decision`] decides
//!    phrases of a language ([`keyword::language`]) that the decoder does not know, said as [`runtime::pronouncing`] found out.
//!    [`keyword::example_decision`] decides phrases known by example, which [`runtime::learning`] learned, by [`keyword::subsequence_dtw`].
//!    [`keyword::searches`] has all that go on decoded together, a lane each ([`runtime::onnx::decoder_lanes`]), and
//!    [`keyword::schedule`] says whether a run hears the next, goes a step on, or asks. Where the configuration says so ([`runtime::phrase_engine`]),
//!    [`runtime::sherpa`] searches with a streaming model instead: [`runtime::onnx::streaming`] gives rows, and
//!    [`keyword::streaming::beam`] or [`keyword::streaming::ctc_beam`] finds phrases in them by [`keyword::streaming::context_graph`].
//!    A segment carries what listens for its call ([`runtime::policy_in_force`]), whatever policy is in force by then
//! 10. back on the media thread, `handle_answer`: [`call::voices`] knows who asked. [`call::speaker_watch`] gives
//!     each window its turn and asks the strong embedder where the verifier wants it; [`speaker::calibration`]
//!     makes a log-likelihood ratio of both cosines, and [`speaker::verifier`] tests it sequentially, then
//!     watches for a change; [`speaker::watchlist`] compares the same windows with known voices. Where several
//!     people share a leg, [`audio::mixed_stream`] holds its frames until [`runtime::onnx::segmentation_model`] and
//!     [`audio::turns`] have said who speaks when, and [`call::mixed_watch`] gives everybody whom
//!     [`speaker::people`] knows again a comparison of their own; [`call::claim_watch`] is either.
//!     [`call::enrollment_watch`] gathers a caller who is being enrolled, by [`speaker::enrollment`] and
//!     [`speaker::gathering`]; [`call::adaptation_watch`] watches whether the call may teach its voiceprint, and
//!     [`runtime::enrollments`] keeps what comes of both
//!     [`call::phrase_watch`] tells of phrases, and how far they were looked for. [`policy::pause`] says when a leg is paused,
//!     [`call::media_pause`] does it by the set in [`call::pauses`], and [`runtime::pauses`] carries words of phrases, headers
//!     ([`sip::pause_header`]) and orders to the legs; [`runtime::standing_pauses`] keeps what whoever joins is paused by
//! 11. `Output::Evidence` goes to [`runtime::signalling`], which owns the calls
//!     ([`runtime::metrics`] counts what windows say, and [`speaker::score_drift`] tells whether accepted calls
//!     still sound as the calibration expects)
//!     [`runtime::leg_figures`] keeps what a leg is at and what came of it, for [`runtime::metrics`]
//! 12. [`call::call::Call::handle_evidence`] asks [`policy::judge`], who says `Some(Verdict)` when a
//!     conclusion changed
//!     [`policy::ruling`] puts evidence into the conversation's time for [`policy::rules::book`], which decides a rule
//!     once nothing still to come can alter it, by [`runtime::rulings`]' clock; [`cli::audit::rules`] does so again from what [`runtime::event_streams`] kept
//!     A leg joins with its first audio ([`policy::judge::Judge::begin`]); what it missed is a gap ([`policy::rules::ledger`]), and
//!     [`runtime::conversations`] waits for another leg before [`runtime::rulings`] concludes
//! 13. the verdict goes out by [`sip::endpoint::Endpoint::send_info`], to standard output, into the
//!     metrics and to whoever observes ([`runtime::observation`]); [`policy::signal`] says whose dialogs get it, and
//!     [`runtime::conversations`] sends it there
//! 14. [`policy::action_book`] says what a [`policy::action`] wants done about it, once; [`runtime::actions`] hangs up taps, and has the rest done
//!     by receivers. [`runtime::notify::notifiers`] hands a notice to the thread of each ([`runtime::notify::worker`]), whose
//!     [`runtime::notify::backlog`] keeps order, waits and bounds. [`runtime::notify::ami`], [`runtime::notify::ari`] and
//!     [`runtime::notify::esl`] tell it and do what is wanted, [`runtime::notify::webhook`] tells it; [`runtime::notify::interrupted`] knows how far each had come
//!
//! # One capture, from file to report
//!
//! 1. [`runtime::capture::file`] reads frames, [`runtime::capture::network`] makes datagrams and
//!    segments of them, with [`runtime::capture::fragments`] and [`runtime::capture::tcp`]
//! 2. [`runtime::capture::survey`] is the first pass: [`runtime::capture::dialogs`] reads the SIP, and
//!    [`runtime::capture::streams`] looks at what no SDP explains
//! 3. [`runtime::capture::legs`] is the second: each flow of RTP is one leg, and has a
//!    [`runtime::replay::Player`], which drives a media session in the capture's own time
//! 4. [`runtime::analyst`] answers with the models, where they were asked for; a
//!    [`policy::judge`] concludes as in a call
//! 5. [`cli::analyze`] prints it; a recording ([`runtime::audio_file`]) comes in at step 3
//!
//! # One trial, from file to figure
//!
//! 1. [`runtime::trial_list`] reads who is compared with whom; [`runtime::enroller`] enrols
//! 2. [`audio::channel`] sends a recording down a line, [`runtime::heard`] has a [`call::speaker_watch`] hear it with
//!    the real models, [`runtime::trial_run`] does so for a whole list
//! 3. [`speaker::trials`] counts errors and costs, [`speaker::recalibration`] fits the site's own line;
//!    [`cli::eval`] prints and draws, [`cli::calibrate`] writes
//!
//! Phrases go the same way: [`runtime::phrase_list`] reads what is said where, [`runtime::spotting_run`] cuts and searches,
//! [`keyword::detections`] counts. [`cli::keywords::check`] tells beforehand what they are worth, by [`keyword::false_alarms`],
//! [`keyword::phone_distance`] and [`policy::phrase_check`].
//!
//! # One SIP request, from socket to call
//!
//! 1. [`runtime::transport::transports`] hands up one message, with the [`sip::transport::Source`]
//!    that it came from: a datagram, or what [`sip::stream_framing`] cut out of a connection
//! 2. [`sip::endpoint::Endpoint::handle_message`]: [`sip::gate`] asks [`sip::access`] whose it is; a
//!    stranger's ends here, unless it belongs to something that stands
//! 3. [`sip::message`] parses it; what is malformed is counted, and refused where it can be
//! 4. [`sip::server_transactions`] absorbs what repeats itself, [`sip::screening`] refuses what we
//!    cannot do, [`sip::digest_server`] asks for a password where the peer needs one
//!    [`sip::responses`] counts answers by method and status, a bounded number of pairs
//! 5. [`sip::call`] has one call: [`sip::server_call`] where they called, [`sip::client_call`] and
//!    [`sip::provisional`] where we did, [`sip::refresh`] and [`sip::session_timer`] keep it alive,
//!    [`sip::info`] says in which form the peer takes verdicts
//! 6. what its SDP offers, [`sdp::offer`] reads and [`sdp::answer`] answers, on the terms that
//!    [`runtime::media_settings`] has for the peer; [`call::negotiation`] makes a plan of it, and keys
//!    from [`call::key_source`]: [`rtp::security`] encrypts and decrypts with them, or with those of
//!    [`rtp::dtls`]
//!    A recording client's offer has an m-line for each party: [`sip::multipart`] cuts its body, [`siprec::metadata`] and
//!    [`siprec::roster`] say who sends what, [`call::recording`] whose leg each stream is, [`sdp::several`] answers each, and
//!    [`runtime::recording_sessions`] gives each a leg; [`call::media_relay`] lets one take over from another
//! 7. a request of ours goes by [`sip::client_transactions`] over a [`sip::transport::Hop`]: where its
//!    URI names a host, [`runtime::locate`] asks the questions of [`sip::location`] first
//!    [`runtime::options_probe`] asks a PBX whether it is there, beside all this, for [`cli::doctor`]
//! 8. [`sip::accounts`] keeps a [`sip::registration`] for each [`sip::account`]
//!
//! # One consent, from header to erasure
//!
//! 1. [`call::facts`] reads a reference and what it covers; [`runtime::claims`] makes a [`consent::consents::Change`] of it and asks the
//!    vault ([`runtime::asking`]), while the call goes on
//! 2. [`runtime::store::keeper`] has the thread that owns the [`runtime::store::vault`]: [`runtime::store::claim`] records what is news
//!    ([`runtime::store::consents`]) and gives what stands, and the voice that is claimed ([`runtime::store::persons`]), opened by
//!    [`vault::keyring`] and [`vault::sealed`] with what [`runtime::store::key_file`] read
//! 3. [`consent::consents::Consents::permit`] makes a [`consent::permit::Permit`], or says why not. Whatever embeds asks for one:
//!    [`call::speaker_watch`], [`call::enrollment_watch`], [`call::adaptation_watch`], [`speaker::gathering`], [`speaker::watchlist`],
//!    [`runtime::enroller`]. What a command's owner answers for is [`runtime::answered_for`]
//! 4. whoever withdraws it, here or elsewhere, is noticed by [`runtime::store::chores`]; [`runtime::withdrawals`] tells the leg, and
//!    [`call::media_consent`] ends what rested on it
//! 5. [`runtime::store::erasure`] removes what may not stay by [`consent::retention`], with the person's key, and signs it
//!    ([`vault::proof`])
//!    [`runtime::known_voices`] reads the watchlist again once one of it was made or erased
//! 6. [`runtime::recorded`] says what goes on record; [`runtime::store::trail`] keeps its order through an outage,
//!    [`runtime::store::audit_trail`] links it ([`vault::chain`]), [`runtime::store::anchors`] notes its end
//!
//! [`runtime::store::database`] is what the vault asks of [`runtime::store::sqlite`] or [`runtime::store::postgres`];
//! [`runtime::store::schema`] makes their tables. People ask for the same by [`cli::consent`], [`cli::voiceprint`], [`cli::vault`] and
//! [`cli::audit`], programs by [`runtime::http::routes`], with what [`runtime::http::access`] allows them. How things are done stands in
//! `docs/SUMMARY.md`; `tests/handbook.rs` runs every command in it.
//!
//! # One HTTP request
//!
//! 1. [`runtime::http::server`] takes the connection, over TLS by [`runtime::http::tls`], and lets nobody be slow;
//!    [`runtime::http::connections`] says who gives up a place, [`runtime::http::host`] by which name it was asked for
//! 2. [`runtime::http::access`] says which [`runtime::http::role`] it needs, and [`runtime::http::tokens`] whose token it bears
//! 3. [`runtime::http::extract`] reads it, or says the [`runtime::http::problem`]; [`runtime::http::calls`] gives an order at the
//!    desk, [`runtime::http::persons`] and [`runtime::http::audit`] ask the vault by [`runtime::http::vault_desk`]
//! 4. [`runtime::http::routes`] has all of them, [`runtime::http::description`] tells them
//! 5. a browser's goes to [`runtime::http::page::routes`]: [`runtime::http::page::sessions`] says whose it is, and
//!    [`runtime::http::page::stream`] tells what is news on the [`runtime::http::page::board`], which [`runtime::http::page::watch`]
//!    keeps up to date by observations ([`runtime::line_watch`] adds lines while somebody looks on)
//! 6. Prometheus' goes to [`runtime::http::watched`]: [`runtime::metrics`] writes its text format, or OpenMetrics with exemplars
//!    where both sides want them
//!
//! # Threads, and what gives way
//!
//! One signalling thread owns the SIP sockets, the endpoint, the calls and their judges; N media
//! threads own their parties' sockets and sessions (a voice activity detector cannot change
//! threads); one thread per model owns it. The main thread serves HTTP and waits for signals; what
//! is asked of `/calls` goes to the signalling thread as an [`runtime::placed_calls::Order`]. One thread owns the vault, one writes kept
//! events, and each receiver of verdicts has one;
//! [`runtime::reload::reloader`] reads each [`runtime::reload::part`] again beside all of them, and [`runtime::admission`] is who may
//! call from then on. Each thread says by its [`runtime::pulse`] that it comes round; [`runtime::watchdog`] looks, and
//! [`runtime::service_manager`] tells systemd, with [`runtime::status_line`]. [`runtime::transport::handed_over`] takes the
//! sockets that systemd holds, [`runtime::thread_priority`] asks for a priority of the media threads.
//!
//! Every queue has a bound. What gives way, in this order: new calls (503 with Retry-After); a
//! speaker window, to a newer one of the same party and for the same purpose; a keyword segment, to a newer one, when four
//! wait; late RTP, which is concealed and not scored; an event to be kept, when 4096 wait: its file ends there; a verdict for a receiver, when 1000 wait
//! for it: the oldest of the conversation that holds most; an audit record, when 10,000 wait for a database that is away, which is
//! itself on record then. Each is counted, and lowers the `coverage` of
//! the verdicts that follow: overload makes them humbler, not wrong. SIP, evidence and verdicts
//! never give way. A page that is slow is told more at once.
//!
//! # Words
//!
//! * *Peer*: who may call us, by network, transport, certificate or password; all others are
//!   *strangers*. *Account*: what we register as.
//! * *Party*: one person's leg: one SIP call to us, or one stream of a *recording session*, which is the call of a SIPREC client.
//!   *Conversation*: the parties that belong together, and `rejoin_s` after the last of them has left.
//! * *Receiver*: who is told of verdicts beside SIP. *Notice*: a verdict on its way to one. *Action*: what a policy wants done about a
//!   verdict. *Act*: one thing of it. *Deed*: an act and the channel that it is done to.
//! * *Line*: how a party's audio reaches us. *One-way*: nothing comes from who is to send.
//! * *Stream time*: time since a party's first audio, silences included.
//! * *Net speech*: speech really received; pauses and concealed audio are not in it.
//! * *Window*: up to 3 s of net speech, one every 0.7 s of it. *Slice*: the newest 1.6 s of a window. *Segment*: a
//!   spurt of talk with its short pauses, or 4 s of a longer one; what was said before a pause is one already, in case
//!   nothing follows. *Lane*: the decoder's memory of a segment.
//! * *Mixed leg*: one that several people share. *Chunk*: 10 s of it. *Stretch*: up to 3 s that one of them says.
//! * *Embedder*: a model that makes a point of a voice: the strong one decides, the cheap one watches. *Card*: what
//!   `models/manifest.toml` says of a model.
//! * *Session*: one recording or call that a voiceprint is made from. *Reference*: a voice as one model hears it.
//!   *Revision*: a state of a voiceprint that can be gone back to.
//! * *Evidence*: what the audio showed. *Verdict*: what it means, numbered per conversation.
//! * *Rule*: what is to be said, or not. *Conversation time*: since the first leg's first audio. *Gap*: speech that nobody
//!   searched.
//! * *Person*: somebody of whom something is kept, in one *role*: caller, agent, or on the watchlist. *Subject*: what the PBX calls them.
//!   *Pseudonym*: what they are called where names must not stand.
//! * *Leave*, *permit*: that a consent which holds covers one processing. *Scope*: a purpose that one agrees to by itself.
//! * *Board*: what the live page shows. *Call reference*: what a conversation is called there and by exemplars, drawn by chance.
//!   *Rung*: what gives way, and in which order. *Drain*: the time in which no call is taken and those that stand may end.
//! * *Master key*: what persons' keys lie under. *Trail*: the audit records. *Anchor*: its end, noted elsewhere.
//! * *In force*: the policy that new conversations are judged by. *Pause*: time in which nothing of a leg is heard or kept.
//!   *Holder*: who wants it paused. *Experiment*: a language whose phrases are found too seldom to rest a decision on.
//! * *Piece*: a word piece of a streaming model. *Row*: what such a model gives for 40 ms. *Path*: what may have been said.
//! * *LLR*: natural log of how much better "the claimed speaker" explains the speech than "somebody
//!   else".
//! * *Coverage*: share of the speech heard that a model really worked on.

pub mod audio;
pub mod call;
pub mod cli;
pub mod config;
pub mod consent;
pub mod keyword;
pub mod policy;
pub mod rtp;
pub mod runtime;
pub mod sdp;
pub mod sip;
pub mod siprec;
pub mod speaker;
pub mod vault;
