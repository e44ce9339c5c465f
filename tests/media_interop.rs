//! Media of real peers: baresip plays a tone in each codec, directly and through Asterisk, in the
//! clear and encrypted, and its level and pitch come out at the far end.
//!
//! Without the models, baresip or Asterisk these tests say so and pass.
#![expect(clippy::disallowed_methods, reason = "a test reads a clock and waits")]
#![expect(clippy::print_stderr, reason = "the figures are for docs/reference/figures.md")]

mod appliance;
mod peers;
mod store;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use appliance::{Appliance, LISTEN, Site};
use peers::asterisk::Asterisk;
use peers::authority::Authority;
use peers::baresip::{self, Phone};
use peers::{Running, installed};
use serde_json::Value;
use store::store;

/// The tone: amplitude of its sine, and pitch in Hz.
const AMPLITUDE: f64 = 0.2;
const HERTZ: f64 = 1_004.0;
/// How far it may be off, dB and Hz.
const DECIBELS: f64 = 1.0;
const CENTS: f64 = 5.0;
/// How long each call is heard.
const HEARD: Duration = Duration::from_secs(4);
/// A year whose certificates are good.
const LATER: i32 = 2100;

/// Each codec as baresip writes it, the rate of its recording, and as we name it.
const CODECS: [(&str, u32, &str); 4] = [
    ("PCMU/8000/1", 8_000, "PCMU"),
    ("PCMA/8000/1", 8_000, "PCMA"),
    ("G722/16000/1", 16_000, "G722"),
    ("opus/48000/1", 48_000, "opus"),
];

#[test]
fn baresip_is_heard_in_every_codec() {
    let Some(bench) = Bench::new() else { return };
    let appliance = Appliance::start(&bench.site);
    let phones = bench.call(appliance.sip, "udp", None, |_| "sidetone".to_owned());
    bench.check(appliance, phones, None);
}

#[test]
fn baresip_is_heard_in_every_codec_over_tls_and_srtp() {
    let Some(bench) = Bench::new() else { return };
    bench.listen_to_tls();
    let appliance = Appliance::start(&bench.site);
    let tls = appliance.tls.expect("a TLS socket");
    let phones = bench.call(tls, "tls", Some("srtp-mand"), |_| "sidetone".to_owned());
    bench.check(appliance, phones, Some("sdes"));
}

#[test]
fn a_tone_comes_through_asterisk_in_every_codec() {
    let Some(bench) = Bench::new() else { return };
    let appliance = Appliance::start(&bench.site);
    let sidecar = appliance.sip;
    bench.check_through_asterisk(appliance, &endpoints(sidecar, "udp", "no"), None);
}

#[test]
fn a_tone_comes_through_asterisk_over_tls_and_srtp() {
    let Some(bench) = Bench::new() else { return };
    bench.listen_to_tls();
    let appliance = Appliance::start(&bench.site);
    let sidecar = appliance.tls.expect("a TLS socket");
    let tls = "[tls]\ntype = transport\nprotocol = tls\nbind = 127.0.0.1:0\n\
               verify_server = no\nmethod = tlsv1_2\n";
    let configuration = tls.to_owned() + &endpoints(sidecar, "tls", "sdes");
    bench.check_through_asterisk(appliance, &configuration, Some("sdes"));
}

#[test]
fn a_tone_comes_through_asterisk_with_keys_by_handshake() {
    let Some(bench) = Bench::new() else { return };
    let appliance = Appliance::start(&bench.site);
    let dtls = "dtls\ndtls_auto_generate_cert = yes\nrtcp_mux = yes";
    let configuration = endpoints(appliance.sip, "udp", dtls);
    bench.check_through_asterisk(appliance, &configuration, Some("dtls"));
}

/// What Asterisk has to know of us: an endpoint for each codec, reached over `transport`; and of the
/// phones.
fn endpoints(sidecar: SocketAddr, transport: &str, encryption: &str) -> String {
    let mut text = String::new();
    for (codec, format) in [("pcmu", "ulaw"), ("pcma", "alaw"), ("g722", "g722"), ("opus", "opus")]
    {
        text += &format!(
            "[to-{codec}]\ntype = aor\ncontact = sip:sidetone@{sidecar}\\;transport={transport}\n\
             [to-{codec}]\ntype = endpoint\naors = to-{codec}\ntransport = {transport}\n\
             disallow = all\nallow = {format}\ndirect_media = no\nmedia_encryption = {encryption}\n"
        );
    }
    text + "[phone]\ntype = endpoint\ncontext = from-phone\ndisallow = all\n\
            allow = ulaw,alaw,g722,opus\ndirect_media = no\nrtp_symmetric = yes\n"
}

/// Recordings of the tone, and the appliance's folder.
struct Bench {
    site: Site,
}

impl Bench {
    fn new() -> Option<Self> {
        let store = store()?;
        if !baresip::is_there() {
            return None;
        }
        let site = Site::new(&store);
        site.write("sidetone.toml", site.config());
        for rate in [8_000, 16_000, 48_000] {
            write_tone(&recording(&site, rate), rate);
        }
        Some(Self { site })
    }

    fn listen_to_tls(&self) {
        assert!(installed("openssl", "openssl"), "the certificates are made with it");
        let authority = Authority::new(&self.site.path(""));
        authority.issue("ours", "127.0.0.1", LATER);
        let listen = format!("{LISTEN}, \"tls:127.0.0.1:0\"");
        let text = self.site.config().replace(LISTEN, &listen)
            + "\n[sip.tls]\ncertificate = \"ours.crt\"\nkey = \"ours.key\"\n\
               authorities = \"authorities.pem\"\nclient_certificates = \"off\"\n";
        self.site.write("sidetone.toml", text);
    }

    /// One phone for each codec calls `target`, the user that `user` makes of the codec's name.
    fn call(
        &self,
        target: SocketAddr,
        transport: &str,
        encryption: Option<&str>,
        user: impl Fn(&str) -> String,
    ) -> Vec<Running> {
        let call = |(codec, rate, name): &(&str, u32, &str)| {
            let recording = recording(&self.site, *rate);
            let phone = Phone {
                name: "phone",
                user: &user(name),
                target,
                transport,
                codec,
                encryption,
                recording: &recording,
                certificate: None,
            };
            phone.call(&self.site.path(""))
        };
        CODECS.iter().map(call).collect()
    }

    /// The phones call an Asterisk of this `configuration`, which calls us.
    fn check_through_asterisk(
        &self,
        appliance: Appliance,
        configuration: &str,
        encryption: Option<&str>,
    ) {
        let Some(asterisk) = Asterisk::start(b"", configuration) else { return };
        let address = SocketAddr::from(([127, 0, 0, 1], asterisk.port));
        let phones = self.call(address, "udp", None, str::to_lowercase);
        self.check(appliance, phones, encryption);
    }

    /// Hears the phones for a while, and then what is said of their lines.
    fn check(&self, appliance: Appliance, phones: Vec<Running>, encryption: Option<&str>) {
        let until = Instant::now() + Duration::from_secs(20);
        while appliance.metric("sidetone_calls_active") < CODECS.len() as f64 {
            assert!(Instant::now() < until, "not all call: {:#?}", appliance.log());
            thread::sleep(Duration::from_millis(100));
        }
        thread::sleep(HEARD);
        let stopped = appliance.stop();
        drop(phones);
        let lines: Vec<Value> = stopped
            .output
            .iter()
            .map(|line| serde_json::from_str(line).expect("a line is JSON"))
            .filter(|told: &Value| told["kind"] == "line" && told["state"] == "closed")
            .collect();
        let wanted = 20.0 * AMPLITUDE.log10() - 3.01;
        for (_, _, codec) in CODECS {
            let line = lines.iter().find(|line| line["codec"] == codec);
            let line = line.unwrap_or_else(|| panic!("no line with {codec}: {stopped:#?}"));
            let figure = |name: &str| line[name].as_f64().unwrap_or(f64::NAN);
            let (level, pitch) = (figure("tone_dbfs"), figure("tone_hz"));
            eprintln!("{codec}, {encryption:?}: {level} dBFS for {wanted:.1}, {pitch} Hz");
            assert!((level - wanted).abs() <= DECIBELS, "{codec}: {level} dBFS: {line}");
            assert!((pitch - HERTZ).abs() <= CENTS, "{codec}: {pitch} Hz: {line}");
            assert_eq!(line["encryption"].as_str(), encryption, "{line}");
            assert!(figure("packets") >= 100.0 && figure("lost") == 0.0, "{codec}: {line}");
        }
        assert_eq!(lines.len(), CODECS.len(), "{lines:#?}");
    }
}

fn recording(site: &Site, rate: u32) -> PathBuf {
    site.path(&format!("tone{rate}.wav"))
}

/// Half a minute of the tone.
fn write_tone(file: &Path, rate: u32) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(file, spec).expect("a writable folder");
    for n in 0..30 * rate {
        let angle = f64::from(n) * HERTZ * std::f64::consts::TAU / f64::from(rate);
        wav.write_sample((angle.sin() * AMPLITUDE * 32_768.0) as i16).expect("a writable folder");
    }
    wav.finalize().expect("a writable folder");
}
