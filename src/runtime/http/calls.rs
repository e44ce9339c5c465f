//! `/calls`, `/enrollments`, `/pauses` and `/policy/reload`: to place, watch and end calls of ours, to have callers
//! enrolled, legs paused and the policy read again.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::call::facts::LONGEST;
use crate::runtime::enrollments::{EnrollOrder, Enrolling, NotEnrolled, Whom};
use crate::runtime::http::extract::{Body, Path};
use crate::runtime::http::problem::Problem;
use crate::runtime::http::tokens::Token;
use crate::runtime::pauses::{Ordered, PauseOrder, Whose};
use crate::runtime::placed_calls::{Desk, Order, PlaceOrder, PlacedCall};
use crate::runtime::reload::policy::{ReloadError, Reloaded};
use crate::runtime::reload::reloader::Reloads;

/// Where orders about calls are given.
#[derive(Clone, Debug)]
pub struct Orders {
    /// The signalling thread's desk.
    pub desk: Desk,
    /// Where a reload of the policy is asked for.
    pub reloads: Reloads,
}

/// Whom to enrol, and on whose consent: the body of `POST /calls/{id}/enroll`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollInCall {
    /// As `X-Sidetone-Subject`; left out, the one that the call claims.
    #[schema(example = "customer-4711")]
    subject: Option<String>,
    /// As `X-Sidetone-Consent`; left out, the one that came with the call.
    #[schema(example = "ivr-2026-11-23/88")]
    consent: Option<String>,
}

/// The same in a conversation: the body of `POST /enrollments`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollInConversation {
    /// Whose caller.
    #[schema(example = "4711")]
    conversation: String,
    /// As `X-Sidetone-Subject`; left out, the one that the call claims.
    #[schema(example = "customer-4711")]
    subject: Option<String>,
    /// As `X-Sidetone-Consent`; left out, the one that came with the call.
    #[schema(example = "ivr-2026-11-23/88")]
    consent: Option<String>,
}

/// The routes.
pub fn routes() -> OpenApiRouter<Orders> {
    OpenApiRouter::new()
        .routes(routes!(list, place))
        .routes(routes!(show, end))
        .routes(routes!(enroll_call))
        .routes(routes!(enroll))
        .routes(routes!(pause_call))
        .routes(routes!(resume_call))
        .routes(routes!(pause))
        .routes(routes!(reload_policy))
}

type Accepted<T> = Result<(StatusCode, Json<T>), Problem>;

/// Call somebody.
#[utoipa::path(
    post, path = "/calls", tag = "calls", request_body = PlaceOrder,
    responses(
        (status = 202, description = "The call is on its way", body = PlacedCall),
        (status = 422, description = "Nobody can be called so"),
    )
)]
async fn place(
    State(orders): State<Orders>,
    Extension(token): Extension<Token>,
    Body(order): Body<PlaceOrder>,
) -> Accepted<PlacedCall> {
    if order.target.len() > LONGEST {
        return Err(Problem::unprocessable(format!("the target is longer than {LONGEST} bytes")));
    }
    let placed = orders.desk.give(|reply| Order::Place(order, token.actor(), reply)).await;
    placed.ok_or_else(Problem::unavailable)?.map_err(Problem::unprocessable).map(accepted)
}

/// The calls placed so far, the oldest first; of those that are over, the newest 256.
#[utoipa::path(
    get, path = "/calls", tag = "calls",
    responses((status = 200, description = "How they stand", body = [PlacedCall]))
)]
async fn list(State(orders): State<Orders>) -> Result<Json<Vec<PlacedCall>>, Problem> {
    orders.desk.give(Order::List).await.map(Json).ok_or_else(Problem::unavailable)
}

/// One call.
#[utoipa::path(
    get, path = "/calls/{id}", tag = "calls",
    params(("id" = u64, Path, description = "Its number")),
    responses(
        (status = 200, description = "How it stands", body = PlacedCall),
        (status = 404, description = "No call has this number"),
    )
)]
async fn show(
    State(orders): State<Orders>,
    Path(id): Path<u64>,
) -> Result<Json<PlacedCall>, Problem> {
    let call = orders.desk.give(|reply| Order::Show(id, reply)).await;
    call.ok_or_else(Problem::unavailable)?.map(Json).ok_or_else(unknown)
}

/// Hang a call up.
#[utoipa::path(
    delete, path = "/calls/{id}", tag = "calls",
    params(("id" = u64, Path, description = "Its number")),
    responses(
        (status = 200, description = "How it stood", body = PlacedCall),
        (status = 404, description = "No call has this number"),
    )
)]
async fn end(
    State(orders): State<Orders>,
    Path(id): Path<u64>,
) -> Result<Json<PlacedCall>, Problem> {
    let call = orders.desk.give(|reply| Order::End(id, reply)).await;
    call.ok_or_else(Problem::unavailable)?.map(Json).ok_or_else(unknown)
}

/// Enrol the caller of a conversation. Its verdicts tell the rest.
#[utoipa::path(
    post, path = "/enrollments", tag = "enrolment", request_body = EnrollInConversation,
    responses(
        (status = 202, description = "It has begun", body = Enrolling),
        (status = 404, description = "No caller is in this conversation"),
        (status = 422, description = "It cannot begin"),
    )
)]
async fn enroll(
    State(orders): State<Orders>,
    Extension(token): Extension<Token>,
    Body(order): Body<EnrollInConversation>,
) -> Accepted<Enrolling> {
    let EnrollInConversation { conversation, subject, consent } = order;
    let (whom, by) = (Whom::Conversation(conversation), token.actor());
    give_enrollment(&orders, EnrollOrder { whom, subject, consent, by }).await
}

/// Enrol the voice of the called side of a call that we placed.
#[utoipa::path(
    post, path = "/calls/{id}/enroll", tag = "enrolment", request_body = EnrollInCall,
    params(("id" = u64, Path, description = "The call's number")),
    responses(
        (status = 202, description = "It has begun", body = Enrolling),
        (status = 404, description = "No call that stands has this number"),
        (status = 422, description = "It cannot begin"),
    )
)]
async fn enroll_call(
    State(orders): State<Orders>,
    Extension(token): Extension<Token>,
    Path(id): Path<u64>,
    Body(order): Body<EnrollInCall>,
) -> Accepted<Enrolling> {
    let EnrollInCall { subject, consent } = order;
    let (whom, by) = (Whom::Call(id), token.actor());
    give_enrollment(&orders, EnrollOrder { whom, subject, consent, by }).await
}

/// Pause the leg of a call that we placed: nothing of it is heard or kept.
#[utoipa::path(
    post, path = "/calls/{id}/pause", tag = "pauses",
    params(("id" = u64, Path, description = "The call's number")),
    responses(
        (status = 202, description = "The leg has got it; its verdicts tell the rest", body = Ordered),
        (status = 404, description = "No call that stands has this number"),
    )
)]
async fn pause_call(State(orders): State<Orders>, Path(id): Path<u64>) -> Accepted<Ordered> {
    give_pause(&orders, Whose::Call(id), true).await
}

/// End the pause of the leg of a call that we placed.
#[utoipa::path(
    post, path = "/calls/{id}/resume", tag = "pauses",
    params(("id" = u64, Path, description = "The call's number")),
    responses(
        (status = 202, description = "The leg has got it; its verdicts tell the rest", body = Ordered),
        (status = 404, description = "No call that stands has this number"),
    )
)]
async fn resume_call(State(orders): State<Orders>, Path(id): Path<u64>) -> Accepted<Ordered> {
    give_pause(&orders, Whose::Call(id), false).await
}

/// Pause the legs of a conversation, or end that.
#[utoipa::path(
    post, path = "/pauses", tag = "pauses", request_body = PauseOrder,
    responses(
        (status = 202, description = "The legs have got it; their verdicts tell the rest", body = Ordered),
        (status = 404, description = "The conversation has no such leg"),
    )
)]
async fn pause(State(orders): State<Orders>, Body(order): Body<PauseOrder>) -> Accepted<Ordered> {
    let PauseOrder { conversation, party, pause } = order;
    give_pause(&orders, Whose::Conversation(conversation, party), pause).await
}

/// Read the policy again, for conversations from now on.
#[utoipa::path(
    post, path = "/policy/reload", tag = "policy",
    responses(
        (status = 200, description = "What is in force now", body = Reloaded),
        (status = 422, description = "The file is of no use, and the policy of before stays"),
    )
)]
async fn reload_policy(State(orders): State<Orders>) -> Result<Json<Reloaded>, Problem> {
    match orders.reloads.policy().await {
        Ok(reloaded) => Ok(Json(reloaded)),
        Err(ReloadError::Stopping) => Err(Problem::unavailable()),
        Err(why) => Err(Problem::unprocessable(why.to_string())),
    }
}

async fn give_pause(orders: &Orders, whose: Whose, pause: bool) -> Accepted<Ordered> {
    let ordered = orders.desk.give(|reply| Order::Pause(whose, pause, reply)).await;
    ordered.ok_or_else(Problem::unavailable)?.map(accepted).ok_or_else(unknown)
}

async fn give_enrollment(orders: &Orders, order: EnrollOrder) -> Accepted<Enrolling> {
    let begun = orders.desk.give(|reply| Order::Enroll(order, reply)).await;
    match begun.ok_or_else(Problem::unavailable)? {
        Ok(begun) => Ok(accepted(begun)),
        Err(NotEnrolled::NoSuchCall) => Err(unknown()),
        Err(NotEnrolled::Store(why)) if why.is_outage() => {
            Err(Problem::for_a_second(why.to_string()))
        }
        Err(why) => Err(Problem::unprocessable(why.to_string())),
    }
}

fn accepted<T>(of: T) -> (StatusCode, Json<T>) {
    (StatusCode::ACCEPTED, Json(of))
}

fn unknown() -> Problem {
    Problem::not_found("no such call")
}
