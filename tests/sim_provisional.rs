//! What lies between an INVITE and its end: reliable 1xx (RFC 3262), forks, CANCEL and lost messages.

mod sim;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use sidetone::sip::client_call::Placing;
use sidetone::sip::event::{CallKey, End, Event};
use sidetone::sip::hops::Way;
use sidetone::sip::message::{Message, Method, Received, Request, Response};
use sidetone::sip::transport::{Hop, Source, Transport};
use sim::{CALLER, SIDECAR, Seen, World, address, host};

const OFFER: &str = "v=0 offer";
const ANSWER: &str = "v=0 answer";
const CONTACT: (&str, &str) = ("Contact", "<sip:them@192.0.2.9>");
const LONG: Duration = Duration::from_secs(300);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The sidecar calls a host that answers everything but the INVITE with 200; the test answers that.
struct Line {
    world: World,
    call: CallKey,
    invite: Received<Request>,
}

impl Line {
    fn new() -> Self {
        let mut world = World::new(1);
        let answer = |_, _: &Hop, message: &Message| match message {
            Message::Request(r) if !matches!(r.method, Method::Invite | Method::Ack) => {
                vec![Response::to(&r.message.headers, 200, None).to_bytes()]
            }
            _ => Vec::new(),
        };
        world.hosts.insert(host(9).ip(), (vec![Transport::Udp], Box::new(answer)));
        let way = Some(Way::Hop(Hop::udp(host(9))));
        let offer = Some(OFFER.to_owned());
        let placing = Placing { way, offer, ..Placing::new("sip:them@there.example") };
        let call = world.ends[SIDECAR].invite(world.now, placing);
        world.idle(Duration::from_millis(100));
        let invite = world.requests(address(SIDECAR), "INVITE").remove(0);
        Self { world, call, invite }
    }

    /// The host answers the INVITE, and a tenth of a second passes.
    fn answer(&mut self, status: u16, tag: &str, fields: &[(&str, &str)], sdp: &str) {
        let mut answer = Response::to(&self.invite.message.headers, status, None);
        if !tag.is_empty() {
            answer = answer.with_to_tag(tag);
        }
        for (name, value) in fields {
            answer = answer.with(name, value);
        }
        if !sdp.is_empty() {
            answer = answer.with_body("application/sdp", sdp);
        }
        let text = String::from_utf8(answer.to_bytes()).expect("it is text");
        self.world.receive(SIDECAR, &Source::udp(host(9)), &text);
        self.world.idle(self.world.now - self.world.start + Duration::from_millis(100));
    }

    /// A reliable one.
    fn ring(&mut self, tag: &str, rseq: u32, sdp: &str) {
        let rseq = rseq.to_string();
        self.answer(183, tag, &[CONTACT, ("Require", "100rel"), ("RSeq", &rseq)], sdp);
    }

    /// Requests of ours by method: (To tag, CSeq, RAck).
    fn sent(&self, method: &str) -> Vec<(String, u32, String)> {
        let of = |request: Received<Request>| {
            let rack = request.message.headers.get("RAck").unwrap_or_default().to_owned();
            (request.to.tag.unwrap_or_default(), request.cseq, rack)
        };
        self.world.requests(address(SIDECAR), method).into_iter().map(of).collect()
    }

    fn hang_up(&mut self) {
        self.world.ends[SIDECAR].hang_up(self.world.now, self.call, None);
        self.world.idle(self.world.now - self.world.start + Duration::from_millis(100));
    }

    fn answered_with(&self) -> Option<&str> {
        let sdp = |event: &&Event| matches!(event, Event::Answered { .. });
        match self.world.events(SIDECAR).into_iter().find(sdp) {
            Some(Event::Answered { sdp, .. }) => sdp.as_deref(),
            _ => panic!("not answered: {:?}", self.world.seen),
        }
    }
}

fn prack(tag: &str, cseq: u32, rack: &str) -> (String, u32, String) {
    (tag.to_owned(), cseq, rack.to_owned())
}

#[test]
fn an_invite_with_an_offer_supports_reliable_answers_and_one_without_does_not() {
    let line = Line::new();
    let supported = line.invite.message.headers.get("Supported");
    assert!(supported.is_some_and(|tags| tags.contains("100rel")), "{supported:?}");
    let mut world = World::new(1);
    world.call(None);
    world.idle(seconds(1));
    let invite = world.requests(address(CALLER), "INVITE").remove(0);
    assert_eq!(invite.message.headers.get("Supported"), Some("timer"));
}

#[test]
fn a_reliable_183_is_acknowledged_once_however_often_it_comes() {
    let mut line = Line::new();
    line.answer(100, "", &[], "");
    for _ in 0..3 {
        line.ring("one", 7, ANSWER);
    }
    assert_eq!(line.sent("PRACK"), [prack("one", 2, "7 1 INVITE")]);
    let prack_sent = &line.world.requests(address(SIDECAR), "PRACK")[0].message;
    assert_eq!(prack_sent.uri, "sip:them@192.0.2.9");
    assert_eq!(prack_sent.headers.get("Call-ID"), line.invite.message.headers.get("Call-ID"));
}

#[test]
fn reliable_answers_are_acknowledged_in_order_and_one_that_skips_waits() {
    let mut line = Line::new();
    for rseq in [7, 9, 8, 9, 8] {
        line.ring("one", rseq, "");
    }
    let expected = [
        prack("one", 2, "7 1 INVITE"),
        prack("one", 3, "8 1 INVITE"),
        prack("one", 4, "9 1 INVITE"),
    ];
    assert_eq!(line.sent("PRACK"), expected);
}

#[test]
fn an_ordinary_183_is_not_acknowledged_and_its_answer_does_not_count() {
    let mut line = Line::new();
    line.answer(183, "one", &[CONTACT], ANSWER);
    line.answer(183, "one", &[CONTACT, ("RSeq", "1")], ANSWER);
    line.answer(183, "one", &[CONTACT, ("Require", "100rel")], ANSWER);
    assert_eq!(line.sent("PRACK"), []);
    line.answer(200, "one", &[CONTACT], "");
    assert_eq!(line.answered_with(), None);
}

#[test]
fn a_200_without_sdp_means_that_of_the_183() {
    let mut line = Line::new();
    line.ring("one", 1, ANSWER);
    line.ring("one", 2, "");
    line.answer(200, "one", &[CONTACT], "");
    assert_eq!(line.answered_with(), Some(ANSWER));
    // PRACKs took the numbers 2 and 3; the ACK bears the INVITE's own.
    assert_eq!(line.sent("ACK"), [prack("one", 1, "")]);
    line.hang_up();
    assert_eq!(line.sent("BYE"), [prack("one", 4, "")]);
}

#[test]
fn the_sdp_of_the_200_counts_where_there_is_one() {
    let mut line = Line::new();
    line.ring("one", 1, ANSWER);
    line.answer(200, "one", &[CONTACT], "v=0 last word");
    assert_eq!(line.answered_with(), Some("v=0 last word"));
}

#[test]
fn each_branch_of_a_fork_is_a_dialog_and_only_one_becomes_the_call() {
    let mut line = Line::new();
    line.ring("one", 1, "v=0 of one");
    line.ring("two", 1, "v=0 of two");
    line.ring("one", 2, "");
    let pracks = [
        prack("one", 2, "1 1 INVITE"),
        prack("two", 2, "1 1 INVITE"),
        prack("one", 3, "2 1 INVITE"),
    ];
    assert_eq!(line.sent("PRACK"), pracks);
    line.answer(200, "two", &[CONTACT], "");
    assert_eq!(line.answered_with(), Some("v=0 of two"));
    line.answer(200, "one", &[CONTACT], "v=0 of one");
    assert_eq!(line.sent("ACK"), [prack("two", 1, ""), prack("one", 1, "")]);
    // §12.2.2: a number that is not above those of the PRACKs of that branch would be refused.
    let bye = line.sent("BYE").remove(0);
    assert!(bye.0 == "one" && bye.1 > 3, "{bye:?}");
    let answered = |event: &&Event| matches!(event, Event::Answered { .. });
    assert_eq!(line.world.events(SIDECAR).into_iter().filter(answered).count(), 1);
    assert_eq!(line.world.ends[SIDECAR].stats().calls_alive, 1);
    line.hang_up();
    assert_eq!(line.sent("BYE").last(), Some(&prack("two", 3, "")));
    line.world.idle(LONG);
    assert!(line.world.is_clean());
}

#[test]
fn a_peer_may_refresh_an_early_dialog_but_not_offer_anew() {
    let mut line = Line::new();
    line.ring("one", 1, ANSWER);
    let headers = &line.invite.message.headers;
    let field = |name| headers.get(name).expect("an INVITE has one").to_owned();
    let update = |cseq: u32, sdp: &str| {
        let mut update = Request::new(Method::Update, "sip:sidetone@192.0.2.2");
        let branch = format!("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKu{cseq};rport");
        for (name, value) in [
            ("Via", branch),
            ("From", format!("{};tag=one", field("To"))),
            ("To", field("From")),
            ("Call-ID", field("Call-ID")),
            ("CSeq", format!("{cseq} UPDATE")),
            ("Contact", "<sip:them@192.0.2.9>".to_owned()),
        ] {
            update.headers.push(name, value);
        }
        if !sdp.is_empty() {
            update.headers.push("Content-Type", "application/sdp");
            update.body = sdp.as_bytes().to_vec();
        }
        String::from_utf8(update.to_bytes()).expect("it is text")
    };
    let texts = [update(1, ""), update(2, "v=0 new")];
    for text in texts {
        line.world.receive(SIDECAR, &Source::udp(host(9)), &text);
        line.world.idle(line.world.now - line.world.start + Duration::from_millis(50));
    }
    let answers = line.world.answers(address(SIDECAR), "UPDATE");
    // Our own offer is not answered for good (RFC 3311 §5.2).
    assert_eq!(answers.iter().map(|a| a.message.status).collect::<Vec<_>>(), [200, 491]);
    line.answer(200, "one", &[CONTACT], "");
    assert_eq!(line.answered_with(), Some(ANSWER));
}

#[test]
fn a_success_that_crosses_the_cancel_is_acknowledged_and_hung_up() {
    let mut line = Line::new();
    line.ring("one", 1, ANSWER);
    line.hang_up();
    let cancel = line.world.requests(address(SIDECAR), "CANCEL").remove(0);
    // §9.1: what has to be as in the INVITE.
    assert_eq!(cancel.via.branch, line.invite.via.branch);
    assert_eq!((cancel.cseq, cancel.to.tag), (1, None));
    line.answer(200, "one", &[CONTACT], "");
    assert_eq!(line.sent("ACK"), [prack("one", 1, "")]);
    assert_eq!(line.sent("BYE"), [prack("one", 3, "")]);
    assert_eq!(line.world.ends_of(SIDECAR), [&End::ByUs { reason: None }]);
    line.world.idle(LONG);
    assert!(line.world.is_clean());
}

#[test]
fn a_success_after_the_call_is_over_is_acknowledged_and_hung_up_too() {
    let mut line = Line::new();
    line.ring("one", 1, ANSWER);
    line.hang_up();
    // No final answer 64*T1 after the CANCEL (§9.1).
    line.world.idle(seconds(40));
    assert_eq!(line.world.ends_of(SIDECAR), [&End::ByUs { reason: None }]);
    line.answer(200, "one", &[CONTACT], "");
    assert_eq!(line.sent("ACK"), [prack("one", 1, "")]);
    let bye = line.sent("BYE").remove(0);
    assert!(bye.1 > 2, "the PRACK had number 2, and this is {}", bye.1);
    line.world.idle(LONG);
    assert!(line.world.is_clean());
}

/// A call from one end to the other, which accepts.
fn world(lost: impl FnMut(usize, &str) -> bool + 'static) -> World {
    let mut world = World::new(1);
    world.lost = Box::new(lost);
    world.call(Some(OFFER));
    world
}

fn take(world: &mut World, (_, end, call, event): &Seen) {
    if let (SIDECAR, Event::Invited(_)) = (*end, event) {
        let now = world.now;
        world.ends[SIDECAR].accept(now, *call, ANSWER.to_owned(), &[]);
    }
}

#[test]
fn a_caller_may_require_reliable_answers_of_one_who_sends_none() {
    let mut world = World::new(1);
    world.edit = Some(Box::new(|text| match text.starts_with("INVITE") {
        true => text.replacen("\r\n", "\r\nRequire: 100rel\r\n", 1),
        false => text,
    }));
    world.call(Some(OFFER));
    world.run(seconds(2), take);
    let statuses = world.answers(address(SIDECAR), "INVITE");
    let statuses: Vec<_> = statuses.iter().map(|answer| answer.message.status).collect();
    assert_eq!(statuses, [100, 200]);
    assert_eq!(world.events(SIDECAR).last(), Some(&&Event::Confirmed { answer: None }));
}

#[test]
fn a_cancel_after_the_200_changes_nothing() {
    let mut world = world(|_, _| false);
    world.run(seconds(2), take);
    let invite = world.requests(address(CALLER), "INVITE").remove(0).message;
    let mut cancel = Request::new(Method::Cancel, &invite.uri);
    for name in ["Via", "From", "To", "Call-ID"] {
        cancel.headers.push(name, invite.headers.get(name).expect("it was sent"));
    }
    cancel.headers.push("CSeq", "1 CANCEL");
    let text = String::from_utf8(cancel.to_bytes()).expect("it is text");
    world.receive(SIDECAR, &Source::udp(address(CALLER)), &text);
    world.receive(SIDECAR, &Source::udp(address(CALLER)), &text.replace("z9hG4bK", "z9hG4bKno"));
    world.idle(seconds(3));
    let answers = world.answers(address(SIDECAR), "CANCEL");
    assert_eq!(answers.iter().map(|a| a.message.status).collect::<Vec<_>>(), [200, 481]);
    assert_eq!(world.ends[SIDECAR].stats().calls_alive, 1);
    // §9.2: both answers to one dialog.
    let success = world.answers(address(SIDECAR), "INVITE").remove(1);
    assert_eq!(answers[0].to.tag, success.to.tag);
}

#[test]
fn a_caller_that_leaves_before_its_ack_arrives_leaves_once() {
    let mut world = world(|_, text| text.starts_with("ACK"));
    world.run(LONG, |world, seen| {
        take(world, seen);
        if let (_, CALLER, call, Event::Answered { .. }) = seen {
            let now = world.now;
            world.ends[CALLER].hang_up(now, *call, None);
        }
    });
    assert_eq!(world.ends_of(CALLER), [&End::ByUs { reason: None }]);
    assert_eq!(world.ends_of(SIDECAR), [&End::ByPeer { reason: None }]);
    assert_eq!(world.requests(address(SIDECAR), "BYE").len(), 0, "nor is there anything to end");
    assert!(world.is_clean());
}

#[test]
fn a_lost_ack_costs_one_repeat_of_the_200_and_of_the_ack() {
    let lost = Rc::new(Cell::new(2));
    let left = Rc::clone(&lost);
    let mut world = world(move |_, text| {
        let lose = text.starts_with("ACK") && left.get() > 0;
        left.set(left.get() - u32::from(lose));
        lose
    });
    world.run(seconds(60), take);
    let acks = world.requests(address(CALLER), "ACK");
    assert_eq!((lost.get(), acks.len()), (0, 3));
    // §13.2.2.4: the very same ACK.
    assert!(acks.iter().all(|ack| *ack == acks[0]));
    let confirmed = |event: &&Event| matches!(event, Event::Confirmed { .. });
    assert_eq!(world.events(SIDECAR).into_iter().filter(confirmed).count(), 1);
    assert_eq!(world.ends.each_ref().map(|end| end.stats().calls_alive), [1, 1]);
}

#[test]
fn a_lost_bye_is_repeated_and_a_lost_answer_to_it_ends_nothing_twice() {
    for losing in ["BYE", "SIP/2.0 200"] {
        let mut left = 3;
        let mut world = world(move |_, text| {
            let bye = text.starts_with(losing) && text.contains(" BYE\r\n");
            let lose = bye && left > 0;
            left -= i32::from(lose);
            lose
        });
        world.run(LONG, |world, seen| {
            take(world, seen);
            if let (_, SIDECAR, call, Event::Confirmed { .. }) = seen {
                let now = world.now;
                world.ends[SIDECAR].hang_up(now, *call, None);
            }
        });
        assert_eq!(world.requests(address(SIDECAR), "BYE").len(), 4, "{losing}");
        assert_eq!(world.ends_of(CALLER), [&End::ByPeer { reason: None }]);
        assert_eq!(world.ends_of(SIDECAR), [&End::ByUs { reason: None }]);
        assert!(world.is_clean());
    }
}
