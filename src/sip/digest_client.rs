//! Answers to digest challenges (RFC 3261 §22.2-22.3, RFC 7616 §3.4, RFC 8760).

use crate::sip::digest::{Algorithm, Counted, Credentials, Parameters, Proof, Qop, quoted};
use crate::sip::headers::Headers;

/// Realms that one request may have to satisfy; proxies on one path are few.
const MAX_REALMS: usize = 4;
/// Answers to one realm before it accepts one: a server that finds every nonce stale is asked no more.
const MAX_ANSWERS: u32 = 3;

/// One challenge that we can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whose passwords are meant.
    pub realm: String,
    /// To be hashed with the password.
    pub nonce: String,
    /// To be given back.
    pub opaque: Option<String>,
    /// How to hash.
    pub algorithm: Algorithm,
    /// The protection to use: `auth` where it is offered. `None` asks for the form of RFC 2069.
    pub qop: Option<Qop>,
    /// The password was right and only the nonce too old (RFC 7616 §3.3).
    pub stale: bool,
}

/// Who challenges, and so which field answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Server,
    Proxy,
}

/// What we know of one realm.
#[derive(Clone, Debug)]
struct Session {
    asker: Asker,
    challenge: Challenge,
    /// Chosen once for each nonce; the rising count keeps the answers apart.
    cnonce: String,
    /// Requests authorised with this nonce.
    count: u32,
    /// Challenges answered since the realm last accepted one.
    answers: u32,
}

/// Answers the challenges to the requests of one user, and remembers nonces for those that follow.
///
/// Tell it of each request that got through, by [`Self::accepted`]: a challenge after that is a
/// new one, before that it is a refusal.
#[derive(Clone, Debug, Default)]
pub struct DigestClient {
    sessions: Vec<Session>,
}

/// Why challenges cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestRefusal {
    /// No challenge is there, or none with an algorithm and a protection that we know.
    #[error("no challenge that we can answer")]
    Unsupported,
    /// The realm challenges what we have just answered, and does not call it stale.
    #[error("wrong user or password for realm {realm:?}")]
    WrongPassword {
        /// Whose passwords are meant.
        realm: String,
    },
    /// The realm calls one answer after another stale.
    #[error("realm {realm:?} is never satisfied")]
    AlwaysStale {
        /// Whose passwords are meant.
        realm: String,
    },
}

impl Challenge {
    /// Reads the value of one WWW-Authenticate or Proxy-Authenticate line; `None` when it is
    /// malformed, or asks for an algorithm or a protection that we do not know.
    pub fn parse(value: &str) -> Option<Self> {
        let parameters = Parameters::parse(value)?;
        let text = |name| parameters.get(name).map(str::to_owned);
        let qop = match parameters.get("qop") {
            None | Some("") => None,
            Some(offered) => {
                let offers = |qop: &Qop| {
                    offered.split(',').any(|name| name.trim().eq_ignore_ascii_case(qop.as_str()))
                };
                Some([Qop::Auth, Qop::AuthInt].into_iter().find(offers)?)
            }
        };
        Some(Self {
            realm: text("realm")?,
            nonce: text("nonce")?,
            opaque: text("opaque"),
            algorithm: parameters.algorithm()?,
            qop,
            stale: parameters.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }
}

impl DigestClient {
    /// The fields to repeat a request with that a 401 or 407 with `headers` refused: the answers
    /// to its challenges, and those to realms that were satisfied before (RFC 3261 §22.3).
    pub fn answer(
        &mut self,
        headers: &Headers,
        method: &str,
        uri: &str,
        body: &[u8],
        credentials: &Credentials,
        random: &mut fastrand::Rng,
    ) -> Result<Vec<(String, String)>, DigestRefusal> {
        let challenges = challenges(headers);
        if challenges.is_empty() {
            return Err(DigestRefusal::Unsupported);
        }
        for (asker, challenge) in challenges {
            if let Err(refusal) = self.learn(asker, challenge, random) {
                // The next attempt starts from nothing: perhaps somebody mends the password.
                self.sessions.clear();
                return Err(refusal);
            }
        }
        Ok(self.authorize(method, uri, body, credentials))
    }

    /// The fields for a request that nobody has challenged yet, with the nonces of the last
    /// (RFC 7616 §3.6); none before the first challenge.
    pub fn authorize(
        &mut self,
        method: &str,
        uri: &str,
        body: &[u8],
        credentials: &Credentials,
    ) -> Vec<(String, String)> {
        self.sessions
            .iter_mut()
            .map(|session| (session.field(), session.authorize(method, uri, body, credentials)))
            .collect()
    }

    /// A request got through: a final answer other than 401 and 407 came.
    pub fn accepted(&mut self) {
        for session in &mut self.sessions {
            session.answers = 0;
        }
    }

    fn learn(
        &mut self,
        asker: Asker,
        challenge: Challenge,
        random: &mut fastrand::Rng,
    ) -> Result<(), DigestRefusal> {
        let cnonce = format!("{:032x}", random.u128(..));
        let known = self
            .sessions
            .iter_mut()
            .find(|known| known.asker == asker && known.challenge.realm == challenge.realm);
        let Some(known) = known else {
            if self.sessions.len() < MAX_REALMS {
                self.sessions.push(Session { asker, challenge, cnonce, count: 0, answers: 1 });
            }
            return Ok(());
        };
        let realm = &challenge.realm;
        // Many registrars take a nonce once and say nothing of `stale`; so whoever has accepted
        // our answer before may ask anew.
        if known.answers > 0 && !challenge.stale {
            return Err(DigestRefusal::WrongPassword { realm: realm.clone() });
        }
        if known.answers >= MAX_ANSWERS {
            return Err(DigestRefusal::AlwaysStale { realm: realm.clone() });
        }
        known.answers += 1;
        // The count goes on where the nonce stays (RFC 7616 §3.4).
        if known.challenge.nonce != challenge.nonce {
            known.count = 0;
            known.cnonce = cnonce;
        }
        known.challenge = challenge;
        Ok(())
    }
}

impl Session {
    fn field(&self) -> String {
        match self.asker {
            Asker::Server => "Authorization".to_owned(),
            Asker::Proxy => "Proxy-Authorization".to_owned(),
        }
    }

    fn authorize(
        &mut self,
        method: &str,
        uri: &str,
        body: &[u8],
        credentials: &Credentials,
    ) -> String {
        self.count = self.count.wrapping_add(1);
        let Challenge { realm, nonce, opaque, algorithm, qop, stale: _ } = &self.challenge;
        let nc = format!("{:08x}", self.count);
        let counted = qop.map(|qop| Counted { qop, nc: &nc, cnonce: &self.cnonce, body });
        let algorithm = *algorithm;
        let response =
            Proof { algorithm, credentials, realm, nonce, method, uri, counted }.response();
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\", algorithm={}",
            quoted(&credentials.user),
            quoted(realm),
            quoted(nonce),
            quoted(uri),
            algorithm.as_str(),
        );
        if let Some(Counted { qop, nc, cnonce, .. }) = counted {
            // `algorithm`, `qop` and `nc` stand bare (RFC 7616 §3.4).
            value.push_str(&format!(", cnonce=\"{cnonce}\", qop={}, nc={nc}", qop.as_str()));
        }
        if let Some(opaque) = opaque {
            value.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        value
    }
}

/// Of each realm the topmost challenge that we can answer (RFC 8760 §2.4).
fn challenges(headers: &Headers) -> Vec<(Asker, Challenge)> {
    let mut taken: Vec<(Asker, Challenge)> = Vec::new();
    let fields = [(Asker::Server, "WWW-Authenticate"), (Asker::Proxy, "Proxy-Authenticate")];
    for (asker, field) in fields {
        for challenge in headers.all(field).filter_map(Challenge::parse) {
            let known = |(a, c): &(Asker, Challenge)| *a == asker && c.realm == challenge.realm;
            if taken.len() < MAX_REALMS && !taken.iter().any(known) {
                taken.push((asker, challenge));
            }
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    const URI: &str = "sip:example.com";

    type Fields = Result<Vec<(String, String)>, DigestRefusal>;

    fn headers(lines: &[&str]) -> Headers {
        Headers::parse(&lines.join("\r\n")).0
    }

    fn answer(client: &mut DigestClient, lines: &[&str]) -> Fields {
        let credentials = Credentials::new("alice", "rabbit");
        let mut random = fastrand::Rng::with_seed(1);
        client.answer(&headers(lines), "REGISTER", URI, b"", &credentials, &mut random)
    }

    fn only(fields: &Fields) -> Parameters {
        let fields = fields.as_ref().expect("an answer");
        assert_eq!(fields.len(), 1);
        Parameters::parse(&fields[0].1).expect("parameters")
    }

    fn wrong(realm: &str) -> DigestRefusal {
        DigestRefusal::WrongPassword { realm: realm.into() }
    }

    const MD5: &str = r#"WWW-Authenticate: Digest realm="r", nonce="n1", qop="auth,auth-int""#;
    const SHA: &str =
        r#"WWW-Authenticate: Digest realm="r", nonce="n1", algorithm=SHA-256, qop="auth""#;
    const UNKNOWN: &str =
        r#"WWW-Authenticate: Digest realm="r", nonce="n1", algorithm=SHA-3, qop="auth""#;

    #[test]
    fn a_challenge_is_answered_so_that_a_server_can_check_it() {
        let fields = answer(&mut DigestClient::default(), &[&format!("{MD5}, opaque=\"o\"")]);
        assert_eq!(fields.as_ref().map(|f| f[0].0.as_str()), Ok("Authorization"));
        let read = only(&fields);
        let part = |name| read.get(name).expect("the parameter");
        let names = ["username", "uri", "qop", "nc", "algorithm", "opaque"].map(part);
        assert_eq!(names, ["alice", URI, "auth", "00000001", "MD5", "o"]);
        let hash = |text: String| Algorithm::Md5.hash(text);
        let (a1, a2) = (hash("alice:r:rabbit".into()), hash(format!("REGISTER:{URI}")));
        let expected = hash(format!("{a1}:n1:00000001:{}:auth:{a2}", part("cnonce")));
        assert_eq!(part("response"), expected);
    }

    #[test]
    fn without_qop_the_old_form_answers() {
        let read = only(&answer(
            &mut DigestClient::default(),
            &[r#"WWW-Authenticate: Digest realm="r", nonce="n1""#],
        ));
        assert_eq!((read.get("qop"), read.get("nc"), read.get("cnonce")), (None, None, None));
        let hash = |text: String| Algorithm::Md5.hash(text);
        let (a1, a2) = (hash("alice:r:rabbit".into()), hash(format!("REGISTER:{URI}")));
        assert_eq!(read.get("response"), Some(hash(format!("{a1}:n1:{a2}")).as_str()));
    }

    #[test]
    fn the_topmost_algorithm_that_we_know_is_taken() {
        let algorithm = |lines: &[&str]| {
            let read = only(&answer(&mut DigestClient::default(), lines));
            read.get("algorithm").map(str::to_owned)
        };
        assert_eq!(algorithm(&[UNKNOWN, SHA, MD5]).as_deref(), Some("SHA-256"));
        assert_eq!(algorithm(&[MD5, SHA]).as_deref(), Some("MD5"));
    }

    #[test]
    fn what_we_do_not_know_is_refused() {
        let auth_conf = r#"WWW-Authenticate: Digest realm="r", nonce="n", qop="auth-conf""#;
        for lines in [&[][..], &[UNKNOWN], &["WWW-Authenticate: Basic realm=\"r\""], &[auth_conf]] {
            let refused = answer(&mut DigestClient::default(), lines);
            assert_eq!(refused, Err(DigestRefusal::Unsupported), "{lines:?}");
        }
    }

    #[test]
    fn every_proxy_on_the_way_and_the_server_get_their_answer() {
        let mut client = DigestClient::default();
        let proxies = [
            r#"Proxy-Authenticate: Digest realm="p1", nonce="a", qop="auth""#,
            r#"Proxy-Authenticate: Digest realm="p2", nonce="b", qop="auth""#,
        ];
        assert_eq!(answer(&mut client, &proxies).map(|fields| fields.len()), Ok(2));
        let fields = answer(&mut client, &[MD5]).expect("an answer");
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Proxy-Authorization", "Proxy-Authorization", "Authorization"]);
        assert!(fields[0].1.contains("nc=00000002") && fields[2].1.contains("nc=00000001"));
    }

    #[test]
    fn a_second_challenge_means_a_wrong_password() {
        let mut client = DigestClient::default();
        assert!(answer(&mut client, &[MD5]).is_ok());
        let again = MD5.replace("n1", "n2");
        assert_eq!(answer(&mut client, &[&again]), Err(wrong("r")));
        // Nothing is left of it: a later attempt begins like the first.
        assert!(answer(&mut client, &[MD5]).is_ok());
    }

    #[test]
    fn a_stale_nonce_is_answered_with_the_next_and_not_for_ever() {
        let mut client = DigestClient::default();
        assert!(answer(&mut client, &[MD5]).is_ok());
        let stale = |n: u32| format!("{}, stale=TRUE", MD5.replace("n1", &format!("n{n}")));
        let read = only(&answer(&mut client, &[&stale(2)]));
        assert_eq!((read.get("nonce"), read.get("nc")), (Some("n2"), Some("00000001")));
        assert!(answer(&mut client, &[&stale(3)]).is_ok());
        let refused = answer(&mut client, &[&stale(4)]);
        assert_eq!(refused, Err(DigestRefusal::AlwaysStale { realm: "r".into() }));
    }

    #[test]
    fn a_nonce_serves_the_requests_that_follow_and_may_then_be_replaced() {
        let credentials = Credentials::new("alice", "rabbit");
        let mut client = DigestClient::default();
        assert_eq!(client.authorize("REGISTER", URI, b"", &credentials), []);
        assert!(answer(&mut client, &[MD5]).is_ok());
        client.accepted();
        let fields = client.authorize("REGISTER", URI, b"", &credentials);
        assert!(fields[0].1.contains("nc=00000002"), "{fields:?}");
        // Without `stale`, as many registrars do whose nonces serve once.
        let replaced = MD5.replace("n1", "n2");
        assert_eq!(only(&answer(&mut client, &[&replaced])).get("nc"), Some("00000001"));
        assert_eq!(answer(&mut client, &[&replaced]), Err(wrong("r")));
    }
}
