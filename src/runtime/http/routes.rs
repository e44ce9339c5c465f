//! All that can be asked over HTTP, and its description.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::middleware;
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use crate::runtime::http::access::{self, Access};
use crate::runtime::http::audit;
use crate::runtime::http::calls::{self, Orders};
use crate::runtime::http::description::{self, Described};
use crate::runtime::http::extract::LONGEST_BODY;
use crate::runtime::http::host;
use crate::runtime::http::page::routes::{self as page, Page};
use crate::runtime::http::persons;
use crate::runtime::http::problem;
use crate::runtime::http::tokens::Tokens;
use crate::runtime::http::watched::{self, Watched};
use crate::runtime::store::keeper::VaultDesk;

/// What the API works on.
#[derive(Debug)]
pub struct Api {
    /// Who may.
    pub tokens: Arc<Tokens>,
    /// Calls.
    pub orders: Orders,
    /// Persons, and what was done.
    pub vault: VaultDesk,
}

/// Everything that there is; without `api` and `page` what is watched, alone.
pub fn router(watched: Watched, api: Option<Api>, page: Option<Page>) -> Router {
    let routes = OpenApiRouter::with_openapi(Described::openapi());
    let metrics = Arc::clone(&watched.metrics);
    let routes = routes.merge(watched::routes().with_state(watched));
    let routes = match api {
        Some(Api { tokens, orders, vault }) => {
            let guard = middleware::from_fn_with_state(Access::new(tokens, metrics), access::admit);
            let api = calls::routes().with_state(orders);
            let of_vault = persons::routes().merge(audit::routes()).with_state(vault);
            routes.merge(api.merge(of_vault).route_layer(guard))
        }
        None => routes,
    };
    let (router, described) = routes.split_for_parts();
    let described = description::describe(&described).to_string();
    // Without a token: who has none should learn what needs one.
    let description =
        move || async move { ([(header::CONTENT_TYPE, "application/json")], described) };
    router
        .route("/openapi.json", get(description))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        // What is for people is not described: its paths are no interface.
        .merge(page.map(page::routes).unwrap_or_default())
        .layer(middleware::from_fn(problem::instead_of_nothing))
        .layer(middleware::from_fn(host::well_formed))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use axum::http::Method;
    use serde_json::Value;

    use super::*;
    use crate::runtime::http::access::NEEDS;
    use crate::runtime::http::role::Role;

    fn described() -> Value {
        let mut described = Described::openapi();
        described.merge(watched::routes().into_openapi());
        described.merge(calls::routes().into_openapi());
        described.merge(persons::routes().merge(audit::routes()).into_openapi());
        description::describe(&described)
    }

    /// What is described, as `POST /calls`, with the roles that it says it needs.
    fn requests(described: &Value) -> BTreeSet<(String, Vec<String>)> {
        let mut all = BTreeSet::new();
        for (path, item) in described["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("requests") {
                let roles = operation["security"][0]["bearer"].as_array();
                let roles =
                    roles.into_iter().flatten().map(|r| r.as_str().expect("a role").to_owned());
                all.insert((format!("{} {path}", method.to_uppercase()), roles.collect()));
            }
        }
        all
    }

    #[test]
    fn every_request_that_is_described_says_its_role_and_every_row_of_roles_is_described() {
        let open =
            ["GET /metrics", "GET /live", "GET /ready"].map(|open| (open.to_owned(), vec![]));
        let row = |(method, path, role): &(Method, &str, Role)| {
            (format!("{method} {path}"), vec![role.to_string()])
        };
        let wanted: BTreeSet<_> = NEEDS.iter().map(row).chain(open).collect();
        assert_eq!(requests(&described()), wanted);
    }
}
