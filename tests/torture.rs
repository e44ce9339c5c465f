//! Messages that are meant to hurt: RFC 4475, and mutations of ordinary ones.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sidetone::sip::endpoint::Endpoint;
use sidetone::sip::event::{Event, Output};
use sidetone::sip::headers::Headers;
use sidetone::sip::malformed::{Answerable, MessageError};
use sidetone::sip::message::{Message, Method, Received, Request, Response};
use sidetone::sip::name_addr::NameAddr;
use sidetone::sip::settings::Settings;
use sidetone::sip::stream_framing::{Frame, FramingErrorKind, Limits, StreamFraming};
use sidetone::sip::transport::Source;
use sidetone::sip::via::Via;

const INVITE: &str = "INVITE sip:sidetone@192.0.2.2 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5066;rport;branch=z9hG4bKa\r\nVia: SIP/2.0/UDP 192.0.2.3\r\n\
    Record-Route: <sip:192.0.2.1;lr>\r\nFrom: \"A\" <sip:a@192.0.2.1>;tag=1\r\n\
    To: <sip:sidetone@192.0.2.2>\r\nCall-ID: x@y\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n\
    Contact: <sip:a@[2001:db8::1]:5066;transport=udp>;+sip.instance=\"<urn:uuid:0>\"\r\n\
    Recv-Info: sidetone\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n";
const REST: [&str; 5] = [
    "OPTIONS sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bKb\r\nf: sip:a@b;tag=2\r\n\
     t: sip:c@d\r\ni: 1\r\nCSeq: 2 OPTIONS\r\nl: 0\r\n\r\n",
    "CANCEL sip:sidetone@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5066;rport;branch=z9hG4bKa\
     \r\nFrom: \"A\" <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:sidetone@192.0.2.2>\r\nCall-ID: x@y\r\n\
     CSeq: 1 CANCEL\r\n\r\n",
    "BYE sip:sidetone@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKc\r\n\
     From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:c@d>;tag=9\r\nCall-ID: x@y\r\nCSeq: 2 BYE\r\n\r\n",
    "ACK sip:sidetone@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5066;branch=z9hG4bKa\r\n\
     From: <sip:a@192.0.2.1>;tag=1\r\nTo: <sip:c@d>;tag=9\r\nCall-ID: x@y\r\nCSeq: 1 ACK\r\n\r\n",
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bKq\r\nFrom: <sip:a@b>;tag=1\r\n\
     To: <sip:c@d>;tag=9\r\nCall-ID: x@y\r\nCSeq: 1 INVITE\r\nContact: <sip:c@d>\r\n\r\n",
];

fn endpoint() -> Endpoint {
    Endpoint::new(Settings::new(SocketAddr::from(([192, 0, 2, 2], 5060))), 1)
}

fn source() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 5066))
}

/// Status codes sent, in order, and whether a call came of it. Every call is refused at once.
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
fn answers(datagrams: &[&[u8]]) -> (Vec<u16>, bool) {
    let (mut endpoint, now) = (endpoint(), Instant::now());
    let (mut statuses, mut invited) = (Vec::new(), false);
    for datagram in datagrams {
        endpoint.handle_message(now, &Source::udp(source()), datagram);
        while let Some(output) = endpoint.poll_output() {
            match output {
                Output::Transmit { bytes, .. } => match Message::parse(&bytes) {
                    Ok(Message::Response(response)) => statuses.push(response.message.status),
                    // What we echo of a malformed request may be malformed itself.
                    Err(_) => statuses.push(status_of(&bytes)),
                    Ok(Message::Request(_)) => {}
                },
                Output::Event { call, event: Event::Invited(_) } => {
                    invited = true;
                    endpoint.accept(now, call, "v=0".to_owned(), &[]);
                }
                _ => {}
            }
        }
    }
    (statuses, invited)
}

fn status_of(bytes: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(bytes);
    let status = text.split(' ').nth(1).expect("we write status lines");
    status.parse().expect("we write status codes")
}

const FOLDER: &str = "../shared/vectors/rfc4475";

/// One message of RFC 4475 and what becomes of it. A status of 0 is silence.
struct Case {
    file: &'static str,
    /// What the RFC lets an endpoint answer that is neither proxy nor registrar, to a datagram.
    allowed: &'static [u16],
    /// What we answer to the datagram.
    datagram: u16,
    /// What a stream is cut into, `and more` when octets wait for others to come.
    stream: &'static str,
    /// What we answer over the stream, one for each message and for the error.
    answers: &'static [u16],
}

/// The same over a stream as in a datagram.
const fn alike(file: &'static str, allowed: &'static [u16], answer: &'static [u16]) -> Case {
    Case { file, allowed, datagram: answer[0], stream: "message", answers: answer }
}

/// In the order of the RFC.
const RFC4475: [Case; 49] = [
    // An INVITE with a To tag of no dialog of ours.
    alike("wsinv", &[200, 481], &[481]),
    alike("intmeth", &[405, 501], &[501]),
    alike("esc01", &[200, 404], &[200]),
    alike("escnull", &[200, 405], &[405]),
    alike("esc02", &[405, 501], &[501]),
    alike("lwsdisp", &[200], &[200]),
    alike("longreq", &[200, 404], &[200]),
    // Octets after the message are no part of a datagram's message, and the next one on a stream.
    // That INVITE has no Contact, and a Content-Length below the size of its body: what is left of
    // it reads as a third message, to which nobody awaits an answer.
    Case {
        file: "dblreq",
        allowed: &[200, 405],
        datagram: 405,
        stream: "message pong message message",
        answers: &[405, 400, 0],
    },
    alike("semiuri", &[200, 404], &[200]),
    alike("transports", &[200], &[200]),
    alike("mpart01", &[200, 405, 415], &[405]),
    alike("unreason", &[0], &[0]),
    alike("noreason", &[0], &[0]),
    alike("badinv01", &[400], &[400]),
    // A datagram is all there is; over a stream the rest may still come.
    Case { file: "clerr", allowed: &[400], datagram: 400, stream: "and more", answers: &[] },
    // Nobody knows where the next message would begin: 400, and the stream is closed.
    Case { file: "ncl", allowed: &[400], datagram: 400, stream: "content-length", answers: &[400] },
    alike("scalar02", &[400], &[400]),
    alike("scalarlg", &[0], &[0]),
    alike("quotbal", &[400], &[400]),
    alike("ltgtruri", &[400], &[400]),
    alike("lwsruri", &[400], &[400]),
    // 3.1.2.9, 3.1.2.10, 3.1.2.11: or be liberal and take it as it was meant.
    alike("lwsstart", &[200, 400], &[400]),
    alike("trws", &[200, 400], &[400]),
    alike("escruri", &[200, 400], &[400]),
    alike("baddate", &[200, 400], &[200]),
    alike("regbadct", &[400, 405], &[405]),
    alike("badaspec", &[200, 400], &[200]),
    // The file ends without the empty line that ends a head. Nothing follows a datagram; more may
    // follow on a stream.
    Case { file: "baddn", allowed: &[200, 400], datagram: 200, stream: "and more", answers: &[] },
    alike("badvers", &[505], &[505]),
    alike("mismatch01", &[400], &[400]),
    alike("mismatch02", &[400, 501], &[400]),
    alike("bigcode", &[0], &[0]),
    alike("badbranch", &[200, 400], &[200]),
    // 3.3.1: "ideally" 400, whatever is missing.
    alike("insuf", &[400], &[400]),
    alike("unkscm", &[416], &[416]),
    alike("novelsc", &[404, 416], &[416]),
    alike("unksm2", &[400, 404, 405, 416], &[405]),
    alike("bext01", &[420], &[420]),
    alike("invut", &[415], &[415]),
    alike("regaut01", &[401, 405], &[405]),
    alike("multi01", &[400], &[400]),
    Case {
        file: "mcl01",
        allowed: &[400],
        datagram: 400,
        stream: "content-length",
        answers: &[400],
    },
    // We are nobody's second Via: a response that is not ours, wherever it would be sent on.
    alike("bcast", &[0], &[0]),
    alike("zeromf", &[200], &[200]),
    alike("cparam01", &[200, 405], &[405]),
    alike("cparam02", &[200, 405], &[405]),
    alike("regescrt", &[200, 405], &[405]),
    alike("sdp01", &[200, 406], &[406]),
    // Without Content-Length a datagram's body is the rest of it, and a stream's is empty: what
    // was meant as the body begins the next message, which never ends.
    Case {
        file: "inv2543",
        allowed: &[200, 400],
        datagram: 400,
        stream: "message and more",
        answers: &[400],
    },
];

/// The messages that are malformed, and which field is at fault.
const MALFORMED: [(&str, MessageError); 18] = [
    ("badinv01", MessageError::Invalid("Via")),
    ("clerr", MessageError::ContentLength),
    ("ncl", MessageError::ContentLength),
    ("scalar02", MessageError::Invalid("CSeq")),
    ("scalarlg", MessageError::Invalid("CSeq")),
    ("quotbal", MessageError::Invalid("To")),
    ("ltgtruri", MessageError::RequestUri),
    ("lwsruri", MessageError::RequestUri),
    ("lwsstart", MessageError::RequestUri),
    ("trws", MessageError::StartLine),
    ("escruri", MessageError::RequestUri),
    ("badvers", MessageError::Version),
    ("mismatch01", MessageError::MethodMismatch),
    ("mismatch02", MessageError::MethodMismatch),
    ("bigcode", MessageError::Status),
    ("insuf", MessageError::Missing("From")),
    ("multi01", MessageError::Repeated("From")),
    ("mcl01", MessageError::Repeated("Content-Length")),
];

/// What has to be understood of a message that is well-formed.
struct Understood {
    file: &'static str,
    /// Method and Request-URI, or status and reason, as they were written.
    start: (&'static str, &'static str),
    /// Number of Via elements; transport and host of the topmost; its branch if it is a new one.
    via: (usize, &'static str, Option<&'static str>),
    /// URI and tag.
    from: (&'static str, Option<&'static str>),
    /// URI and tag.
    to: (&'static str, Option<&'static str>),
    call_id: &'static str,
    /// Number; the method of CSeq is that of the request.
    cseq: u32,
    /// Further fields, each whole.
    fields: &'static [(&'static str, &'static str)],
    /// Octets.
    body: usize,
}

const UNDERSTOOD: [Understood; 31] = [
    // Folded lines, odd blanks and cases, a quoted quote, an empty Subject, three Vias of which two
    // stand in one field, unknown fields and parameters.
    Understood {
        file: "wsinv",
        start: ("INVITE", "sip:vivekg@chair-dnrc.example.com;unknownparam"),
        via: (3, "UDP 192.0.2.2", None),
        from: ("sip:jdrosen@example.com", Some("98asjd8")),
        to: ("sip:vivekg@chair-dnrc.example.com", Some("1918181833n")),
        call_id: "wsinv.ndaksdj@192.0.2.1",
        cseq: 9,
        fields: &[
            ("Max-Forwards", "0068"),
            ("From", r#""J Rosenberg \\\""       <sip:jdrosen@example.com> ; tag = 98asjd8"#),
            ("Subject", ""),
            ("NewFangledHeader", "newfangled value continued newfangled value"),
            ("UnknownHeaderWithUnusualValue", ";;,,;;,;"),
            ("Route", "<sip:services.example.com;lr;unknownwith=value;unknown-no-value>"),
            (
                "Contact",
                r#""Quoted string \"\"" <sip:jdrosen@example.com> ; newparam = newvalue ; secondparam ; q = 0.33"#,
            ),
        ],
        body: 150,
    },
    // Every character that a method, URI, parameter, token, Call-ID and field name may have. The
    // control characters in To are blanks to us: nothing is told by them.
    Understood {
        file: "intmeth",
        start: (
            "!interesting-Method0123456789_*+`.%indeed'~",
            "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
        ),
        via: (1, "TCP host1.example.com", Some("z9hG4bK-.!%66*_+`'~")),
        from: ("sip:mundane@example.com", Some("_token~1'+`*%!-.")),
        to: ("sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com", None),
        call_id: r#"intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{"#,
        cseq: 139_122_385,
        fields: &[
            ("Max-Forwards", "255"),
            (
                "From",
                "token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
            ),
            ("extensionHeader-!.%*+_`'~", "\u{feff}大停電"),
        ],
        body: 0,
    },
    // %-escapes stand as they were written: a comparison would have to know them, we compare none.
    Understood {
        file: "esc01",
        start: ("INVITE", "sip:sips%3Auser%40example.com@example.net"),
        via: (1, "UDP host5.example.net", Some("z9hG4bKkdjuw")),
        from: ("sip:I%20have%20spaces@example.net", Some("938")),
        to: ("sip:%75se%72@example.com", None),
        call_id: "esc01.239409asdfakjkn23onasd0-3234",
        cseq: 234_234,
        fields: &[
            ("Max-Forwards", "87"),
            ("Content-Type", "application/sdp"),
            ("Contact", "<sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>"),
        ],
        body: 150,
    },
    // An escaped NUL ends nothing.
    Understood {
        file: "escnull",
        start: ("REGISTER", "sip:example.com"),
        via: (1, "UDP host5.example.com", Some("z9hG4bKkdjuw")),
        from: ("sip:null-%00-null@example.com", Some("839923423")),
        to: ("sip:null-%00-null@example.com", None),
        call_id: "escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd",
        cseq: 14_398_234,
        fields: &[
            ("Contact", "<sip:%00@host5.example.com>"),
            ("Contact", "<sip:%00%00@host5.example.com>"),
        ],
        body: 0,
    },
    // A percent sign is a character of tokens and no escape: the method is not REGISTER, and the
    // field between the two Contacts is none.
    Understood {
        file: "esc02",
        start: ("RE%47IST%45R", "sip:registrar.example.com"),
        via: (1, "TCP host.example.com", Some("z9hG4bK209%fzsnel234")),
        from: ("sip:resource@example.com", Some("f232jadfj23")),
        to: ("sip:resource@example.com", None),
        call_id: "esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf",
        cseq: 29_344,
        fields: &[
            ("To", "\"%Z%45\" <sip:resource@example.com>"),
            ("Contact", "<sip:alias1@host1.example.com>"),
            ("Contact", "<sip:alias3@host3.example.com>"),
            ("C%6Fntact", "<sip:alias2@host2.example.com>"),
        ],
        body: 0,
    },
    // No blank between display name and bracket.
    Understood {
        file: "lwsdisp",
        start: ("OPTIONS", "sip:user@example.com"),
        via: (1, "UDP funky.example.com", Some("z9hG4bKkdjuw")),
        from: ("sip:caller@example.com", Some("323")),
        to: ("sip:user@example.com", None),
        call_id: "lwsdisp.1234abcd@funky.example.com",
        cseq: 60,
        fields: &[("From", "caller<sip:caller@example.com>;tag=323")],
        body: 0,
    },
    // Long values, and Via in every spelling. None bears a branch of ours but the last, an old one.
    Understood {
        file: "longreq",
        start: ("INVITE", "sip:user@example.com"),
        via: (34, "TCP sip33.example.com", None),
        from: (
            "sip:amazinglylongcallernameamazinglylongcallernameamazinglylongcallernameamazinglylongcallernameamazinglylongcallername@example.net",
            Some(
                "12982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982424",
            ),
        ),
        to: (
            "sip:user@example.com:6000;unknownparam1=verylonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglongvalue;longparamnamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamenamename=shortvalue;verylonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglongParameterNameWithNoValue",
            None,
        ),
        call_id: "longreq.onereallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallyreallylongcallid",
        cseq: 3_882_340,
        fields: &[(
            "Contact",
            "<sip:amazinglylongcallernameamazinglylongcallernameamazinglylongcallernameamazinglylongcallernameamazinglylongcallername@host5.example.net>",
        )],
        body: 150,
    },
    // The second request in the datagram is none of our business.
    Understood {
        file: "dblreq",
        start: ("REGISTER", "sip:example.com"),
        via: (1, "UDP 192.0.2.125", Some("z9hG4bKkdjuw23492")),
        from: ("sip:j.user@example.com", Some("43251j3j324")),
        to: ("sip:j.user@example.com", None),
        call_id: "dblreq.0ha0isndaksdj99sdfafnl3lk233412",
        cseq: 8,
        fields: &[("Max-Forwards", "8"), ("Contact", "sip:j.user@host.example.com")],
        body: 0,
    },
    // The semicolon and its parameter are of the user part.
    Understood {
        file: "semiuri",
        start: ("OPTIONS", "sip:user;par=u%40example.net@example.com"),
        via: (1, "UDP 192.0.2.1", Some("z9hG4bKkdjuw")),
        from: ("sip:caller@example.org", Some("33242")),
        to: ("sip:j_user@example.com", None),
        call_id: "semiuri.0ha0isndaksdj",
        cseq: 8,
        fields: &[(
            "Accept",
            "application/sdp, application/pkcs7-mime, multipart/mixed, multipart/signed, message/sip, message/sipfrag",
        )],
        body: 0,
    },
    // Transports known and unknown, and none of them that on which it came.
    Understood {
        file: "transports",
        start: ("OPTIONS", "sip:user@example.com"),
        via: (5, "UDP t1.example.com", Some("z9hG4bKkdjuw")),
        from: ("sip:caller@example.com", Some("323")),
        to: ("sip:user@example.com", None),
        call_id: "transports.kijh4akdnaqjkwendsasfdj",
        cseq: 60,
        fields: &[("Via", "SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bKasd0f3en")],
        body: 0,
    },
    // A body of several parts with NULs and line ends in it.
    Understood {
        file: "mpart01",
        start: ("MESSAGE", "sip:kumiko@example.org"),
        via: (1, "UDP 127.0.0.1:5070", Some("z9hG4bK-d87543-4dade06d0bdb11ee-1--d87543-")),
        from: ("sip:fluffy@example.com", Some("2fb0dcc9")),
        to: ("sip:kumiko@example.org", None),
        call_id: "3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..",
        cseq: 1,
        fields: &[
            ("Route", "<sip:127.0.0.1:5080>"),
            ("Content-Transfer-Encoding", "binary"),
            ("Content-Type", "multipart/mixed;boundary=7a9cbec02ceef655"),
            ("User-Agent", "SIPimp.org/0.2.5 (curses)"),
        ],
        body: 553,
    },
    // A reason in Russian, with the equals signs and asterisks that a reason may have.
    Understood {
        file: "unreason",
        start: ("200", "= 2**3 * 5**2 но сто девяносто девять - простое"),
        via: (1, "UDP 192.0.2.198", Some("z9hG4bK1324923")),
        from: ("sip:user@example.com", Some("11141343")),
        to: ("sip:user@example.edu", Some("2229")),
        call_id: "unreason.1234ksdfak3j2erwedfsASdf",
        cseq: 35,
        fields: &[("Contact", "<sip:user@host198.example.com>")],
        body: 154,
    },
    // No reason after the blank.
    Understood {
        file: "noreason",
        start: ("100", ""),
        via: (1, "UDP 192.0.2.105", Some("z9hG4bK2398ndaoe")),
        from: ("sip:user@example.com", Some("39ansfi3")),
        to: ("sip:user@example.edu", Some("902jndnke3")),
        call_id: "noreason.asndj203insdf99223ndf",
        cseq: 35,
        fields: &[("Contact", "<sip:user@host105.example.com>")],
        body: 0,
    },
    // A zone that SIP does not have, in a field that we do not need.
    Understood {
        file: "baddate",
        start: ("INVITE", "sip:user@example.com"),
        via: (1, "UDP host.example.com", Some("z9hG4bKkdjuw")),
        from: ("sip:caller@example.net", Some("2234923")),
        to: ("sip:user@example.com", None),
        call_id: "baddate.239423mnsadf3j23lj42--sedfnm234",
        cseq: 1_392_934,
        fields: &[("Date", "Fri, 01 Jan 2010 16:00:00 EST")],
        body: 150,
    },
    // The escaped Route in Contact is nothing that we would follow.
    Understood {
        file: "regbadct",
        start: ("REGISTER", "sip:example.com"),
        via: (1, "UDP 135.180.130.133:5060", Some("z9hG4bKkdjuw")),
        from: ("sip:user@example.com", Some("998332")),
        to: ("sip:user@example.com", None),
        call_id: "regbadct.k345asrl3fdbv@10.0.0.1",
        cseq: 1,
        fields: &[("Contact", "sip:user@example.com?Route=%3Csip:sip.example.com%3E")],
        body: 0,
    },
    // Blanks between the brackets and the URI.
    Understood {
        file: "badaspec",
        start: ("OPTIONS", "sip:user@example.org"),
        via: (1, "UDP host4.example.com:5060", Some("z9hG4bKkdju43234")),
        from: ("sip:a.g.bell@example.com", Some("433423")),
        to: ("sip:t.watson@example.org", None),
        call_id: "badaspec.sdf0234n2nds0a099u23h3hnnw009cdkne3",
        cseq: 3_923_239,
        fields: &[("To", "\"Watson, Thomas\" < sip:t.watson@example.org >")],
        body: 0,
    },
    // A comma in a display name without quotes.
    Understood {
        file: "baddn",
        start: ("OPTIONS", "sip:t.watson@example.org"),
        via: (1, "UDP c.example.com:5060", Some("z9hG4bKkdjuw")),
        from: ("sip:a.g.bell@example.com", Some("43")),
        to: ("sip:t.watson@example.org", None),
        call_id: "baddn.31415@c.example.com",
        cseq: 3_923_239,
        fields: &[("From", "Bell, Alexander <sip:a.g.bell@example.com>;tag=43")],
        body: 0,
    },
    // A branch that is the cookie and nothing else tells no transaction from another.
    Understood {
        file: "badbranch",
        start: ("OPTIONS", "sip:user@example.com"),
        via: (1, "UDP 192.0.2.1", None),
        from: ("sip:caller@example.org", Some("33242")),
        to: ("sip:user@example.com", None),
        call_id: "badbranch.sadonfo23i420jv0as0derf3j3n",
        cseq: 8,
        fields: &[("Accept", "application/sdp")],
        body: 0,
    },
    // Schemes that nobody or not everybody knows: read here, refused later.
    Understood {
        file: "unkscm",
        start: ("OPTIONS", "nobodyKnowsThisScheme:totallyopaquecontent"),
        via: (1, "TCP host9.example.com", Some("z9hG4bKkdjuw39234")),
        from: ("sip:caller@example.net", Some("384")),
        to: ("sip:user@example.com", None),
        call_id: "unkscm.nasdfasser0q239nwsdfasdkl34",
        cseq: 3_923_423,
        fields: &[("Max-Forwards", "3")],
        body: 0,
    },
    Understood {
        file: "novelsc",
        start: ("OPTIONS", "soap.beep://192.0.2.103:3002"),
        via: (1, "TCP host9.example.com", Some("z9hG4bKkdjuw39234")),
        from: ("sip:caller@example.net", Some("384")),
        to: ("sip:user@example.com", None),
        call_id: "novelsc.asdfasser0q239nwsdfasdkl34",
        cseq: 3_923_423,
        fields: &[("Max-Forwards", "3")],
        body: 0,
    },
    Understood {
        file: "unksm2",
        start: ("REGISTER", "sip:example.com"),
        via: (1, "UDP 192.0.2.21:5060", Some("z9hG4bKkdjuw")),
        from: ("http://www.example.com", Some("3234233")),
        to: ("isbn:2983792873", None),
        call_id: "unksm2.daksdj@hyphenated-host.example.com",
        cseq: 234_902,
        fields: &[("Contact", "<name:John_Smith>")],
        body: 0,
    },
    Understood {
        file: "bext01",
        start: ("OPTIONS", "sip:user@example.com"),
        via: (1, "TLS fold-and-staple.example.com", Some("z9hG4bKkdjuw")),
        from: ("sip:caller@example.net", Some("242etr")),
        to: ("sip:j_user@example.com", None),
        call_id: "bext01.0ha0isndaksdj",
        cseq: 8,
        fields: &[
            ("Require", "nothingSupportsThis, nothingSupportsThisEither"),
            ("Proxy-Require", "noProxiesSupportThis, norDoAnyProxiesSupportThis"),
        ],
        body: 0,
    },
    Understood {
        file: "invut",
        start: ("INVITE", "sip:user@example.com"),
        via: (1, "UDP somehost.example.com", Some("z9hG4bKkdjuw")),
        from: ("sip:caller@example.net", Some("8392034")),
        to: ("sip:j.user@example.com", None),
        call_id: "invut.0ha0isndaksdjadsfij34n23d",
        cseq: 235_448,
        fields: &[("Content-Type", "application/unknownformat")],
        body: 40,
    },
    Understood {
        file: "regaut01",
        start: ("REGISTER", "sip:example.com"),
        via: (1, "TCP 192.0.2.253", Some("z9hG4bKkdjuw")),
        from: ("sip:j.user@example.com", Some("87321hj23128")),
        to: ("sip:j.user@example.com", None),
        call_id: "regaut01.0ha0isndaksdj",
        cseq: 9_338,
        fields: &[("Authorization", "NoOneKnowsThisScheme opaque-data=here")],
        body: 0,
    },
    // A response with a second Via, under which a proxy would send it to everybody.
    Understood {
        file: "bcast",
        start: ("200", "OK"),
        via: (2, "UDP 192.0.2.198", Some("z9hG4bK1324923")),
        from: ("sip:user@example.com", Some("11141343")),
        to: ("sip:user@example.edu", Some("2229")),
        call_id: "bcast.0384840201234ksdfak3j2erwedfsASdf",
        cseq: 35,
        fields: &[("Via", "SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23")],
        body: 154,
    },
    // Nobody may pass it on, but we are whom it was sent to.
    Understood {
        file: "zeromf",
        start: ("OPTIONS", "sip:user@example.com"),
        via: (1, "UDP host1.example.com", Some("z9hG4bKkdjuw2349i")),
        from: ("sip:caller@example.net", Some("3ghsd41")),
        to: ("sip:user@example.com", None),
        call_id: "zeromf.jfasdlfnm2o2l43r5u0asdfas",
        cseq: 39_234_321,
        fields: &[("Max-Forwards", "0")],
        body: 0,
    },
    // Without brackets the parameter is of the field, with them of the URI.
    Understood {
        file: "cparam01",
        start: ("REGISTER", "sip:example.com"),
        via: (1, "UDP saturn.example.com:5060", Some("z9hG4bKkdjuw")),
        from: ("sip:watson@example.com", Some("DkfVgjkrtMwaerKKpe")),
        to: ("sip:watson@example.com", None),
        call_id: "cparam01.70710@saturn.example.com",
        cseq: 2,
        fields: &[("Contact", "sip:+19725552222@gw1.example.net;unknownparam")],
        body: 0,
    },
    Understood {
        file: "cparam02",
        start: ("REGISTER", "sip:example.com"),
        via: (1, "UDP saturn.example.com:5060", Some("z9hG4bKkdjuw")),
        from: ("sip:watson@example.com", Some("838293")),
        to: ("sip:watson@example.com", None),
        call_id: "cparam02.70710@saturn.example.com",
        cseq: 3,
        fields: &[("Contact", "<sip:+19725552222@gw1.example.net;unknownparam>")],
        body: 0,
    },
    Understood {
        file: "regescrt",
        start: ("REGISTER", "sip:example.com"),
        via: (1, "UDP host5.example.com", Some("z9hG4bKkdjuw")),
        from: ("sip:user@example.com", Some("8")),
        to: ("sip:user@example.com", None),
        call_id: "regescrt.k345asrl3fdbv@192.0.2.1",
        cseq: 14_398_234,
        fields: &[("Contact", "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>")],
        body: 0,
    },
    Understood {
        file: "sdp01",
        start: ("INVITE", "sip:user@example.com"),
        via: (1, "UDP 192.0.2.15", Some("z9hG4bKkdjuw")),
        from: ("sip:caller@example.net", Some("234")),
        to: ("sip:j_user@example.com", None),
        call_id: "sdp01.ndaksdj9342dasdd",
        cseq: 8,
        fields: &[("Accept", "text/nobodyKnowsThis"), ("Content-Type", "application/sdp")],
        body: 150,
    },
    // Neither branch nor tag, nor Max-Forwards, nor Contact: an INVITE of 1999. Without brackets the
    // parameter of To is of the field and not of the URI (§20.10).
    Understood {
        file: "inv2543",
        start: ("INVITE", "sip:UserB@example.com"),
        via: (1, "UDP iftgw.example.com", None),
        from: ("sip:+13035551111@ift.client.example.net;user=phone", None),
        to: ("sip:+16505552222@ss1.example.net", None),
        call_id: "inv2543.1717@ift.client.example.com",
        cseq: 56,
        fields: &[("Record-Route", "<sip:UserB@example.com;maddr=ss1.example.com>")],
        body: 105,
    },
];

#[expect(clippy::disallowed_methods, clippy::print_stderr, reason = "the messages lie in files")]
fn rfc4475(file: &str) -> Option<Vec<u8>> {
    if !std::path::Path::new(FOLDER).is_dir() {
        eprintln!("skipped: {FOLDER} is not here");
        return None;
    }
    Some(std::fs::read(format!("{FOLDER}/{file}.dat")).expect("a message of the RFC"))
}

#[test]
fn the_torture_messages_are_met_as_their_rfc_says() {
    let mut wrong = Vec::new();
    for case in &RFC4475 {
        let Some(bytes) = rfc4475(case.file) else { return };
        let (statuses, _) = answers(&[&bytes]);
        let last = statuses.last().copied().unwrap_or(0);
        if last != case.datagram {
            wrong.push(format!("{}: {last}, not {}", case.file, case.datagram));
        }
        if !case.allowed.contains(&last) {
            wrong.push(format!("{}: the RFC wants {:?}, not {last}", case.file, case.allowed));
        }
        let malformed = MALFORMED.iter().find(|(file, _)| *file == case.file).map(|(_, e)| *e);
        let error = Message::parse(&bytes).err().map(|malformed| malformed.error);
        if error != malformed {
            wrong.push(format!("{}: {error:?}, not {malformed:?}", case.file));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_torture_messages_are_cut_from_a_stream() {
    for case in &RFC4475 {
        let Some(bytes) = rfc4475(case.file) else { return };
        let mut framing = StreamFraming::new(Limits::default());
        let (mut words, mut statuses, mut cut) = (Vec::new(), Vec::new(), 0);
        // One by one, as the worst of networks brings them.
        for byte in &bytes {
            framing.handle_bytes(&[*byte]);
            match framing.poll_frame() {
                Ok(None) => {}
                Ok(Some(Frame::Message(message))) => {
                    words.push("message");
                    cut += message.len();
                    let (answered, _) = answers(&[&message]);
                    statuses.push(answered.last().copied().unwrap_or(0));
                }
                Ok(Some(keep_alive)) => {
                    words.push(if keep_alive == Frame::Ping { "ping" } else { "pong" });
                    cut += 2;
                }
                Err(error) => {
                    assert_eq!(error.kind, FramingErrorKind::ContentLength);
                    words.push("content-length");
                    cut = bytes.len();
                    statuses.push(if Answerable::read(&error.head).is_some() { 400 } else { 0 });
                    break;
                }
            }
        }
        if cut < bytes.len() {
            words.push("and more");
        }
        assert_eq!(words.join(" "), case.stream, "{}", case.file);
        assert_eq!(statuses, case.answers, "{}", case.file);
    }
}

#[test]
fn the_well_formed_torture_messages_are_understood_field_by_field() {
    for expected in &UNDERSTOOD {
        let Some(bytes) = rfc4475(expected.file) else { return };
        let file = expected.file;
        match Message::parse(&bytes) {
            Ok(Message::Request(request)) => {
                let start = (request.message.method.as_str(), request.message.uri.as_str());
                assert_eq!(start, expected.start, "{file}");
                assert_eq!(request.method, request.message.method, "{file}");
                let Request { headers, body, .. } = &request.message;
                understood(expected, &request, headers, body);
                assert!(bytes.ends_with(body), "{file}");
            }
            Ok(Message::Response(response)) => {
                let status = response.message.status.to_string();
                let start = (status.as_str(), response.message.reason.as_str());
                assert_eq!(start, expected.start, "{file}");
                assert_eq!(response.method, Method::Invite, "{file}");
                let Response { headers, body, .. } = &response.message;
                understood(expected, &response, headers, body);
            }
            Err(malformed) => panic!("{file}: {malformed:?}"),
        }
    }
    let files = |files: Vec<&'static str>| files.into_iter().collect::<BTreeSet<_>>();
    let understood = UNDERSTOOD.iter().map(|expected| expected.file);
    let all = understood.chain(MALFORMED.iter().map(|(file, _)| *file)).collect::<Vec<_>>();
    assert_eq!(files(all), files(RFC4475.iter().map(|case| case.file).collect()), "none is left");
}

fn understood<M>(expected: &Understood, read: &Received<M>, headers: &Headers, body: &[u8]) {
    let file = expected.file;
    let (vias, topmost, branch) = expected.via;
    assert_eq!(headers.list("Via").count(), vias, "{file}");
    assert_eq!(format!("{} {}", read.via.transport, read.via.sent_by), topmost, "{file}");
    assert_eq!(read.via.branch.as_deref(), branch, "{file}");
    assert_eq!((read.from.uri.as_str(), read.from.tag.as_deref()), expected.from, "{file}");
    assert_eq!((read.to.uri.as_str(), read.to.tag.as_deref()), expected.to, "{file}");
    assert_eq!((read.call_id.as_str(), read.cseq), (expected.call_id, expected.cseq), "{file}");
    for (name, value) in expected.fields {
        let values: Vec<_> = headers.all(name).collect();
        assert!(values.contains(value), "{file}: {name}: {values:?}");
        let expected = expected.fields.iter().filter(|(other, _)| other == name).count();
        assert!(*name == "Via" || values.len() == expected, "{file}: {name}: {values:?}");
    }
    assert_eq!(body.len(), expected.body, "{file}");
    assert!(!headers.contains("Content-Length"), "{file}: it follows from the body");
}

/// What single fields of these messages have to say beyond their text.
#[test]
fn the_lists_and_addresses_of_the_torture_messages_are_told_apart() {
    let headers = |file| {
        let bytes = rfc4475(file)?;
        match Message::parse(&bytes) {
            Ok(Message::Request(request)) => Some(request.message.headers),
            other => panic!("{file}: {other:?}"),
        }
    };
    let Some(wsinv) = headers("wsinv") else { return };
    let vias: Vec<_> = wsinv.list("Via").map(|via| Via::parse(via).expect("a Via")).collect();
    let vias: Vec<_> = vias.iter().map(|via| (&*via.transport, via.branch.as_deref())).collect();
    assert_eq!(
        vias,
        [("UDP", None), ("TCP", Some("z9hG4bK9ikj8")), ("UDP", Some("z9hG4bK30239"))],
        "390skdjuw is a branch of RFC 2543"
    );
    let contact = |file| {
        let headers = headers(file).expect("a message of the RFC");
        let contacts: Vec<_> = headers.list("Contact").map(str::to_owned).collect();
        let uri = |contact: &String| NameAddr::parse(contact).expect("an address").uri;
        contacts.iter().map(uri).collect::<Vec<_>>()
    };
    assert_eq!(contact("wsinv"), ["sip:jdrosen@example.com"]);
    assert_eq!(contact("esc02"), ["sip:alias1@host1.example.com", "sip:alias3@host3.example.com"]);
    assert_eq!(contact("escnull").len(), 2);
    assert_eq!(contact("cparam01"), ["sip:+19725552222@gw1.example.net"]);
    assert_eq!(contact("cparam02"), ["sip:+19725552222@gw1.example.net;unknownparam"]);
    assert_eq!(contact("regescrt"), ["sip:user@example.com?Route=%3Csip:sip.example.com%3E"]);
    let count = |file, name| headers(file).expect("a message").list(name).count();
    assert_eq!(count("semiuri", "Accept"), 6);
    assert_eq!(count("bext01", "Require"), 2);
    assert_eq!(count("bext01", "Proxy-Require"), 2);
}

#[test]
fn an_ordinary_invite_is_answered_at_once() {
    assert_eq!(answers(&[INVITE.as_bytes()]), (vec![100, 200], true));
}

/// What is broken may ask for any port; the answer goes to the one that sent it.
#[test]
fn a_via_that_cannot_be_read_is_answered_at_the_source() {
    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    let now = Instant::now();
    let broken = INVITE.replacen("192.0.2.1:5066;rport", "192.0.2.1:9;;rport", 1);
    for (text, status) in [(broken.clone(), "400"), (broken.replace("INVITE", "ACK"), "")] {
        let mut endpoint = endpoint();
        endpoint.handle_message(now, &Source::udp(source()), text.as_bytes());
        match endpoint.poll_output() {
            Some(Output::Transmit { hop, bytes }) => {
                assert_eq!(hop.address, source());
                assert_eq!(status_of(&bytes).to_string(), status);
            }
            other => assert!(other.is_none() && status.is_empty(), "{other:?}"),
        }
    }
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let texts: Vec<_> = [INVITE].into_iter().chain(REST).map(str::to_owned).collect();
    let snippets = prop::sample::select(vec![
        "\r\n",
        "\n",
        " ",
        "\t",
        ":",
        ";",
        ",",
        "\"",
        "<",
        ">",
        "\\",
        "\0",
        "\u{e9}",
        "[",
        "]",
        "@",
        "%00",
        "=",
        "99999999999",
        "-1",
        "Via:",
        "To: x\r\n",
        "SIP/2.0",
        "\r\n\r\n",
    ]);
    let edit = (any::<prop::sample::Index>(), 0..20_usize, snippets);
    (prop::sample::select(texts), prop::collection::vec(edit, 0..6)).prop_map(|(text, edits)| {
        let mut bytes = text.into_bytes();
        for (at, removed, inserted) in edits {
            let at = at.index(bytes.len() + 1);
            let end = (at + removed).min(bytes.len());
            bytes.splice(at..end, inserted.bytes());
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_mutation_panics_or_leaves_a_timer_for_ever(
        datagrams in prop::collection::vec(mutated(), 1..5),
    ) {
        #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
        let mut now = Instant::now();
        let mut endpoint = endpoint();
        for datagram in &datagrams {
            endpoint.handle_message(now, &Source::udp(source()), datagram);
            while let Some(output) = endpoint.poll_output() {
                if let Output::Event { call, event: Event::Invited(_) } = output {
                    endpoint.accept(now, call, "v=0".to_owned(), &[]);
                }
            }
        }
        let mut steps = 0;
        while let Some(next) = endpoint.poll_timeout() {
            now = now.max(next);
            endpoint.handle_timeout(now);
            while endpoint.poll_output().is_some() {}
            steps += 1;
            prop_assert!(steps < 1_000, "a timer never ends");
        }
        let stats = endpoint.stats();
        prop_assert_eq!((stats.calls_alive, stats.transactions_alive), (0, 0));
    }

    #[test]
    fn what_is_read_is_written_and_read_alike(datagram in mutated()) {
        if let Ok(Message::Request(request)) = Message::parse(&datagram) {
            let again = Message::parse(&request.message.to_bytes());
            prop_assert_eq!(again, Ok(Message::Request(request)));
        }
    }
}

#[test]
fn a_stranger_cannot_touch_a_call() {
    let bye = REST[2].as_bytes();
    assert_eq!(answers(&[INVITE.as_bytes(), bye]), (vec![100, 200, 481], true));
    let info = REST[2].replace("BYE", "INFO").replace("bKc", "bKd");
    assert_eq!(answers(&[INVITE.as_bytes(), info.as_bytes()]), (vec![100, 200, 481], true));
}

#[test]
fn repeats_and_merged_copies_are_told_apart() {
    let merged = INVITE.replace("branch=z9hG4bKa", "branch=z9hG4bKother");
    // The success is the dialog's to repeat, so a repeated INVITE is met with silence.
    let (statuses, _) = answers(&[INVITE.as_bytes(), INVITE.as_bytes(), merged.as_bytes()]);
    assert_eq!(statuses, [100, 200, 482]);
}

#[test]
fn methods_that_we_never_act_upon_are_refused() {
    let refused: BTreeSet<_> = ["REFER", "MESSAGE", "NOTIFY", "REGISTER", "SUBSCRIBE", "PUBLISH"]
        .map(|method| answers(&[REST[0].replace("OPTIONS", method).as_bytes()]).0)
        .into();
    assert_eq!(refused, BTreeSet::from([vec![405]]));
    for method in ["UPDATE", "PRACK"] {
        let outside = REST[0].replace("OPTIONS", method);
        assert_eq!(answers(&[outside.as_bytes()]).0, [481], "{method} lives in dialogs");
    }
}
