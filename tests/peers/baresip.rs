//! baresip: a telephone that plays a recording.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{Running, free_port, installed};

/// Where Debian puts its modules.
const MODULES: &str = "/usr/lib/baresip/modules";

/// Whether it is there; says so if not.
pub(crate) fn is_there() -> bool {
    installed("baresip", "baresip-core")
}

/// Calls `target` over TLS and plays `recording`, a WAV at 8 kHz, until it is dropped. It shows the
/// certificate in `certificate`, a file with its key, if it has one.
pub(crate) fn call_over_tls(
    folder: &Path,
    target: SocketAddr,
    recording: &Path,
    certificate: Option<&Path>,
) -> Running {
    let own = folder.join(format!("baresip-{}", free_port()));
    fs::create_dir(&own).expect("a writable folder");
    let shown =
        certificate.map_or(String::new(), |file| format!("sip_certificate {}\n", file.display()));
    let config = format!(
        "poll_method epoll\ncall_local_timeout 120\ncall_max_calls 4\n\
         audio_player aufile,{heard}\naudio_source aufile,{recording}\naudio_alert aufile,/dev/null\n\
         ausrc_srate 0\nauplay_srate 0\nsip_listen 127.0.0.1:{port}\n{shown}\
         rtp_ports 27000-27999\nnet_interface 127.0.0.1\nmodule_path {MODULES}\n\
         module g711.so\nmodule aufile.so\nmodule_tmp uuid.so\nmodule_tmp account.so\n\
         module_app menu.so\n",
        heard = own.join("heard.wav").display(),
        recording = recording.display(),
        port = free_port(),
    );
    let account = format!(
        "<sip:phone@{target};transport=tls>;regint=0;answermode=auto;audio_codecs=PCMU/8000/1\n"
    );
    fs::write(own.join("config"), config).expect("a writable folder");
    fs::write(own.join("accounts"), account).expect("a writable folder");
    let dial = format!("/dial sip:sidetone@{target};transport=tls");
    Running::start(Command::new("baresip").arg("-f").arg(&own).args(["-e", &dial]))
}
