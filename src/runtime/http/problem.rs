//! What went wrong with a request, for programs and people (RFC 9457).

use axum::Json;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::runtime::http::role::Role;

/// Content type of every refusal.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "about:blank", "title": "Not Found", "status": 404, "detail": "no such call"
}))]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is (RFC 9457 4.2.1).
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// One sentence: what was wanted, and what was found.
    detail: String,
    /// The role that the token would need, where it has another.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip)]
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    /// Of `status`, one of 400 to 599; `detail` is one sentence.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Refused");
        let (kind, detail) = ("about:blank", detail.into());
        Self { kind, title, status: status.as_u16(), detail, role: None, header: None }
    }

    /// What was asked for does not exist.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// It was understood, and cannot be done.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// Nobody takes it now.
    pub fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "starting or stopping")
    }

    /// The answer says that it was not done, and may be in a second.
    pub fn for_a_second(detail: impl Into<String>) -> Self {
        let header = (header::RETRY_AFTER, HeaderValue::from_static("1"));
        Self {
            header: Some(Box::new(header)),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }

    /// The role that the token would need.
    pub fn needing(self, role: Role) -> Self {
        Self { role: Some(role.as_str()), ..self }
    }

    /// How a token is to be shown (RFC 6750 3).
    pub fn challenging(self, challenge: &str) -> Self {
        let value = HeaderValue::from_str(challenge).expect("challenges are printable ASCII");
        Self { header: Some(Box::new((header::WWW_AUTHENTICATE, value))), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let status = StatusCode::from_u16(self.status).expect("it was a status");
        let header = self.header.take();
        let mut response =
            (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], Json(self)).into_response();
        // `Json` says what it is only where nobody has said it.
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if let Some((name, value)) = header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Puts a problem in the place of the empty answers of a router: to a path that is none, and to a method that a path
/// does not have, whose `Allow` stays.
pub async fn instead_of_nothing(request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    let status = response.status();
    let bare = !response.headers().contains_key(header::CONTENT_TYPE);
    if !bare || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let detail = match status {
        StatusCode::NOT_FOUND => format!("there is no {asked}: /openapi.json says what there is"),
        StatusCode::METHOD_NOT_ALLOWED => format!("there is no {asked}: Allow says what there is"),
        _ => format!("{asked} was refused"),
    };
    let (mut parts, _) = response.into_parts();
    let (problem, body) = Problem::new(status, detail).into_response().into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(problem.headers);
    Response::from_parts(parts, Body::new(body))
}
