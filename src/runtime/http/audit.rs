//! `/audit`: the audit trail, for who looks after it.

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::consent::role::Role;
use crate::runtime::http::description::{kinds, roles};
use crate::runtime::http::extract::{Query, number, page};
use crate::runtime::http::persons::named;
use crate::runtime::http::problem::Problem;
use crate::runtime::http::tokens::Token;
use crate::runtime::http::vault_desk::ask;
use crate::runtime::store::audit_trail::Wanted;
use crate::runtime::store::keeper::VaultDesk;
use crate::runtime::store::trail_line::TrailLine;
use crate::vault::chain::Kind;

/// Records that one answer holds at most.
const LONGEST_PAGE: u32 = 1_000;

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Trail {
    /// Those with larger numbers.
    #[serde(default)]
    #[param(required = false)]
    after: u64,
    /// So many at most; 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Those of this kind.
    #[param(schema_with = kinds, required = false)]
    kind: Option<Kind>,
    /// Those about this person.
    subject: Option<String>,
    /// In this capacity; `caller` where nothing is said.
    #[serde(default)]
    #[param(schema_with = roles, required = false)]
    role: Role,
}

/// A part of the trail.
#[derive(Debug, Serialize, ToSchema)]
pub struct Records {
    /// In their order.
    records: Vec<TrailLine>,
    /// What to ask for with `after` next; nothing at the end.
    next: Option<u64>,
}

/// The end of the trail.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrailHead {
    /// Number of the last record; 0 of an empty trail.
    sequence: u64,
    /// Its digest, 64 hexadecimal digits: whoever keeps it elsewhere can tell later that nothing before it was changed.
    digest: String,
}

/// The routes.
pub fn routes() -> OpenApiRouter<VaultDesk> {
    OpenApiRouter::new().routes(routes!(records)).routes(routes!(head))
}

/// Records, the oldest first. That they were read is a record itself.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(Trail),
    responses(
        (status = 200, description = "The records", body = Records),
        (status = 422, description = "This can be no subject"),
    )
)]
async fn records(
    State(vault): State<VaultDesk>,
    Extension(token): Extension<Token>,
    Query(trail): Query<Trail>,
) -> Result<Json<Records>, Problem> {
    let Trail { kind, role, .. } = trail;
    let (after, limit) = (number(trail.after)?, page(trail.limit, LONGEST_PAGE)?);
    let subject = trail.subject.map(|subject| named(role, &subject)).transpose()?;
    let records = ask(&vault, &token, move |vault, act| {
        let person = subject.map(|subject| vault.pseudonym(&subject));
        let wanted = Wanted { after, kind, person: person.clone() };
        let records = vault.records(&wanted, limit)?;
        let detail = serde_json::json!({
            "audit": { "after": after, "kind": kind, "records": records.len() }
        });
        vault.note(Kind::Access, person.as_ref(), act, &detail)?;
        Ok(records)
    });
    let records: Vec<TrailLine> = records.await?.iter().map(TrailLine::of).collect();
    let next = records.last().filter(|_| records.len() == limit as usize);
    let next = next.map(|record| record.sequence);
    Ok(Json(Records { records, next }))
}

/// The end of the trail, to be kept elsewhere.
#[utoipa::path(
    get, path = "/audit/head", tag = "audit",
    responses((status = 200, description = "The last record's number and digest", body = TrailHead))
)]
async fn head(
    State(vault): State<VaultDesk>,
    Extension(token): Extension<Token>,
) -> Result<Json<TrailHead>, Problem> {
    let head = ask(&vault, &token, |vault, _| vault.head()).await?;
    Ok(Json(TrailHead { sequence: head.sequence, digest: head.digest.to_string() }))
}
