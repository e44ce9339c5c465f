//! Names, asked of a name server on loopback.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, NAPTR, SRV};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;

use sidetone::runtime::transport::resolver::{LookupError, Resolver};
use sidetone::sip::dns::{Naptr, Srv};

/// A name server of one zone; says that there is nothing else.
async fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let at = socket.local_addr().expect("one");
    tokio::spawn(async move {
        let mut bytes = [0; 2_000];
        loop {
            let (length, from) = socket.recv_from(&mut bytes).await.expect("a question");
            let question = Message::from_vec(&bytes[..length]).expect("a question");
            let asked = question.queries[0].clone();
            let mut answer =
                Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
            answer.metadata.recursion_available = true;
            let found = zone(&asked.name().to_ascii().to_ascii_lowercase(), asked.query_type());
            match found {
                None => answer.metadata.response_code = ResponseCode::ServFail,
                Some(found) if found.is_empty() => {
                    answer.metadata.response_code = ResponseCode::NXDomain;
                }
                Some(found) => {
                    let record = |data| Record::from_rdata(asked.name().clone(), 60, data);
                    answer.add_answers(found.into_iter().map(record));
                }
            }
            answer.add_query(asked);
            socket.send_to(&answer.to_vec().expect("an answer"), from).await.expect("sent");
        }
    });
    at
}

fn zone(name: &str, kind: RecordType) -> Option<Vec<RData>> {
    let name_of = |name| Name::from_ascii(name).expect("a name");
    let naptr = |order, flags: &[u8], service: &[u8], to| {
        RData::NAPTR(NAPTR::new(
            order,
            10,
            flags.into(),
            service.into(),
            Box::default(),
            name_of(to),
        ))
    };
    Some(match (name, kind) {
        ("example.com.", RecordType::NAPTR) => vec![
            naptr(20, b"S", b"SIP+D2U", "_sip._udp.example.com."),
            naptr(10, b"s", b"SIPS+D2T", "_sips._tcp.example.com."),
            naptr(5, b"u", b"E2U+email", "."),
        ],
        ("_sip._udp.example.com.", RecordType::SRV) => {
            vec![RData::SRV(SRV::new(1, 2, 5070, name_of("pbx.example.com.")))]
        }
        ("pbx.example.com.", RecordType::A) => vec![RData::A(A::new(192, 0, 2, 1))],
        ("pbx.example.com.", RecordType::AAAA) => {
            vec![RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))]
        }
        ("many.example.com.", RecordType::A) => {
            (0..60).map(|n| RData::A(A::new(192, 0, 2, n))).collect()
        }
        ("broken.example.com.", _) => return None,
        _ => Vec::new(),
    })
}

#[tokio::test]
async fn names_are_looked_up_and_no_such_name_is_an_answer() {
    let resolver = Resolver::with_servers(&[name_server().await]);
    let naptr = |order, service: &str, replacement: &str| Naptr {
        order,
        preference: 10,
        flags: "s".to_owned(),
        service: service.to_owned(),
        replacement: replacement.to_owned(),
    };
    let mut found = resolver.lookup_naptr("example.com").await.expect("an answer");
    found.sort_by_key(|naptr| naptr.order);
    assert_eq!(
        found,
        [
            naptr(10, "SIPS+D2T", "_sips._tcp.example.com"),
            naptr(20, "SIP+D2U", "_sip._udp.example.com"),
        ]
    );
    let srv = resolver.lookup_srv("_sip._udp.example.com").await.expect("an answer");
    let target = "pbx.example.com".to_owned();
    assert_eq!(srv, [Srv { priority: 1, weight: 2, port: 5070, target }]);
    let addresses = resolver.lookup_addresses("pbx.example.com").await.expect("an answer");
    let wanted = ["192.0.2.1", "2001:db8::1"].map(|ip| IpAddr::from_str(ip).expect("one"));
    assert_eq!(addresses, wanted);

    assert_eq!(resolver.lookup_naptr("nowhere.example.com").await.expect("an answer"), []);
    assert_eq!(resolver.lookup_srv("_sip._tcp.example.com").await.expect("an answer"), []);
    let none: [IpAddr; 0] = [];
    assert_eq!(resolver.lookup_addresses("nowhere.example.com").await.expect("one"), none);
    assert_eq!(resolver.lookup_addresses("many.example.com").await.expect("some").len(), 32);

    let error = resolver.lookup_addresses("broken.example.com").await.expect_err("no answer");
    assert!(matches!(error, LookupError::Failed { .. }), "{error}");
    assert!(error.to_string().contains("broken.example.com"), "{error}");
    let error = resolver.lookup_srv("a..b").await.expect_err("no name");
    assert!(matches!(error, LookupError::NotAName { .. }), "{error}");
}

#[tokio::test]
async fn a_silent_name_server_is_a_failure_and_hosts_need_none() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let resolver = Resolver::with_servers(&[silent.local_addr().expect("one")]);
    let started = Instant::now();
    let error = resolver.lookup_srv("_sip._udp.example.com").await.expect_err("no answer");
    let took = started.elapsed();
    assert!(matches!(error, LookupError::Silent { .. }), "{error}");
    assert!((3..6).contains(&took.as_secs()), "{took:?}");

    let started = Instant::now();
    let literal = resolver.lookup_addresses("[2001:db8::1]").await.expect("an address");
    assert_eq!(literal, [IpAddr::from_str("2001:db8::1").expect("one")]);
    if fs::read_to_string("/etc/hosts").is_ok_and(|hosts| hosts.contains("localhost")) {
        let local = resolver.lookup_addresses("localhost").await.expect("an address");
        assert!(local.iter().all(IpAddr::is_loopback) && !local.is_empty(), "{local:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(1));
}
