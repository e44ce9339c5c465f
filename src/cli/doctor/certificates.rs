//! Certificates: whether they are of use, and for how long.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use crate::cli::doctor::finding::Finding;
use crate::config::Config;
use crate::runtime::certificate_expiry;
use crate::runtime::http::tls::HttpTls;
use crate::runtime::transport::tls::Tls;

/// Renewal by ACME is due at 30 days; what is not renewed at 14 has failed for a while.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(tls) = &config.sip.tls {
        let loads = Tls::load(tls).map(drop).map_err(|error| error.to_string());
        findings.push(judge("sip.tls", &tls.certificate, loads, Timestamp::now()));
    }
    if let Some(tls) = &config.http.tls {
        let loads = HttpTls::load(tls).map(drop).map_err(|error| error.to_string());
        findings.push(judge("http.tls", &tls.certificate, loads, Timestamp::now()));
    }
    findings
}

fn judge(key: &str, file: &Path, loads: Result<(), String>, now: Timestamp) -> Finding {
    let renew = "renew it, then: systemctl reload sidetone";
    let useless = |error: String| Finding::problem("certificate", format!("{key}: {error}"), renew);
    let until = match certificate_expiry::read(file) {
        Ok(until) => until,
        Err(error) => return useless(error.to_string()),
    };
    let (left, file) = (until.duration_since(now), file.display());
    let day = until.strftime("%F");
    if left <= SignedDuration::ZERO {
        let found = format!("{key}: {file} was valid until {day}: nobody connects any more");
        Finding::problem("certificate", found, renew)
    } else if let Err(error) = loads {
        useless(error)
    } else if left < SOON {
        let found = format!("{key}: {file} is valid until {day}, {} days more", days(left));
        Finding::warning("certificate", found, renew)
    } else {
        let found = format!("{key}: {file} is valid until {day}, {} days more", days(left));
        Finding::ok("certificate", found)
    }
}

fn days(left: SignedDuration) -> i64 {
    left.as_hours() / 24
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State;

    #[test]
    fn a_certificate_is_warned_of_a_fortnight_before_its_end_and_is_a_problem_after_it() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut params = rcgen::CertificateParams::new(["a".to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        std::fs::write(file.path(), pem).expect("our file");
        let on = |day: &str| {
            let now: Timestamp = format!("{day}T00:00:00Z").parse().expect("a time");
            judge("http.tls", file.path(), Ok(()), now)
        };
        assert_eq!(on("2031-01-01").state, State::Ok);
        assert_eq!(on("2031-01-22").state, State::Warning);
        assert!(on("2031-01-22").found.ends_with("2031-02-03, 12 days more"));
        assert_eq!(on("2031-02-03").state, State::Problem);
        let now: Timestamp = "2031-01-01T00:00:00Z".parse().expect("a time");
        let broken = judge("http.tls", file.path(), Err("no key".to_owned()), now);
        assert_eq!((broken.state, broken.found.as_str()), (State::Problem, "http.tls: no key"));
    }
}
