//! Ports: whether they are ours to have, who else draws from them, and what a firewall has to let in.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use crate::cli::doctor::finding::Finding;
use crate::config::Config;
use crate::config::sip::Listen;
use crate::sip::transport::Transport;

/// Where the kernel takes ports from for whoever asks for none in particular.
const EPHEMERAL: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Which of these it leaves alone.
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

pub(super) fn look(config: &Config, running: bool) -> Vec<Finding> {
    let listen = &config.sip.listen;
    let mut findings: Vec<Finding> = listen.iter().map(|&one| port(one, running)).collect();
    findings.extend(media(config.rtp.ports, config.sip.max_calls));
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    findings.extend(shared(config.rtp.ports, &read(EPHEMERAL), &read(RESERVED)));
    findings.push(firewall(config));
    findings
}

fn port(listen: Listen, running: bool) -> Finding {
    let part = "port";
    if listen.address.port() == 0 {
        return Finding::ok(part, format!("{listen} takes any free one"));
    }
    let tried = match listen.transport {
        Transport::Udp => UdpSocket::bind(listen.address).map(drop),
        Transport::Tcp | Transport::Tls => TcpListener::bind(listen.address).map(drop),
    };
    let port = listen.address.port();
    match tried {
        Ok(()) => Finding::ok(part, format!("{listen} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && running => {
            Finding::ok(part, format!("{listen} is in use, as the appliance runs"))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let found = format!("{listen} is in use by another program");
            let remedy =
                format!("ss -lunpt 'sport = :{port}' shows which: end it, or change sip.listen");
            Finding::problem(part, found, remedy)
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let remedy = "a port above 1023 needs no right, and systemd may hand out one below (sidetone.socket)";
            Finding::warning(part, format!("{listen}: {error}"), remedy)
        }
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            let found = format!("{listen}: no interface of this machine has that address");
            Finding::problem(
                part,
                found,
                "ip -brief address shows which there are; change sip.listen",
            )
        }
        Err(error) => Finding::problem(part, format!("{listen}: {error}"), "change sip.listen"),
    }
}

/// Each party takes an even port and the next.
fn media([first, last]: [u16; 2], max_calls: usize) -> Option<Finding> {
    let pairs = (usize::from(last) + 1 - usize::from(first)) / 2;
    (pairs < max_calls).then(|| {
        let found =
            format!("rtp.ports has room for {pairs} parties, and sip.max_calls is {max_calls}");
        Finding::warning("RTP ports", found, "widen rtp.ports: each party takes two")
    })
}

/// A port that the kernel gave to somebody's connection is missing when a call wants it.
fn shared([first, last]: [u16; 2], ephemeral: &str, reserved: &str) -> Option<Finding> {
    let mut bounds = ephemeral.split_whitespace().filter_map(|bound| bound.parse::<u16>().ok());
    let (low, high) = (bounds.next()?, bounds.next()?);
    if last < low || high < first || reserves(reserved, first.max(low), last.min(high)) {
        return None;
    }
    let found = format!(
        "rtp.ports {first}-{last} lies in the range {low}-{high} that the kernel gives to others"
    );
    let remedy = format!(
        "echo net.ipv4.ip_local_reserved_ports={first}-{last} > /etc/sysctl.d/60-sidetone.conf && sysctl --system"
    );
    Some(Finding::warning("RTP ports", found, remedy))
}

/// Whether `list`, as `8080,20000-20999`, has all of `first` to `last` in one piece.
fn reserves(list: &str, first: u16, last: u16) -> bool {
    list.trim().split(',').any(|piece| {
        let (low, high) = piece.split_once('-').unwrap_or((piece, piece));
        let within = |(low, high): (u16, u16)| low <= first && last <= high;
        low.parse().ok().zip(high.parse().ok()).is_some_and(within)
    })
}

fn firewall(config: &Config) -> Finding {
    let part = "firewall";
    let outward: Vec<SocketAddr> = config.sip.listen.iter().map(|listen| listen.address).collect();
    if outward.iter().all(|address| address.ip().is_loopback()) {
        return Finding::ok(part, "SIP listens on loopback: nothing is in between");
    }
    let sip: Vec<String> = config
        .sip
        .listen
        .iter()
        .filter(|listen| !listen.address.ip().is_loopback())
        .map(|listen| {
            let protocol = if listen.transport == Transport::Udp { "udp" } else { "tcp" };
            format!("{protocol} {}", listen.address.port())
        })
        .collect();
    let [first, last] = config.rtp.ports;
    let found = format!(
        "has to let in {} from the PBX, and udp {first}-{last} from whoever sends its media",
        sip.join(", ")
    );
    let remedy = format!(
        "nft list ruleset shows what it lets in; with ufw: ufw allow proto udp from PBX to any port {first}:{last}"
    );
    Finding::unknown(part, found, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State;

    fn listen(text: &str) -> Listen {
        text.to_owned().try_into().expect("a socket")
    }

    #[test]
    fn a_port_that_another_program_has_is_a_problem_unless_that_is_the_appliance() {
        let taken = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let one = listen(&format!("udp:{}", taken.local_addr().expect("bound")));
        assert_eq!(port(one, false).state, State::Problem);
        assert_eq!(port(one, true).state, State::Ok);
        drop(taken);
        assert_eq!(port(one, false).state, State::Ok);
        assert_eq!(port(listen("tcp:192.0.2.1:5060"), false).state, State::Problem);
    }

    #[test]
    fn two_ports_a_party_have_to_suffice() {
        assert!(media([20_000, 20_199], 100).is_none());
        assert!(media([20_000, 20_197], 100).is_some());
    }

    #[test]
    fn ports_that_the_kernel_gives_to_others_are_warned_of_unless_they_are_reserved() {
        let warned = |reserved| shared([40_000, 40_999], "32768\t60999\n", reserved).is_some();
        assert!(warned("\n"));
        assert!(warned("8080,40000-40500\n"));
        assert!(!warned("8080,40000-40999\n"));
        assert!(shared([20_000, 20_999], "32768 60999", "").is_none());
    }
}
