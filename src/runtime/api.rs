//! `/calls`, `/enrollments`, `/pauses` and `/policy/reload`: to place, watch and end calls of ours, to have callers
//! enrolled, legs paused and the policy read again, for who bears the token.

use std::fmt;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use subtle::ConstantTimeEq;

use crate::runtime::enrollments::{EnrollOrder, NotEnrolled, Whom};
use crate::runtime::pauses::{PauseOrder, Whose};
use crate::runtime::placed_calls::{Desk, Order, PlaceOrder};
use crate::runtime::policy_reload::{ReloadError, Reloads};

/// What its resources need.
#[derive(Clone)]
pub struct Api {
    token: String,
    desk: Desk,
    reloads: Reloads,
}

impl Api {
    /// Gives orders at `desk`, and asks for `reloads`, for requests with `Authorization: Bearer` and this token.
    pub fn new(token: String, desk: Desk, reloads: Reloads) -> Self {
        Self { token, desk, reloads }
    }

    /// `POST /calls`, `GET /calls`, `GET /calls/ID`, `DELETE /calls/ID`, `POST /calls/ID/enroll`,
    /// `POST /enrollments`, `POST /calls/ID/pause`, `POST /calls/ID/resume`, `POST /pauses` and `POST /policy/reload`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/calls", get(list).post(place))
            .route("/calls/{id}", get(show).delete(end))
            .route("/calls/{id}/enroll", post(enroll_call))
            .route("/enrollments", post(enroll))
            .route("/calls/{id}/pause", post(pause_call))
            .route("/calls/{id}/resume", post(resume_call))
            .route("/pauses", post(pause))
            .route("/policy/reload", post(reload_policy))
            .route_layer(middleware::from_fn_with_state(self.clone(), authorize))
            .with_state(self)
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

async fn authorize(State(api): State<Api>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if given.is_some_and(|given| bool::from(given.ct_eq(api.token.as_bytes()))) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, "a bearer token is needed\n").into_response()
}

async fn place(State(api): State<Api>, Json(order): Json<PlaceOrder>) -> Response {
    match api.desk.give(|reply| Order::Place(order, reply)).await {
        Some(Ok(call)) => (StatusCode::ACCEPTED, Json(call)).into_response(),
        Some(Err(why)) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n")).into_response(),
        None => unavailable(),
    }
}

async fn list(State(api): State<Api>) -> Response {
    match api.desk.give(Order::List).await {
        Some(calls) => Json(calls).into_response(),
        None => unavailable(),
    }
}

async fn show(State(api): State<Api>, Path(id): Path<u64>) -> Response {
    match api.desk.give(|reply| Order::Show(id, reply)).await {
        Some(Some(call)) => Json(call).into_response(),
        Some(None) => unknown(),
        None => unavailable(),
    }
}

async fn end(State(api): State<Api>, Path(id): Path<u64>) -> Response {
    match api.desk.give(|reply| Order::End(id, reply)).await {
        Some(Some(call)) => Json(call).into_response(),
        Some(None) => unknown(),
        None => unavailable(),
    }
}

async fn enroll(State(api): State<Api>, Json(order): Json<EnrollOrder>) -> Response {
    match order.whom {
        Some(Whom::Conversation(_)) => give_enrollment(&api, order).await,
        Some(Whom::Call(_)) | None => {
            (StatusCode::UNPROCESSABLE_ENTITY, "a conversation is needed\n").into_response()
        }
    }
}

async fn enroll_call(
    State(api): State<Api>,
    Path(id): Path<u64>,
    Json(order): Json<EnrollOrder>,
) -> Response {
    if order.whom.is_some() {
        let why = "the call stands in the path, no conversation is needed\n";
        return (StatusCode::UNPROCESSABLE_ENTITY, why).into_response();
    }
    give_enrollment(&api, EnrollOrder { whom: Some(Whom::Call(id)), ..order }).await
}

async fn pause_call(State(api): State<Api>, Path(id): Path<u64>) -> Response {
    give_pause(&api, Whose::Call(id), true).await
}

async fn resume_call(State(api): State<Api>, Path(id): Path<u64>) -> Response {
    give_pause(&api, Whose::Call(id), false).await
}

async fn pause(State(api): State<Api>, Json(order): Json<PauseOrder>) -> Response {
    let PauseOrder { conversation, party, pause } = order;
    give_pause(&api, Whose::Conversation(conversation, party), pause).await
}

async fn give_pause(api: &Api, whose: Whose, pause: bool) -> Response {
    match api.desk.give(|reply| Order::Pause(whose, pause, reply)).await {
        Some(Some(ordered)) => (StatusCode::ACCEPTED, Json(ordered)).into_response(),
        Some(None) => unknown(),
        None => unavailable(),
    }
}

async fn give_enrollment(api: &Api, order: EnrollOrder) -> Response {
    match api.desk.give(|reply| Order::Enroll(order, reply)).await {
        Some(Ok(begun)) => (StatusCode::ACCEPTED, Json(begun)).into_response(),
        Some(Err(NotEnrolled::NoSuchCall)) => unknown(),
        Some(Err(why)) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n")).into_response(),
        None => unavailable(),
    }
}

async fn reload_policy(State(api): State<Api>) -> Response {
    match api.reloads.reload().await {
        Ok(reloaded) => Json(reloaded).into_response(),
        Err(ReloadError::Stopping) => unavailable(),
        Err(why) => (StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n")).into_response(),
    }
}

fn unknown() -> Response {
    (StatusCode::NOT_FOUND, "no such call\n").into_response()
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "starting or stopping\n").into_response()
}
