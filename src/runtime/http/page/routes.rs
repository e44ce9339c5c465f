//! The page's requests: signing in and out, the page, its files and its stream. A session opens these alone, never the API:
//! a browser sends its cookie with whatever any page has it ask for, and nothing here changes anything but the session.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Form;
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::runtime::complaints::Complaints;
use crate::runtime::health::Health;
use crate::runtime::http::access::From;
use crate::runtime::http::host::{self, Hosts};
use crate::runtime::http::page::attempts::Attempts;
use crate::runtime::http::page::language::Language;
use crate::runtime::http::page::pages::{FILES, Failure, Pages};
use crate::runtime::http::page::sessions::Sessions;
use crate::runtime::http::page::stream::{Seen, Stream};
use crate::runtime::http::page::watch::LiveBoard;
use crate::runtime::http::problem::Problem;
use crate::runtime::http::role::Role;
use crate::runtime::http::tokens::{NoBearer, Token, Tokens};
use crate::runtime::metrics::Metrics;

/// Longest body, bytes: a token, and what a browser adds to it.
const LONGEST_BODY: usize = 2048;
/// Within this a body has come, or will not.
const PATIENCE: Duration = Duration::from_secs(5);
/// Sign-ins whose token is on its way: whoever sends it slowly holds back nobody but others who sign in.
const SIGNING_IN: usize = 16;
/// Cookie of the language.
const LANGUAGE: &str = "sidetone_language";

/// What every answer says of itself: nothing from elsewhere, in no frame, kept by nobody, and its address told to nobody else.
/// `same-origin`, as a browser tells no Origin where nothing at all is told.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What the page works with.
#[derive(Debug)]
pub struct Page {
    /// What is shown.
    pub live: Arc<LiveBoard>,
    /// How the appliance is.
    pub health: Arc<Health>,
    /// Where refusals are counted.
    pub metrics: Arc<Metrics>,
    /// Who may sign in.
    pub tokens: Arc<Tokens>,
    /// By which names it may be asked for.
    pub hosts: Hosts,
    /// Whether all of HTTP is HTTPS.
    pub over_tls: bool,
}

#[derive(Debug)]
struct Desk {
    page: Page,
    sessions: Arc<Sessions>,
    pages: Pages,
    attempts: Mutex<Attempts>,
    signing_in: Semaphore,
    complaints: Mutex<Complaints>,
}

type Shared = State<Arc<Desk>>;

/// The body of `POST /login`.
#[derive(Deserialize)]
struct SignIn {
    token: String,
}

/// The routes.
pub fn routes(page: Page) -> Router {
    let desk = Arc::new(Desk {
        sessions: Arc::new(Sessions::new(Arc::clone(&page.tokens))),
        page,
        pages: Pages::built_in(),
        attempts: Mutex::default(),
        signing_in: Semaphore::new(SIGNING_IN),
        complaints: Mutex::default(),
    });
    let routes = Router::new()
        .route("/", get(|| async { Redirect::to("/page") }))
        .route("/page", get(show))
        .route("/page/events", get(events))
        .route("/page/texts.js", get(texts))
        .route("/login", get(ask).post(sign_in))
        .route("/logout", post(sign_out));
    let file =
        |routes: Router<_>, &(path, kind, content): &(&'static str, &'static str, &'static str)| {
            routes
                .route(path, get(move || async move { ([(header::CONTENT_TYPE, kind)], content) }))
        };
    let routes = FILES.iter().fold(routes, file);
    let guard = middleware::from_fn_with_state(Arc::clone(&desk), guard);
    routes.route_layer(guard).route_layer(DefaultBodyLimit::max(LONGEST_BODY)).with_state(desk)
}

/// Lets only those requests pass that are for us, by a name of ours, and from a page of ours.
async fn guard(State(desk): Shared, request: Request, next: Next) -> Response {
    let authority = host::authority(&request);
    let ours = authority.as_ref().is_some_and(|authority| desk.page.hosts.are(authority));
    let mut response = if !ours {
        desk.refuse("host", &request, "by a name that is none of http.page.hosts");
        let why = "this is none of the names that the page may be asked for by (http.page.hosts)";
        Problem::new(StatusCode::MISDIRECTED_REQUEST, why).into_response()
    } else if request.method() == axum::http::Method::POST
        && !is_from_here(request.headers(), authority.as_ref())
    {
        // Another page could have a browser sign in as somebody else, or out.
        desk.refuse("host", &request, "from a page elsewhere");
        Problem::new(StatusCode::FORBIDDEN, "this was asked for by a page elsewhere")
            .into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// `GET /page`
async fn show(State(desk): Shared, uri: Uri, headers: HeaderMap) -> Response {
    let language = desk.language(&uri, &headers);
    let response = match desk.holder(&headers) {
        Some((_, token)) if token.role.covers(Role::Viewer) => {
            Html(desk.pages.index(language)).into_response()
        }
        // Its role was changed since.
        Some((_, token)) => desk.not_for(&token, language),
        None => return Redirect::to("/login").into_response(),
    };
    desk.remember(language, &uri, &headers, response)
}

/// `GET /page/events`
async fn events(State(desk): Shared, headers: HeaderMap) -> Response {
    let Some((session, token)) = desk.holder(&headers) else {
        let why = "this needs a session: POST /login begins one";
        return Problem::new(StatusCode::UNAUTHORIZED, why).into_response();
    };
    if !token.role.covers(Role::Viewer) {
        desk.page.metrics.http.refused("role");
        let why = format!("this needs a token for {}, found {}", Role::Viewer, token.role);
        return Problem::new(StatusCode::FORBIDDEN, why).needing(Role::Viewer).into_response();
    }
    let Some(looker) = desk.page.live.look() else {
        return Problem::for_a_second("as many look on as may").into_response();
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let seen = Seen::from_id(last, desk.page.live.epoch());
    let (live, health) = (Arc::clone(&desk.page.live), Arc::clone(&desk.page.health));
    let sessions = Arc::clone(&desk.sessions);
    Stream { live, health, sessions, session, looker, seen }.into_response()
}

/// `GET /page/texts.js`
async fn texts(State(desk): Shared) -> Response {
    let kind = HeaderValue::from_static("text/javascript; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], desk.pages.texts()).into_response()
}

/// `GET /login`
async fn ask(State(desk): Shared, uri: Uri, headers: HeaderMap) -> Response {
    let language = desk.language(&uri, &headers);
    let page = Html(desk.pages.login(language, None)).into_response();
    desk.remember(language, &uri, &headers, page)
}

/// `POST /login`
async fn sign_in(State(desk): Shared, request: Request) -> Response {
    let from = request.extensions().get().map(|From(from)| from.ip());
    let from = from.unwrap_or(IpAddr::from([0, 0, 0, 0]));
    let headers = request.headers().clone();
    let language = desk.language(request.uri(), &headers);
    let failed = |status, failure| (status, Html(desk.pages.login(language, Some(failure))));
    if let Err(seconds) = desk.may_try(from) {
        desk.refuse("too_often", &request, "too many wrong tokens");
        let wait = [(header::RETRY_AFTER, seconds.to_string())];
        return (wait, failed(StatusCode::TOO_MANY_REQUESTS, Failure::TooOften)).into_response();
    }
    let Ok(permit) = desk.signing_in.try_acquire() else {
        let wait = [(header::RETRY_AFTER, "5")];
        return (wait, failed(StatusCode::SERVICE_UNAVAILABLE, Failure::Busy)).into_response();
    };
    let given = match timeout(PATIENCE, Form::<SignIn>::from_request(request, &())).await {
        Ok(Ok(Form(given))) => given,
        Ok(Err(refused)) => {
            return Problem::new(refused.status(), refused.body_text()).into_response();
        }
        Err(_) => {
            let why = format!("the body did not come within {} s", PATIENCE.as_secs());
            return Problem::new(StatusCode::REQUEST_TIMEOUT, why).into_response();
        }
    };
    drop(permit);
    let now = Timestamp::now();
    let token = match desk.page.tokens.bearer(given.token.trim().as_bytes(), now) {
        Ok(token) => token,
        Err(why) => {
            let why = match why {
                NoBearer::Wrong => "wrong",
                NoBearer::Expired => "expired",
            };
            desk.failed(from);
            desk.page.metrics.http.refused(why);
            desk.complain(from, why);
            return failed(StatusCode::UNAUTHORIZED, Failure::Wrong).into_response();
        }
    };
    if !token.role.covers(Role::Viewer) {
        return desk.not_for(&token, language);
    }
    let Ok(id) = desk.sessions.begin(&token, now) else {
        let why = "no randomness from the system";
        return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why).into_response();
    };
    // A browser that signs in again has no use for what it had.
    if let Some((before, _)) = desk.holder(&headers) {
        desk.sessions.end(&before);
    }
    info!(name = %token.name, %from, "signed in to the live page");
    let cookie = [(header::SET_COOKIE, desk.session_cookie(&headers, &id, ""))];
    (cookie, Redirect::to("/page")).into_response()
}

/// `POST /logout`
async fn sign_out(State(desk): Shared, headers: HeaderMap) -> Response {
    if let Some((session, _)) = desk.holder(&headers) {
        desk.sessions.end(&session);
    }
    let cookie = [(header::SET_COOKIE, desk.session_cookie(&headers, "", "; Max-Age=0"))];
    (cookie, Redirect::to("/login")).into_response()
}

impl Desk {
    /// The session of who asks, and the token it stands on.
    fn holder(&self, headers: &HeaderMap) -> Option<(String, Token)> {
        let id = cookie(headers, self.session_name(headers))?;
        let token = self.sessions.holder(id, Timestamp::now())?;
        Some((id.to_owned(), token))
    }

    /// Whether `from` may try to sign in; else in how many seconds.
    fn may_try(&self, from: IpAddr) -> Result<(), u64> {
        let attempts = self.attempts.lock().expect("nothing panics while it holds this lock");
        attempts.may(Instant::now(), from)
    }

    fn failed(&self, from: IpAddr) {
        let mut attempts = self.attempts.lock().expect("nothing panics while it holds this lock");
        attempts.failed(Instant::now(), from);
    }

    /// What somebody is told whose token is for something else.
    fn not_for(&self, token: &Token, language: Language) -> Response {
        self.page.metrics.http.refused("role");
        let page = self.pages.refused(language, token.role.as_str());
        (StatusCode::FORBIDDEN, Html(page)).into_response()
    }

    /// The language that was chosen by this request, or by one before; else what the browser asks for.
    fn language(&self, uri: &Uri, headers: &HeaderMap) -> Language {
        let chosen = chosen(uri).or_else(|| Language::of(cookie(headers, LANGUAGE)?));
        let accepted = || {
            let header = headers.get(header::ACCEPT_LANGUAGE)?;
            Language::accepted(header.to_str().ok()?)
        };
        chosen.or_else(accepted).unwrap_or(Language::English)
    }

    /// Has the browser keep the language where this request chose it.
    fn remember(
        &self,
        language: Language,
        uri: &Uri,
        headers: &HeaderMap,
        mut response: Response,
    ) -> Response {
        if chosen(uri).is_some() {
            let secure = if self.is_secure(headers) { "; Secure" } else { "" };
            let (tag, year) = (language.tag(), 365 * 24 * 3600);
            let cookie = format!(
                "{LANGUAGE}={tag}; Path=/; Max-Age={year}; HttpOnly; SameSite=Strict{secure}"
            );
            let cookie = HeaderValue::try_from(cookie).expect("printable ASCII");
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }

    /// Whether the browser speaks TLS, with us or with a proxy in front of us. Who lies about it is kept out by their own
    /// browser alone.
    fn is_secure(&self, headers: &HeaderMap) -> bool {
        let proxied = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
        self.page.over_tls || proxied
    }

    /// `__Host-` is a promise that browsers hold us to: over TLS, from this very host.
    fn session_name(&self, headers: &HeaderMap) -> &'static str {
        if self.is_secure(headers) { "__Host-sidetone" } else { "sidetone" }
    }

    fn session_cookie(&self, headers: &HeaderMap, id: &str, more: &str) -> String {
        let secure = if self.is_secure(headers) { "; Secure" } else { "" };
        let name = self.session_name(headers);
        format!("{name}={id}; Path=/; HttpOnly; SameSite=Strict{secure}{more}")
    }

    fn refuse(&self, why: &'static str, request: &Request, what: &str) {
        self.page.metrics.http.refused(why);
        let from = request.extensions().get().map(|From(from)| from.ip());
        self.complain(from.unwrap_or(IpAddr::from([0, 0, 0, 0])), what);
    }

    fn complain(&self, from: IpAddr, why: &str) {
        let mut complaints =
            self.complaints.lock().expect("nothing panics while it holds this lock");
        if let Some(others) = complaints.due(Instant::now()) {
            warn!(why, %from, others, "a request to the live page was refused");
        }
    }
}

/// The language that `?lang=` names.
fn chosen(uri: &Uri) -> Option<Language> {
    uri.query()?.split('&').find_map(|pair| Language::of(pair.strip_prefix("lang=")?))
}

/// The value of a cookie (RFC 6265 5.4).
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// Whether what is asked for changes something for a page of ours, or for no page at all: browsers always say.
fn is_from_here(headers: &HeaderMap, authority: Option<&Authority>) -> bool {
    match headers.get(header::ORIGIN) {
        None => true,
        Some(origin) => {
            let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
            let same = |authority: &Authority| {
                origin.is_some_and(|(_, from)| from.eq_ignore_ascii_case(authority.as_str()))
            };
            authority.is_some_and(same)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name_wherever_it_stands() {
        let mut headers = HeaderMap::new();
        let mut add = |value: &'static str| {
            headers.append(header::COOKIE, HeaderValue::from_static(value));
        };
        add("a=1; not-sidetone=2; sidetonee=3");
        add("sidetone=4;b=5");
        assert_eq!(cookie(&headers, "sidetone"), Some("4"));
        assert_eq!(cookie(&headers, "b"), Some("5"));
        assert_eq!(cookie(&headers, "c"), None);
    }

    #[test]
    fn a_page_elsewhere_is_told_by_its_origin() {
        let authority = Authority::from_static("sidetone.example.org:9464");
        let from = |origin: Option<&'static str>| {
            let origin = origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin)));
            is_from_here(&origin.into_iter().collect(), Some(&authority))
        };
        assert!(from(None) && from(Some("https://Sidetone.example.org:9464")));
        for elsewhere in ["null", "", "https://sidetone.example.org", "https://evil.example"] {
            assert!(!from(Some(elsewhere)), "{elsewhere}");
        }
    }
}
