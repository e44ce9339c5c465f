//! Challenges to those who ask us, and the check of their answers (RFC 3261 §22.1, RFC 7616 §3.3).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::sip::digest::{Algorithm, Counted, Credentials, Parameters, Proof, Qop, quoted};
use crate::sip::uri::without_parameters;

/// What we offer, best first: whoever does not know SHA-256 takes the next (RFC 8760 §2.4).
const OFFERED: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Md5];
/// How long a nonce serves; a registration that comes later is challenged anew, once.
const LIFETIME: Duration = Duration::from_secs(60);
/// Nonces whose count is kept. Only a right password takes a place, and the oldest gives way.
const MAX_USED: usize = 4_096;
/// Bytes of a nonce: time, number and keyed hash.
const NONCE: (usize, usize, usize) = (8, 8, 16);

/// Checks the passwords of one realm.
///
/// Nonces are not stored: each says when and to whom it was given, under a hash that only we can
/// make. Stored is the count of those that a right password came with, against replays.
#[derive(Debug)]
pub struct DigestServer {
    realm: String,
    /// Keyed with the secret; does not show it.
    mac: Hmac<Sha256>,
    users: Vec<Credentials>,
    /// Times in nonces count from here.
    started: Instant,
    /// Number of the last nonce: no two are the same, so two phones behind one address do not
    /// share a count.
    issued: u64,
    /// By number, so oldest first.
    used: BTreeMap<u64, Used>,
    /// Nonces up to this number gave way and serve no more.
    retired: u64,
}

/// A nonce that let somebody in.
#[derive(Clone, Copy, Debug)]
struct Used {
    /// Highest count seen.
    count: u32,
    expires: Instant,
}

/// What the credentials in a request are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are right.
    Accepted {
        /// Whose they are.
        user: String,
    },
    /// The password is right; the nonce is too old, was given to another address, or its count was
    /// used before. A new challenge with `stale` lets an honest client in unseen.
    Stale,
    /// User or password is wrong, or the request is not the one that was authorised.
    Refused,
    /// There are none for our realm, or none that can be read.
    Missing,
}

impl DigestServer {
    /// `secret` is random and fresh at each start: nonces of an earlier life are worth nothing.
    pub fn new(
        now: Instant,
        realm: impl Into<String>,
        secret: [u8; 32],
        users: Vec<Credentials>,
    ) -> Self {
        let mac = Hmac::new_from_slice(&secret).expect("HMAC takes a key of any length");
        let (used, realm) = (BTreeMap::new(), realm.into());
        Self { realm, mac, users, started: now, issued: 0, used, retired: 0 }
    }

    /// Other users from now on; nonces that were given stay good.
    pub fn replace_users(&mut self, users: Vec<Credentials>) {
        self.users = users;
    }

    /// Values for WWW-Authenticate, one for each line, in this order.
    pub fn challenge(&mut self, now: Instant, source: IpAddr, stale: bool) -> Vec<String> {
        self.issued += 1;
        let nonce = self.nonce(self.age(now), self.issued, source);
        let realm = quoted(&self.realm);
        let stale = if stale { ", stale=true" } else { "" };
        let of = |algorithm: Algorithm| {
            let algorithm = algorithm.as_str();
            format!(
                "Digest realm={realm}, nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}"
            )
        };
        OFFERED.map(of).to_vec()
    }

    /// Judges the values of all Authorization lines of a request that came from `source`.
    pub fn check<'a>(
        &mut self,
        now: Instant,
        source: IpAddr,
        authorization: impl IntoIterator<Item = &'a str>,
        method: &str,
        request_uri: &str,
    ) -> Verdict {
        let ours = |parameters: &Parameters| parameters.get("realm") == Some(&self.realm);
        let given = authorization.into_iter().filter_map(Parameters::parse).find(ours);
        let Some(given) = given else { return Verdict::Missing };
        let Some((user, counted)) = self.verified(&given, method, request_uri) else {
            return Verdict::Refused;
        };
        let number = given.get("nonce").and_then(|nonce| self.number(now, source, nonce));
        match number {
            Some((number, expires)) if self.use_up(now, number, expires, counted) => {
                Verdict::Accepted { user }
            }
            Some(_) | None => Verdict::Stale,
        }
    }

    /// The user whose password `given` proves for this request, and the nonce count.
    fn verified(
        &self,
        given: &Parameters,
        method: &str,
        request_uri: &str,
    ) -> Option<(String, u32)> {
        let algorithm = given.algorithm().filter(|algorithm| OFFERED.contains(algorithm))?;
        let (name, nonce) = (given.get("username")?, given.get("nonce")?);
        let (uri, response) = (given.get("uri")?, given.get("response")?);
        // Proxies and phones drop or add parameters on the way (§22.4 allows a difference).
        if uri != request_uri && without_parameters(uri) != without_parameters(request_uri) {
            return None;
        }
        let (counted, count) = match given.get("qop") {
            // RFC 2069: no count, so such a nonce serves once.
            None => (None, 1),
            Some(qop) if qop.eq_ignore_ascii_case(Qop::Auth.as_str()) => {
                let (nc, cnonce) = (given.get("nc")?, given.get("cnonce")?);
                let hex = nc.len() == 8 && nc.bytes().all(|b| b.is_ascii_hexdigit());
                let count = u32::from_str_radix(nc, 16).ok().filter(|_| hex)?;
                (Some(Counted { qop: Qop::Auth, nc, cnonce, body: b"" }), count)
            }
            Some(_) => return None,
        };
        // An unknown user costs as much time as a known one, so that nobody can list them.
        let known = self.users.iter().find(|credentials| credentials.user == name);
        let nobody = Credentials::new(name, "");
        let credentials = known.unwrap_or(&nobody);
        let realm = &self.realm;
        let expected =
            Proof { algorithm, credentials, realm, nonce, method, uri, counted }.response();
        let right = expected.as_bytes().ct_eq(response.to_ascii_lowercase().as_bytes());
        (bool::from(right) && known.is_some()).then(|| (name.to_owned(), count))
    }

    /// Takes note that a nonce came with `count`; whether it still serves.
    fn use_up(&mut self, now: Instant, number: u64, expires: Instant, count: u32) -> bool {
        while self.used.first_entry().is_some_and(|oldest| oldest.get().expires <= now) {
            self.used.pop_first();
        }
        if number <= self.retired {
            return false;
        }
        if let Some(used) = self.used.get_mut(&number) {
            let rises = used.count < count;
            used.count = used.count.max(count);
            return rises;
        }
        self.used.insert(number, Used { count, expires });
        if self.used.len() > MAX_USED
            && let Some((oldest, _)) = self.used.pop_first()
        {
            self.retired = oldest;
        }
        true
    }

    /// Number and end of `nonce`, if we gave it to `source` and it still serves.
    fn number(&self, now: Instant, source: IpAddr, nonce: &str) -> Option<(u64, Instant)> {
        let bytes = hex::decode(nonce).ok()?;
        let (age, rest) = bytes.split_first_chunk::<{ NONCE.0 }>()?;
        let (number, hash) = rest.split_first_chunk::<{ NONCE.1 }>()?;
        if hash.len() != NONCE.2 {
            return None;
        }
        let (age, number) = (u64::from_be_bytes(*age), u64::from_be_bytes(*number));
        self.keyed(age, number, source).verify_truncated_left(hash).ok()?;
        let expires = self.started + Duration::from_millis(age) + LIFETIME;
        (now < expires).then_some((number, expires))
    }

    fn nonce(&self, age: u64, number: u64, source: IpAddr) -> String {
        let hash = self.keyed(age, number, source).finalize().into_bytes();
        format!("{age:016x}{number:016x}{}", hex::encode(&hash[..NONCE.2]))
    }

    fn keyed(&self, age: u64, number: u64, source: IpAddr) -> Hmac<Sha256> {
        let source = match source.to_canonical() {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        self.mac
            .clone()
            .chain_update(age.to_be_bytes())
            .chain_update(number.to_be_bytes())
            .chain_update(source)
    }

    /// Milliseconds since the start.
    fn age(&self, now: Instant) -> u64 {
        u64::try_from((now - self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use crate::sip::digest_client::DigestClient;
    use crate::sip::headers::Headers;

    const URI: &str = "sip:us@192.0.2.7";

    struct Scene {
        now: Instant,
        server: DigestServer,
        client: DigestClient,
        password: &'static str,
    }

    fn scene() -> Scene {
        let now = Instant::now();
        let users = vec![Credentials::new("pbx", "rabbit"), Credentials::new("other", "hole")];
        let server = DigestServer::new(now, "sidetone", [7; 32], users);
        Scene { now, server, client: DigestClient::default(), password: "rabbit" }
    }

    fn source() -> IpAddr {
        "192.0.2.1".parse().expect("an address")
    }

    fn accepted() -> Verdict {
        Verdict::Accepted { user: "pbx".into() }
    }

    impl Scene {
        fn challenge(&mut self, stale: bool) -> Headers {
            let mut headers = Headers::default();
            for value in self.server.challenge(self.now, source(), stale) {
                headers.push("WWW-Authenticate", value);
            }
            headers
        }

        /// A client's Authorization after one challenge.
        fn answer(&mut self) -> String {
            let headers = self.challenge(false);
            let credentials = Credentials::new("pbx", self.password);
            let mut random = fastrand::Rng::with_seed(1);
            let fields =
                self.client.answer(&headers, "INVITE", URI, b"", &credentials, &mut random);
            fields.expect("an answer").remove(0).1
        }

        fn next(&mut self) -> String {
            let credentials = Credentials::new("pbx", self.password);
            self.client.authorize("INVITE", URI, b"", &credentials).remove(0).1
        }

        fn check(&mut self, authorization: &str) -> Verdict {
            self.server.check(self.now, source(), [authorization], "INVITE", URI)
        }
    }

    #[test]
    fn sha_256_is_offered_first_and_md5_to_those_who_know_nothing_else() {
        let mut scene = scene();
        let values = scene.server.challenge(scene.now, source(), true);
        let of = |value: &str| Parameters::parse(value).and_then(|p| p.algorithm());
        assert_eq!(values.len(), 2);
        assert_eq!(of(&values[0]), Some(Algorithm::Sha256));
        assert_eq!(of(&values[1]), Some(Algorithm::Md5));
        assert!(values.iter().all(|value| value.ends_with(", qop=\"auth\", stale=true")));
    }

    #[test]
    fn the_right_password_is_let_in_with_a_rising_count() {
        let mut scene = scene();
        let first = scene.answer();
        assert_eq!(scene.check(&first), accepted());
        let second = scene.next();
        assert_eq!(scene.check(&second), accepted());
    }

    #[test]
    fn no_credentials_and_those_for_others_are_missing() {
        let mut scene = scene();
        assert_eq!(scene.server.check(scene.now, source(), [], "INVITE", URI), Verdict::Missing);
        let other = scene.answer().replace("sidetone", "elsewhere");
        assert_eq!(scene.check(&other), Verdict::Missing);
        assert_eq!(scene.check("Digest realm=\"sidetone"), Verdict::Missing);
        assert_eq!(scene.check("Digest realm=sidetone"), Verdict::Refused);
        let ours = scene.next();
        let both = [other.as_str(), ours.as_str()];
        assert_eq!(scene.server.check(scene.now, source(), both, "INVITE", URI), accepted());
    }

    #[test]
    fn a_wrong_password_user_method_or_uri_is_refused() {
        let mut wrong = Scene { password: "rabit", ..scene() };
        let answer = wrong.answer();
        assert_eq!(wrong.check(&answer), Verdict::Refused);
        let mut scene = scene();
        let answer = scene.answer();
        for user in ["other", "nobody"] {
            assert_eq!(scene.check(&answer.replace("pbx", user)), Verdict::Refused, "{user}");
        }
        let headers = scene.challenge(false);
        let (nobody, mut random) = (Credentials::new("nobody", ""), fastrand::Rng::with_seed(2));
        let mut stranger = DigestClient::default();
        let fields = stranger.answer(&headers, "INVITE", URI, b"", &nobody, &mut random);
        let empty = fields.expect("an answer").remove(0).1;
        assert_eq!(scene.check(&empty), Verdict::Refused, "no password is none");
        let (now, given) = (scene.now, [answer.as_str()]);
        assert_eq!(scene.server.check(now, source(), given, "BYE", URI), Verdict::Refused);
        let elsewhere = "sip:them@192.0.2.7";
        assert_eq!(scene.server.check(now, source(), given, "INVITE", elsewhere), Verdict::Refused);
        // None of that has used the nonce up, and parameters of the URI do not count.
        let with = format!("{URI};transport=udp");
        assert_eq!(scene.server.check(now, source(), given, "INVITE", &with), accepted());
    }

    #[test]
    fn a_count_lets_in_once() {
        let mut scene = scene();
        let (first, second, third) = (scene.answer(), scene.next(), scene.next());
        assert_eq!(scene.check(&second), accepted());
        assert_eq!(scene.check(&second), Verdict::Stale);
        assert_eq!(scene.check(&first), Verdict::Stale);
        assert_eq!(scene.check(&third), accepted());
        assert_eq!(scene.check(&third.replace("nc=00000003", "nc=00000009")), Verdict::Refused);
    }

    #[test]
    fn a_nonce_serves_a_minute() {
        let mut scene = scene();
        let (first, second) = (scene.answer(), scene.next());
        scene.now += LIFETIME - Duration::from_millis(1);
        assert_eq!(scene.check(&first), accepted());
        scene.now += Duration::from_millis(1);
        assert_eq!(scene.check(&second), Verdict::Stale);
        // The client answers the next challenge without asking anybody.
        scene.client.accepted();
        let again = scene.answer();
        assert_eq!(scene.check(&again), accepted());
    }

    #[test]
    fn a_nonce_serves_only_whom_it_was_given_to() {
        let mut scene = scene();
        let answer = scene.answer();
        let other = "192.0.2.2".parse().expect("an address");
        let verdict = scene.server.check(scene.now, other, [answer.as_str()], "INVITE", URI);
        assert_eq!(verdict, Verdict::Stale);
        assert_eq!(scene.check(&answer), accepted());
    }

    #[test]
    fn a_nonce_of_an_earlier_life_is_stale() {
        let mut earlier = scene();
        let answer = earlier.answer();
        let mut scene = scene();
        scene.server = DigestServer::new(scene.now, "sidetone", [8; 32], scene.server.users);
        assert_eq!(scene.check(&answer), Verdict::Stale);
    }

    #[test]
    fn an_answer_without_qop_is_let_in_once() {
        let mut scene = scene();
        let nonce = scene.server.nonce(0, 1, source());
        let credentials = Credentials::new("pbx", "rabbit");
        let proof = Proof {
            algorithm: Algorithm::Md5,
            credentials: &credentials,
            realm: "sidetone",
            nonce: &nonce,
            method: "INVITE",
            uri: URI,
            counted: None,
        };
        let old = format!(
            "Digest username=\"pbx\",realm=\"sidetone\",nonce=\"{nonce}\",uri=\"{URI}\",response=\"{}\"",
            proof.response().to_uppercase()
        );
        assert_eq!(scene.check(&old), accepted());
        assert_eq!(scene.check(&old), Verdict::Stale);
    }

    #[test]
    fn the_table_is_bounded_and_the_oldest_nonce_gives_way_for_good() {
        let mut scene = scene();
        let (first, next) = (scene.answer(), scene.next());
        assert_eq!(scene.check(&first), accepted());
        let expires = scene.now + LIFETIME;
        for number in 2..=MAX_USED as u64 + 1 {
            assert!(scene.server.use_up(scene.now, number, expires, 1));
        }
        assert_eq!(scene.server.used.len(), MAX_USED);
        assert_eq!(scene.check(&first), Verdict::Stale);
        assert_eq!(scene.check(&next), Verdict::Stale);
        scene.now += LIFETIME;
        let later = scene.now + LIFETIME;
        assert!(scene.server.use_up(scene.now, 9_999, later, 1));
        assert_eq!(scene.server.used.len(), 1);
    }
}
