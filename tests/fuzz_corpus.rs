//! What fuzzing has found so far, in every test run: `make fuzz` looks for more.

#[path = "fuzz/checks.rs"]
mod checks;
#[path = "fuzz/media_checks.rs"]
mod media_checks;
#[path = "fuzz/siprec_checks.rs"]
mod siprec_checks;

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
fn every_recording_of_the_corpus_is_met() {
    replay("siprec", siprec_checks::siprec);
}

/// Chance, on top of what is kept: bytes changed, cut, doubled and swapped in what clients really send.
#[test]
#[expect(clippy::disallowed_methods, reason = "the corpus lies in files")]
fn ten_thousand_bodies_gone_wrong_are_met() {
    let folder = std::fs::read_dir("tests/fuzz/corpus/siprec").expect("a folder");
    let mut files: Vec<_> = folder.map(|file| file.expect("a file").path()).collect();
    files.sort();
    let bodies: Vec<_> = files.iter().map(|file| std::fs::read(file).expect("a file")).collect();
    let mut random = fastrand::Rng::with_seed(7);
    for n in 0..10_000 {
        let mut body = bodies[n % bodies.len()].clone();
        for _ in 0..random.usize(1..8) {
            let at = random.usize(..body.len());
            let to = (at + random.usize(1..64)).min(body.len());
            match random.u8(..5) {
                0 => body[at] = random.u8(..),
                1 => drop(body.drain(at..to)),
                2 => {
                    let piece = body[at..to].to_vec();
                    let place = random.usize(..body.len());
                    body.splice(place..place, piece);
                }
                3 => body[at] = *random.choice(b"<>\"&;:=-\r\n /").expect("there are some"),
                _ => body.truncate(body.len() - random.usize(..body.len().min(200))),
            }
            if body.is_empty() {
                break;
            }
        }
        siprec_checks::siprec(&body);
    }
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
