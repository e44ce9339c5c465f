//! `/metrics` for Prometheus, `/live` and `/ready` for whoever restarts or routes, and the API.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::runtime::api::Api;
use crate::runtime::health::Health;
use crate::runtime::metrics::{CONTENT_TYPE, Metrics};

#[derive(Clone)]
struct Watched {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

/// Answers on `listener` until the task is dropped; without `api` there is no `/calls`.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    api: Option<Api>,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(scrape))
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready))
        .with_state(Watched { metrics, health });
    let router = match api {
        Some(api) => router.merge(api.router()),
        None => router,
    };
    axum::serve(listener, router).await
}

async fn scrape(State(watched): State<Watched>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], watched.metrics.render()).into_response()
}

async fn ready(State(watched): State<Watched>) -> Response {
    match watched.health.not_ready_because() {
        None => format!("ready\npolicy {}\n", watched.health.policy()).into_response(),
        Some(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response()
        }
    }
}
