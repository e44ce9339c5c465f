//! What the API says of itself (OpenAPI 3.1): what `utoipa` reads off the routes, and what holds for all of them.

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};

use crate::consent::role::Role;
use crate::consent::scope::Scope;
use crate::policy::evidence::EnrollmentState;
use crate::policy::rule::Party;
use crate::runtime::http::access;
use crate::runtime::http::problem::{CONTENT_TYPE, Problem};
use crate::vault::chain::Kind;

/// The name of the security scheme.
const SCHEME: &str = "bearer";

/// What stands beside the routes.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "sidetone",
        description = "Places, watches and ends calls, and keeps what is held of people, for who bears a token for it. \
            Every refusal is a problem (RFC 9457)."
    ),
    components(schemas(Problem)),
    tags(
        (name = "calls", description = "Calls that the appliance places"),
        (name = "enrolment", description = "Voices that are enrolled in calls"),
        (name = "pauses", description = "Legs of which nothing is heard or kept for a while"),
        (name = "policy", description = "What is listened for, and what it means"),
        (name = "persons", description = "What is held of people, and their rights to it"),
        (name = "audit", description = "What was done, in a chain that nothing can be taken out of"),
        (name = "watch", description = "For who watches, restarts or routes; without a token"),
    )
)]
pub(super) struct Described;

/// The words for what has become of an enrolment.
pub fn enrollment_states() -> Object {
    use EnrollmentState::{Collecting, Enrolled, Refused};
    words([Collecting, Enrolled, Refused].map(EnrollmentState::as_str))
}

/// The words for whose leg is meant, or nothing for all of them.
pub fn party_or_none() -> Object {
    let words = [Party::Caller, Party::Agent, Party::Mixed].map(|party| Some(party.as_str()));
    let types = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new()
        .schema_type(types)
        .enum_values(Some(words.into_iter().chain([None])))
        .build()
}

/// The words for the capacity that somebody is known in.
pub fn roles() -> Object {
    words([Role::Caller, Role::Agent, Role::Watchlist].map(Role::as_str))
}

/// The words for what somebody can agree to.
pub fn scope() -> Object {
    words(Scope::ALL.map(Scope::as_str))
}

/// At least one of them.
pub fn scopes() -> Array {
    ArrayBuilder::new().items(scope()).min_items(Some(1)).build()
}

/// The same, or nothing.
pub fn scopes_or_none() -> Array {
    let types = SchemaType::from_iter([Type::Array, Type::Null]);
    ArrayBuilder::new().schema_type(types).items(scope()).min_items(Some(1)).build()
}

/// The words for what records are about.
pub fn kinds() -> Object {
    words(Kind::ALL.map(Kind::as_str))
}

fn words<const N: usize>(words: [&'static str; N]) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

/// The whole description: to each request what it needs ([`access::NEEDS`]) and how it may be refused.
pub(super) fn describe(routes: &utoipa::openapi::OpenApi) -> Value {
    let mut whole = serde_json::to_value(routes).expect("a description is JSON");
    // Where it was asked for is where the rest is.
    whole["servers"] = json!([{ "url": "/" }]);
    whole["components"]["securitySchemes"] = json!({
        SCHEME: {
            "type": "http", "scheme": "bearer",
            "description": "A token of the appliance's file (`sidetone token`); each request names the role that it needs."
        }
    });
    let paths = whole["paths"].as_object_mut().expect("a description has paths");
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().expect("a path has requests") {
            let method = method.to_uppercase().parse().expect("utoipa knows methods");
            complete(&method, path, operation);
        }
    }
    whole
}

fn complete(method: &Method, path: &str, operation: &mut Value) {
    // Functions are called alike in several files: `persons_list`.
    let [tag, name] = [&operation["tags"][0], &operation["operationId"]].map(Value::as_str);
    operation["operationId"] = [tag, name].map(Option::unwrap_or_default).join("_").into();
    let mut refusals: Vec<(StatusCode, &str)> = Vec::new();
    if let Some(role) = access::needed(method, path) {
        // OpenAPI 3.1: for a scheme that is not OAuth2 these are the roles that are needed.
        operation["security"] = json!([{ SCHEME: [role.as_str()] }]);
        let said = operation["description"].as_str().unwrap_or_default();
        operation["description"] = format!("{said}\n\nRole: {role}").trim_start().into();
        refusals
            .push((StatusCode::UNAUTHORIZED, "No token, one that nobody knows, or an expired one"));
        refusals.push((StatusCode::FORBIDDEN, "The token is for something else"));
        refusals.push((StatusCode::SERVICE_UNAVAILABLE, "It is starting or stopping"));
    }
    if ["persons", "audit"].map(Some).contains(&operation["tags"][0].as_str()) {
        let damaged = "A row of the vault is damaged, or its key is another";
        refusals.push((StatusCode::INTERNAL_SERVER_ERROR, damaged));
    }
    if !operation["parameters"].is_null() {
        refusals.push((StatusCode::BAD_REQUEST, "A parameter is none"));
    }
    if !operation["requestBody"].is_null() {
        refusals.push((StatusCode::BAD_REQUEST, "The body is no JSON, or a parameter is none"));
        refusals.push((StatusCode::REQUEST_TIMEOUT, "The body did not come in time"));
        refusals.push((StatusCode::PAYLOAD_TOO_LARGE, "The body is longer than 64 kB"));
        refusals.push((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The body is not said to be application/json",
        ));
        refusals.push((StatusCode::UNPROCESSABLE_ENTITY, "The body has other keys or types"));
    }
    let responses = operation["responses"].as_object_mut().expect("an operation has responses");
    for (status, description) in refusals {
        let status = status.as_str().to_owned();
        responses.entry(status).or_insert_with(|| json!({ "description": description }));
    }
    for (status, response) in responses {
        let refusal = status.starts_with(['4', '5']);
        let response = response.as_object_mut().expect("a response is an object");
        if refusal && !response.contains_key("content") {
            response.insert("content".to_owned(), problem());
        }
        if ["401", "403"].contains(&status.as_str()) {
            let challenge = "How a token is to be shown (RFC 6750)";
            let header = json!({ "description": challenge, "schema": { "type": "string" } });
            response.insert("headers".to_owned(), json!({ "WWW-Authenticate": header }));
        }
    }
}

fn problem() -> Value {
    let schema = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
    Value::Object(Map::from_iter([(CONTENT_TYPE.to_owned(), schema)]))
}
