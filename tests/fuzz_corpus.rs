//! What fuzzing has found so far, in every test run: `make fuzz` looks for more.

#[path = "fuzz/checks.rs"]
mod checks;
#[path = "fuzz/media_checks.rs"]
mod media_checks;

#[expect(clippy::disallowed_methods, reason = "the corpus lies in files")]
fn replay(target: &str, check: fn(&[u8])) {
    let folder = format!("tests/fuzz/corpus/{target}");
    let files = std::fs::read_dir(&folder).expect("tests run at the package root");
    let mut replayed = 0;
    for file in files {
        let path = file.expect("a readable folder").path();
        check(&std::fs::read(&path).expect("a readable file"));
        replayed += 1;
    }
    assert!(replayed > 0, "{folder} is empty");
}

#[test]
fn every_message_of_the_corpus_is_met() {
    replay("message", checks::message);
}

#[test]
fn every_description_of_the_corpus_is_met() {
    replay("sdp", checks::sdp);
}

#[test]
fn every_srtp_datagram_of_the_corpus_is_met() {
    replay("srtp", checks::srtp);
}

#[test]
fn every_stream_of_the_corpus_is_met() {
    replay("framing", checks::framing);
}

#[test]
fn every_packet_of_the_corpus_is_met() {
    replay("rtp", media_checks::rtp);
}

#[test]
fn every_report_of_the_corpus_is_met() {
    replay("rtcp", media_checks::rtcp);
}

#[test]
fn every_script_of_the_corpus_is_played() {
    replay("session", media_checks::session);
}

#[test]
fn every_capture_of_the_corpus_is_met() {
    replay("capture", checks::capture);
}
