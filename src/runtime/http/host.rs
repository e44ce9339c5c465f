//! By which name something is asked for (RFC 9112 3.2), and which names are ours.

use std::net::{IpAddr, SocketAddr};

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::runtime::http::problem::Problem;

/// Names by which the page may be asked for.
#[derive(Clone, Debug)]
pub struct Hosts {
    names: Vec<String>,
    listen: SocketAddr,
}

impl Hosts {
    /// `names`, those of loopback, and the address that is listened on.
    pub fn new(names: &[String], listen: SocketAddr) -> Self {
        Self { names: names.to_owned(), listen }
    }

    /// Whether `authority`, with or without a port, is ours. A page elsewhere that has its own name resolve to our address is
    /// not (DNS rebinding).
    pub fn are(&self, authority: &Authority) -> bool {
        let host = authority.host();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            // Who listens everywhere has many addresses; and an address is no name that could be made to resolve to ours.
            Ok(address) => {
                let listen = self.listen.ip();
                address.is_loopback() || address == listen || listen.is_unspecified()
            }
            Err(_) => {
                let same = |name: &String| name.eq_ignore_ascii_case(host);
                host.eq_ignore_ascii_case("localhost") || self.names.iter().any(same)
            }
        }
    }
}

/// The name and port that `request` is for: of its target, where that has one, else of its Host; none where it is no name.
pub fn authority(request: &Request) -> Option<Authority> {
    let target = request.uri().authority().cloned();
    target.or_else(|| Authority::try_from(request.headers().get(header::HOST)?.as_bytes()).ok())
}

/// Refuses a request that names no host, or two.
pub async fn well_formed(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    let wanted = match hosts {
        0 => request.version() < Version::HTTP_11,
        hosts => hosts == 1,
    };
    if !wanted {
        let why = format!("there must be one Host, found {hosts}");
        return Problem::new(StatusCode::BAD_REQUEST, why).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_are_the_names_of_the_configuration_loopback_and_the_address_listened_on() {
        let ours = |host: &str, listen: &str| {
            let hosts =
                Hosts::new(&["sidetone.example.org".to_owned()], listen.parse().expect("one"));
            hosts.are(&Authority::try_from(host).expect("an authority"))
        };
        let (loopback, one, all) = ("127.0.0.1:1", "192.0.2.7:1", "[::]:1");
        for host in ["localhost:9464", "127.0.0.1", "[::1]:9464", "SIDETONE.example.org:8"] {
            assert!(ours(host, loopback), "{host}");
        }
        for host in [
            "evil.example.org",
            "localhost.evil.example",
            "sidetone.example.org.evil.example",
            "192.0.2.7",
            "127.0.0.1.evil.example",
        ] {
            assert!(!ours(host, loopback), "{host}");
        }
        assert!(ours("192.0.2.7:9464", one) && !ours("192.0.2.8", one));
        assert!(ours("192.0.2.8", all) && !ours("evil.example.org", all));
    }
}
