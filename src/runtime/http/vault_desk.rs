//! What the API asks of the vault: by whom, and what its refusals are over HTTP.

use axum::http::StatusCode;
use jiff::Timestamp;

use crate::runtime::http::problem::Problem;
use crate::runtime::http::tokens::Token;
use crate::runtime::store::keeper::{DeskError, VaultDesk};
use crate::runtime::store::persons::Act;
use crate::runtime::store::vault::{Vault, VaultError};

/// Has `work` done with the vault in the name of whoever bears `token`, and waits for what comes of it.
pub(super) async fn ask<T: Send + 'static>(
    vault: &VaultDesk,
    token: &Token,
    work: impl FnOnce(&mut Vault, &Act<'_>) -> Result<T, VaultError> + Send + 'static,
) -> Result<T, Problem> {
    let by = token.actor();
    let asked = vault
        .ask(move |vault| work(vault, &Act { by: &by, at: Timestamp::now(), conversation: None }));
    asked.await.map_err(|error| problem(&error))
}

fn problem(error: &DeskError) -> Problem {
    let conflict = |why: &VaultError| Problem::new(StatusCode::CONFLICT, why.to_string());
    match error {
        DeskError::Busy => Problem::for_a_second(error.to_string()),
        DeskError::Closed => Problem::unavailable(),
        DeskError::Vault(why) => match why {
            VaultError::NobodyKnown => Problem::not_found(why.to_string()),
            VaultError::Refused(_) | VaultError::Held(_) => conflict(why),
            _ if why.is_outage() => Problem::for_a_second(why.to_string()),
            // Somebody has to look at the database, the key or the row that it names.
            VaultError::Database(_)
            | VaultError::KeyFile(_)
            | VaultError::WrongKey { .. }
            | VaultError::Damaged { .. } => {
                tracing::error!(error = %why, "the vault cannot answer");
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why.to_string())
            }
        },
    }
}
