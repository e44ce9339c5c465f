//! Who may ask for what: one table, and the guard that holds requests to it (RFC 6750).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tracing::warn;

use crate::runtime::complaints::Complaints;
use crate::runtime::http::problem::Problem;
use crate::runtime::http::role::Role;
use crate::runtime::http::tokens::{NoBearer, Token, Tokens};
use crate::runtime::metrics::Metrics;

/// What each request of the API needs. One that had no row would be the administrator's.
pub const NEEDS: &[(Method, &str, Role)] = &[
    (Method::GET, "/calls", Role::Viewer),
    (Method::POST, "/calls", Role::Operator),
    (Method::GET, "/calls/{id}", Role::Viewer),
    (Method::DELETE, "/calls/{id}", Role::Operator),
    (Method::POST, "/calls/{id}/enroll", Role::Operator),
    (Method::POST, "/calls/{id}/pause", Role::Operator),
    (Method::POST, "/calls/{id}/resume", Role::Operator),
    (Method::POST, "/enrollments", Role::Operator),
    (Method::POST, "/pauses", Role::Operator),
    (Method::POST, "/policy/reload", Role::Operator),
    (Method::GET, "/persons", Role::Privacy),
    (Method::GET, "/persons/{subject}", Role::Privacy),
    (Method::DELETE, "/persons/{subject}", Role::Privacy),
    (Method::GET, "/persons/{subject}/export", Role::Privacy),
    (Method::POST, "/persons/{subject}/withdraw", Role::Privacy),
    (Method::GET, "/persons/{subject}/consents", Role::Privacy),
    (Method::POST, "/persons/{subject}/consents", Role::Privacy),
    (Method::PUT, "/persons/{subject}/hold", Role::Privacy),
    (Method::DELETE, "/persons/{subject}/hold", Role::Privacy),
    (Method::GET, "/audit", Role::Auditor),
    (Method::GET, "/audit/head", Role::Auditor),
];

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub struct From(pub SocketAddr);

/// The guard; cheap to clone.
#[derive(Clone, Debug)]
pub struct Access {
    tokens: Arc<Tokens>,
    metrics: Arc<Metrics>,
    complaints: Arc<Mutex<Complaints>>,
}

/// Why somebody was turned away.
enum Refused {
    /// No token was shown.
    Missing,
    /// One that is of no use.
    Token(NoBearer),
    /// One for other things.
    Role(Arc<str>, Role),
}

/// What a request needs; `None` where there is no such request.
pub fn needed(method: &Method, path: &str) -> Option<Role> {
    // A HEAD is answered by whoever answers the GET.
    let method = if method == Method::HEAD { &Method::GET } else { method };
    let row = NEEDS.iter().find(|(of, at, _)| of == method && *at == path);
    row.map(|(_, _, role)| *role)
}

impl Access {
    /// Lets in who bears one of `tokens`, and counts the others in `metrics`.
    pub fn new(tokens: Arc<Tokens>, metrics: Arc<Metrics>) -> Self {
        Self { tokens, metrics, complaints: Arc::default() }
    }

    fn judge(&self, request: &Request) -> Result<Token, Refused> {
        let given = request.headers().get(header::AUTHORIZATION).ok_or(Refused::Missing)?;
        let secret = bearer(given.as_bytes()).ok_or(Refused::Missing)?;
        let token = self.tokens.bearer(secret, Timestamp::now()).map_err(Refused::Token)?;
        let needed = needed(request.method(), route(request)).unwrap_or(Role::Admin);
        match token.role.covers(needed) {
            true => Ok(token),
            false => Err(Refused::Role(token.name, needed)),
        }
    }

    fn refuse(&self, refused: &Refused, request: &Request) -> Problem {
        self.metrics.http.refused(refused.as_str());
        let mut complaints =
            self.complaints.lock().expect("nothing panics while it holds this lock");
        if let Some(others) = complaints.due(Instant::now()) {
            let from = request.extensions().get().map(|From(from)| from.to_string());
            let (why, from) = (refused.as_str(), from.unwrap_or_default());
            let name = match refused {
                Refused::Role(name, _) => name,
                Refused::Missing | Refused::Token(_) => "",
            };
            // The route, not the path: people's names stand in paths.
            let (method, route) = (request.method(), route(request));
            warn!(why, from, name, %method, route, others, "a request to the API was refused");
        }
        refused.problem()
    }
}

/// Lets a request pass whose token may ask for it, and says to those behind whose it is.
pub async fn admit(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    match access.judge(&request) {
        Ok(token) => {
            request.extensions_mut().insert(token);
            next.run(request).await
        }
        Err(refused) => access.refuse(&refused, &request).into_response(),
    }
}

fn route(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str)
}

/// What follows `Bearer`, whose case does not matter (RFC 9110 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

impl Refused {
    /// One word, for the metric's label.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Token(NoBearer::Wrong) => "wrong",
            Self::Token(NoBearer::Expired) => "expired",
            Self::Role(..) => "role",
        }
    }

    fn problem(&self) -> Problem {
        let unauthorized = |detail| Problem::new(StatusCode::UNAUTHORIZED, detail);
        match self {
            // RFC 6750 3.1: who has shown nothing is told no error.
            Self::Missing => unauthorized("a bearer token is needed, found none")
                .challenging("Bearer realm=\"sidetone\""),
            Self::Token(NoBearer::Wrong) => unauthorized("nobody knows this token")
                .challenging("Bearer realm=\"sidetone\", error=\"invalid_token\""),
            Self::Token(NoBearer::Expired) => unauthorized("the token has expired").challenging(
                "Bearer realm=\"sidetone\", error=\"invalid_token\", error_description=\"expired\"",
            ),
            Self::Role(name, role) => {
                let detail =
                    format!("this needs a token for {role}, and {name:?} is for something else");
                let challenge = format!(
                    "Bearer realm=\"sidetone\", error=\"insufficient_scope\", scope=\"{role}\""
                );
                Problem::new(StatusCode::FORBIDDEN, detail).needing(*role).challenging(&challenge)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_without_case_and_every_other_scheme_is_none() {
        assert_eq!(bearer(b"Bearer sdt_a"), Some(&b"sdt_a"[..]));
        assert_eq!(bearer(b"bearer  sdt_a "), Some(&b"sdt_a"[..]));
        assert_eq!(bearer(b"Basic sdt_abc"), None);
        assert_eq!(bearer(b"Bearer"), None);
    }

    #[test]
    fn a_head_needs_what_its_get_needs_and_what_has_no_row_needs_nothing_known() {
        assert_eq!(needed(&Method::HEAD, "/calls"), Some(Role::Viewer));
        assert_eq!(needed(&Method::PUT, "/calls"), None);
    }
}
