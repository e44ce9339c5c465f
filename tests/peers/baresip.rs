//! baresip: a telephone that plays a recording.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use super::{Running, free_port, installed};

/// Where Debian puts its modules.
const MODULES: &str = "/usr/lib/baresip/modules";

/// Whether it is there; says so if not.
pub(crate) fn is_there() -> bool {
    installed("baresip", "baresip-core")
}

/// A telephone, and the call that it makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phone<'a> {
    /// Its own user name.
    pub(crate) name: &'a str,
    /// Whom it calls: user, address, and `udp` or `tls`.
    pub(crate) user: &'a str,
    pub(crate) target: SocketAddr,
    pub(crate) transport: &'a str,
    /// The one codec that it offers, as baresip writes it: name, rate and channels.
    pub(crate) codec: &'a str,
    /// baresip's name for the way in which media are encrypted, if they are.
    pub(crate) encryption: Option<&'a str>,
    /// A WAV at the codec's rate.
    pub(crate) recording: &'a Path,
    /// A file with a certificate and its key, if it shows one.
    pub(crate) certificate: Option<&'a Path>,
}

impl Phone<'_> {
    /// Calls, and plays the recording until it is dropped. Its files go to `folder`.
    pub(crate) fn call(&self, folder: &Path) -> Running {
        let Self { user, target, transport, .. } = self;
        let dial = format!("/dial sip:{user}@{target};transport={transport}");
        Running::start(self.phone(folder, free_port()).args(["-e", &dial]))
    }

    /// The same with keys that can be pressed.
    pub(crate) fn call_with_keys(&self, folder: &Path) -> (Running, Keys) {
        let Self { user, target, transport, .. } = self;
        let (control, dial) =
            (free_port(), format!("/dial sip:{user}@{target};transport={transport}"));
        let mut command = self.phone(folder, free_port());
        let own = command.get_args().nth(1).map(Path::new).expect("its folder");
        let config = own.join("config");
        let text = fs::read_to_string(&config).expect("just written");
        let more = format!("{text}module_app ctrl_tcp.so\nctrl_tcp_listen 127.0.0.1:{control}\n");
        fs::write(&config, more).expect("a writable folder");
        (Running::start(command.args(["-e", &dial])), Keys(control))
    }

    /// Answers whoever calls it on `port`, and plays the recording to them.
    pub(crate) fn answer(&self, folder: &Path, port: u16) -> Running {
        Running::start(&mut self.phone(folder, port))
    }

    /// A telephone that listens on `port`.
    fn phone(&self, folder: &Path, port: u16) -> Command {
        let own = tempfile::Builder::new().prefix("baresip-").tempdir_in(folder);
        let own = own.expect("a writable folder").keep();
        let shown = self
            .certificate
            .map_or(String::new(), |file| format!("sip_certificate {}\n", file.display()));
        let config = format!(
            "poll_method epoll\ncall_local_timeout 120\ncall_max_calls 16\n\
             audio_player aufile,{heard}\naudio_source aufile,{recording}\n\
             audio_alert aufile,/dev/null\n\
             ausrc_srate 0\nauplay_srate 0\nsip_listen 127.0.0.1:{port}\n{shown}\
             rtp_ports 27000-27999\nnet_interface 127.0.0.1\nmodule_path {MODULES}\n\
             module g711.so\nmodule g722.so\nmodule opus.so\nmodule aufile.so\nmodule srtp.so\n\
             module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\n\
             opus_stereo no\nopus_sprop_stereo no\nopus_bitrate 28000\n",
            heard = own.join("heard.wav").display(),
            recording = self.recording.display(),
        );
        let Self { name, target, transport, codec, encryption, .. } = self;
        let encryption = encryption.map_or(String::new(), |how| format!(";mediaenc={how}"));
        let account = format!(
            "<sip:{name}@{target};transport={transport}>;regint=0;answermode=auto;\
             audio_codecs={codec}{encryption}\n"
        );
        fs::write(own.join("config"), config).expect("a writable folder");
        fs::write(own.join("accounts"), account).expect("a writable folder");
        let mut command = Command::new("baresip");
        command.arg("-f").arg(&own);
        command
    }
}

/// The keys of a telephone, by the port where it takes commands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys(u16);

impl Keys {
    /// Presses one, during a call.
    pub(crate) fn press(self, key: char) {
        let command = format!("{{\"command\":\"sndcode\",\"params\":\"{key}\"}}");
        let mut stream = TcpStream::connect(("127.0.0.1", self.0)).expect("it takes commands");
        // A netstring.
        write!(stream, "{}:{command},", command.len()).expect("it takes commands");
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).expect("an answer");
        assert!(length > 0, "it answers");
    }
}

/// Calls `target` over TLS and plays `recording`, a WAV at 8 kHz, until it is dropped. It shows the
/// certificate in `certificate`, a file with its key, if it has one.
pub(crate) fn call_over_tls(
    folder: &Path,
    target: SocketAddr,
    recording: &Path,
    certificate: Option<&Path>,
) -> Running {
    let phone = Phone {
        name: "phone",
        user: "sidetone",
        target,
        transport: "tls",
        codec: "PCMU/8000/1",
        encryption: None,
        recording,
        certificate,
    };
    phone.call(folder)
}
