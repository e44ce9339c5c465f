//! What a request says, or the problem with it: the body, and the parts of path and query.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::runtime::http::problem::Problem;

/// Longest body, bytes: the longest that anybody means is one of a few values of 256.
pub const LONGEST_BODY: usize = 64 * 1024;
/// Within this a body has come, or will not.
const PATIENCE: Duration = Duration::from_secs(10);

/// A body of JSON.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// The path's parameters.
#[derive(Debug)]
pub struct Path<T>(pub T);

/// The query's parameters.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match timeout(PATIENCE, axum::Json::<T>::from_request(request, state)).await {
            Ok(Ok(axum::Json(value))) => Ok(Self(value)),
            Ok(Err(refused)) => Err(Problem::new(refused.status(), refused.body_text())),
            Err(_) => {
                let why = format!("the body did not come within {} s", PATIENCE.as_secs());
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, why))
            }
        }
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(refused) => Err(Problem::new(refused.status(), refused.body_text())),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(refused) => Err(Problem::new(refused.status(), refused.body_text())),
        }
    }
}

/// How many entries an answer may hold, where `asked` were asked for and `most` are the most.
pub fn page(asked: Option<u32>, most: u32) -> Result<u32, Problem> {
    match asked.unwrap_or(100) {
        limit if (1..=most).contains(&limit) => Ok(limit),
        other => {
            let why = format!("limit must be 1 to {most}, found {other}");
            Err(Problem::new(StatusCode::BAD_REQUEST, why))
        }
    }
}

/// A record's number that was asked for: databases count to 2^63 - 1.
pub fn number(asked: u64) -> Result<u64, Problem> {
    match i64::try_from(asked) {
        Ok(_) => Ok(asked),
        Err(_) => {
            let why = format!("after must be at most {}, found {asked}", i64::MAX);
            Err(Problem::new(StatusCode::BAD_REQUEST, why))
        }
    }
}
