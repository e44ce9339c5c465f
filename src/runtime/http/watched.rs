//! `/metrics` for Prometheus, `/live` and `/ready` for whoever restarts or routes.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::runtime::health::Health;
use crate::runtime::metrics::{Metrics, Scrape};

/// What is told to everybody.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether calls can be taken.
    pub health: Arc<Health>,
}

/// The routes.
pub fn routes() -> OpenApiRouter<Watched> {
    OpenApiRouter::new().routes(routes!(scrape)).routes(routes!(live)).routes(routes!(ready))
}

/// Everything that is counted, for Prometheus; with exemplars where both sides want them.
#[utoipa::path(
    get, path = "/metrics", tag = "watch",
    responses((status = 200, description = "The text format of Prometheus", body = String, content_type = "text/plain"))
)]
async fn scrape(State(watched): State<Watched>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let Scrape { content_type, text } = watched.metrics.scrape(accept.unwrap_or_default());
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

/// Whether the process answers.
#[utoipa::path(
    get, path = "/live", tag = "watch",
    responses(
        (status = 200, description = "It does", body = String, content_type = "text/plain"),
        (status = 503, description = "A thread that all calls share does not come round, and which", body = String, content_type = "text/plain"),
    )
)]
async fn live(State(watched): State<Watched>) -> Response {
    match watched.health.is_live() {
        Ok(()) => "live\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// Whether calls can be sent here.
#[utoipa::path(
    get, path = "/ready", tag = "watch",
    responses(
        (status = 200, description = "They can", body = String, content_type = "text/plain"),
        (status = 503, description = "They cannot, and why", body = String, content_type = "text/plain"),
    )
)]
async fn ready(State(watched): State<Watched>) -> Response {
    match watched.health.not_ready_because() {
        None => format!("ready\npolicy {}\n", watched.health.policy()).into_response(),
        Some(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response()
        }
    }
}
