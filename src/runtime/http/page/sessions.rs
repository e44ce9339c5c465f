//! Who has signed in to the page: sessions in memory, each as good as the token that began it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use crate::runtime::http::tokens::{Token, Tokens};

/// Randomness of a session's id, bytes.
const RANDOM: usize = 32;
/// A session ends after a long shift.
const LONGEST: SignedDuration = SignedDuration::from_hours(12);
/// Sessions of one token: a token is one person's, who has a few browsers. The oldest ends.
const EACH: usize = 16;

/// The sessions.
pub struct Sessions {
    tokens: Arc<Tokens>,
    /// By the hash of the id, so that how long it takes to find one tells nothing of it.
    begun: Mutex<HashMap<[u8; 32], Session>>,
}

#[derive(Debug)]
struct Session {
    /// Hash of the token that it was begun with.
    token: [u8; 32],
    since: Timestamp,
}

impl Sessions {
    /// None yet; they stand and fall with `tokens`.
    pub fn new(tokens: Arc<Tokens>) -> Self {
        Self { tokens, begun: Mutex::default() }
    }

    /// Begins a session for the bearer of `token`; gives its id. Always a new one: an id that a browser came with may be
    /// somebody else's.
    pub fn begin(&self, token: &Token, now: Timestamp) -> Result<String, getrandom::Error> {
        let mut random = [0; RANDOM];
        getrandom::fill(&mut random)?;
        let id = URL_SAFE_NO_PAD.encode(random);
        let mut begun = self.lock();
        // Who signs in sweeps up.
        begun.retain(|_, session| self.standing(session, now).is_some());
        let of_token = begun.iter().filter(|(_, session)| session.token == token.sha256);
        if of_token.clone().count() >= EACH {
            let oldest = of_token.min_by_key(|(_, session)| session.since).map(|(id, _)| *id);
            oldest.and_then(|oldest| begun.remove(&oldest));
        }
        begun.insert(hash(&id), Session { token: token.sha256, since: now });
        Ok(id)
    }

    /// Whose session it is, as their token stands now; none where it is over, or the token is.
    pub fn holder(&self, id: &str, now: Timestamp) -> Option<Token> {
        self.lock().get(&hash(id)).and_then(|session| self.standing(session, now))
    }

    /// Ends it.
    pub fn end(&self, id: &str) {
        self.lock().remove(&hash(id));
    }

    fn standing(&self, session: &Session, now: Timestamp) -> Option<Token> {
        (now < session.since + LONGEST).then(|| self.tokens.standing(&session.token, now))?
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.begun.lock().expect("nothing panics while it holds this lock")
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("count", &self.lock().len()).finish()
    }
}

fn hash(id: &str) -> [u8; 32] {
    Sha256::digest(id).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::http::role::Role;

    #[test]
    fn a_session_ends_when_it_is_told_to_after_a_shift_and_with_its_token() {
        let now = Timestamp::now();
        let expires = Some(now + SignedDuration::from_hours(1));
        let (lasting, _) = Token::make("lasting", Role::Viewer, None).expect("randomness");
        let (short, _) = Token::make("short", Role::Viewer, expires).expect("randomness");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tokens.toml");
        let write = |tokens: &[&Token]| {
            let text: String = tokens.iter().map(|token| token.to_toml()).collect();
            std::fs::write(&file, text).expect("a writable folder");
        };
        write(&[&lasting, &short]);
        let tokens = Arc::new(Tokens::open(&file).expect("good"));
        let sessions = Sessions::new(Arc::clone(&tokens));
        let begin = |token| sessions.begin(token, now).expect("randomness");
        let (first, second, third) = (begin(&lasting), begin(&lasting), begin(&short));
        assert_ne!(first, second);
        let holds = |id: &str, after| {
            let holder = sessions.holder(id, now + SignedDuration::from_mins(after));
            holder.map(|token| token.name.to_string())
        };
        assert_eq!(holds(&first, 719).as_deref(), Some("lasting"));
        assert_eq!(holds(&first, 720), None);
        assert_eq!((holds(&third, 59).as_deref(), holds(&third, 60)), (Some("short"), None));
        sessions.end(&second);
        assert_eq!(holds(&second, 0), None);
        assert_eq!(holds("", 0), None);
        write(&[&short]);
        tokens.reload().expect("good");
        assert_eq!((holds(&first, 0), holds(&third, 0).as_deref()), (None, Some("short")));
    }

    #[test]
    fn a_token_has_so_many_sessions_and_the_oldest_ends() {
        let (token, _) = Token::make("one", Role::Viewer, None).expect("randomness");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tokens.toml");
        std::fs::write(&file, token.to_toml()).expect("a writable folder");
        let sessions = Sessions::new(Arc::new(Tokens::open(&file).expect("good")));
        let now = Timestamp::now();
        let begin = |nth: usize| {
            let at = now + SignedDuration::from_secs(nth as i64);
            sessions.begin(&token, at).expect("randomness")
        };
        let ids: Vec<String> = (0..=EACH).map(begin).collect();
        assert!(sessions.holder(&ids[0], now).is_none());
        assert!(ids[1..].iter().all(|id| sessions.holder(id, now).is_some()));
    }
}
