//! `/persons`: what is held of people, and their rights to it (GDPR Art. 7 (3), 15, 17, 18, 20, 21).

use axum::extract::State;
use axum::{Extension, Json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::call::facts::LONGEST;
use crate::consent::consents::{Change, Consents, Given, Mark};
use crate::consent::reference::ConsentReference;
use crate::consent::role::Role;
use crate::consent::scope::Scopes;
use crate::runtime::http::description::{roles, scopes, scopes_or_none};
use crate::runtime::http::extract::{Body, Path, Query, number, page};
use crate::runtime::http::persons_shown::{ChangedConsents, ShownPerson, Standing};
use crate::runtime::http::problem::Problem;
use crate::runtime::http::tokens::Token;
use crate::runtime::http::vault_desk::ask;
use crate::runtime::store::audit_trail::Wanted;
use crate::runtime::store::consents::Changed;
use crate::runtime::store::erasure::Erasure;
use crate::runtime::store::keeper::VaultDesk;
use crate::runtime::store::persons::Act;
use crate::runtime::store::trail_line::TrailLine;
use crate::runtime::store::vault::{Subject, Vault, VaultError};
use crate::vault::chain::Kind;
use crate::vault::proof::Signed;
use crate::vault::pseudonym::Pseudonym;

/// Persons, or records of one, that one answer holds at most: the thread that owns the vault works for calls, too.
const LONGEST_PAGE: u32 = 100;

/// In what capacity the person of the path is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Whose {
    /// `caller` where nothing is said.
    #[serde(default)]
    #[param(schema_with = roles, required = false)]
    role: Role,
}

/// Which persons.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Several {
    /// Those behind this pseudonym: `next` of the answer before.
    after: Option<String>,
    /// So many at most; 100 where nothing is said.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Which part of a person's history.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// In what capacity; `caller` where nothing is said.
    #[serde(default)]
    #[param(schema_with = roles, required = false)]
    role: Role,
    /// Records with larger numbers: `next` of the answer before.
    #[serde(default)]
    #[param(required = false)]
    after: u64,
    /// So many at most; 100 where nothing is said.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Some of the persons of whom something is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct Persons {
    /// In the order of their pseudonyms.
    persons: Vec<ShownPerson>,
    /// What to ask for with `after` next; nothing at the end.
    next: Option<String>,
}

/// What somebody agrees to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// What shows it: 1 to 128 bytes of visible ASCII.
    #[schema(value_type = String, example = "paper-2026-11-27/12")]
    reference: ConsentReference,
    /// For what.
    #[schema(schema_with = scopes, example = json!(["verify", "enrol"]))]
    scopes: Scopes,
    /// When it runs out, if it does.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
    /// Whether somebody who had opted out wants to be asked again.
    #[serde(default)]
    #[schema(required = false)]
    opt_in: bool,
}

/// What somebody takes back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// For what; for everything where nothing is said.
    #[schema(schema_with = scopes_or_none, required = false, example = json!(["adapt"]))]
    scopes: Option<Scopes>,
    /// Whether they never want to be asked again; then it is for everything.
    #[serde(default)]
    #[schema(required = false)]
    opt_out: bool,
}

/// Why nothing may be erased.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LegalHold {
    /// The reason: a sentence, not of white space alone.
    #[schema(min_length = 1, max_length = 256, example = "claim 4711 against us, until 2028")]
    reason: String,
}

/// A person's consents, and how they came to be so.
#[derive(Debug, Serialize, ToSchema)]
pub struct History {
    /// How it stands now.
    #[serde(flatten)]
    standing: Standing,
    /// What changed, the oldest first.
    history: Vec<TrailLine>,
    /// What to ask for with `after` next; nothing at the end.
    next: Option<u64>,
}

/// That a person was erased, signed: `public_key` (Ed25519) over `statement` as compact JSON, its fields in their order.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProofOfErasure {
    /// What was erased, when, by whom, and its record in the audit trail.
    #[schema(value_type = Object)]
    statement: Erasure,
    /// 64 hexadecimal digits.
    public_key: String,
    /// Base64.
    signature: String,
}

/// The routes.
pub fn routes() -> OpenApiRouter<VaultDesk> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show, erase))
        .routes(routes!(export))
        .routes(routes!(withdraw))
        .routes(routes!(history, agree))
        .routes(routes!(hold, release))
}

type Answer<T> = Result<Json<T>, Problem>;

/// The person that a path or a query names.
pub(super) fn named(role: Role, subject: &str) -> Result<Subject, Problem> {
    match subject.trim() == subject && (1..=LONGEST).contains(&subject.len()) {
        true => Ok(Subject::new(role, subject)),
        false => Err(Problem::unprocessable(format!(
            "a subject must have 1 to {LONGEST} bytes and no white space around them"
        ))),
    }
}

/// The persons of whom something is kept.
#[utoipa::path(
    get, path = "/persons", tag = "persons", params(Several),
    responses((status = 200, description = "Some of them", body = Persons))
)]
async fn list(
    State(vault): State<VaultDesk>,
    Extension(token): Extension<Token>,
    Query(several): Query<Several>,
) -> Answer<Persons> {
    let limit = page(several.limit, LONGEST_PAGE)?;
    let after = several.after.map(Pseudonym::known);
    let persons = ask(&vault, &token, move |vault, act| {
        let persons = vault.persons(after.as_ref(), limit)?;
        let detail = serde_json::json!({ "listed": persons.len() });
        vault.note(Kind::Access, None, act, &detail)?;
        let shown = |person| ShownPerson::of(person, None, act.at);
        Ok(persons.into_iter().map(shown).collect::<Vec<_>>())
    });
    let persons = persons.await?;
    let next = persons.last().filter(|_| persons.len() == limit as usize);
    let next = next.map(|person| person.standing.person.to_string());
    Ok(Json(Persons { persons, next }))
}

/// One person: what is kept of them, and what they agreed to.
#[utoipa::path(
    get, path = "/persons/{subject}", tag = "persons",
    params(("subject" = String, Path, description = "What the PBX calls them"), Whose),
    responses(
        (status = 200, description = "What is kept", body = ShownPerson),
        (status = 404, description = "Nothing is kept of them"),
        (status = 422, description = "This can be no subject"),
    )
)]
async fn show(
    State(vault): State<VaultDesk>,
    Extension(token): Extension<Token>,
    Path(subject): Path<String>,
    Query(Whose { role }): Query<Whose>,
) -> Answer<ShownPerson> {
    let subject = named(role, &subject)?;
    let shown = ask(&vault, &token, move |vault, act| {
        let shown = match vault.person(&subject)? {
            Some(person) => {
                let voice = vault.voice(&subject)?;
                ShownPerson::of(person, voice.voiceprint.as_ref(), act.at)
            }
            None => ShownPerson { standing: known(vault, &subject, act)?, kept: None },
        };
        let detail = serde_json::json!({ "shown": shown.kept.is_some() });
        vault.note(Kind::Access, Some(&shown.standing.person), act, &detail)?;
        Ok(shown)
    });
    shown.await.map(Json)
}

/// All that is held of a person, for that person (GDPR Art. 15 and 20): voices as base64, each with its model.
#[utoipa::path(
    get, path = "/persons/{subject}/export", tag = "persons",
    params(("subject" = String, Path, description = "What the PBX calls them"), Whose),
    responses(
        (status = 200, description = "All of it", body = Object),
        (status = 404, description = "Nothing is held of them"),
        (status = 422, description = "This can be no subject"),
    )
)]
async fn export(
    State(vault): State<VaultDesk>,
    Extension(token): Extension<Token>,
    Path(subject): Path<String>,
    Query(Whose { role }): Query<Whose>,
) -> Answer<serde_json::Value> {
    let subject = named(role, &subject)?;
    let held = ask(&vault, &token, move |vault, act| {
        let held = vault.held(&subject)?;
        if !held.any() {
            return Err(VaultError::NobodyKnown);
        }
        vault.note_use(&subject, Kind::Export, act, "all that is held")?;
        Ok(held.document(true))
    });
    held.await.map(Json)
}

/// Erase what is kept of a person's voice, and destroy the key that it lay under (GDPR Art. 17). What they agreed to and
/// what was done stays, under their pseudonym.
#[utoipa::path(
    delete, path = "/persons/{subject}", tag = "persons",
    params(("subject" = String, Path, description = "What the PBX calls them"), Whose),
    responses(
        (status = 200, description = "The proof of it", body = ProofOfErasure),
        (status = 404, description = "Nothing is kept of them"),
        (status = 409, description = "There is a legal hold on them"),
        (status = 422, description = "This can be no subject"),
    )
)]
async fn erase(
    State(vault): State<VaultDesk>,
    Extension(token): Extension<Token>,
    Path(subject): Path<String>,
    Query(Whose { role }): Query<Whose>,
) -> Answer<ProofOfErasure> {
    let subject = named(role, &subject)?;
    let signed = ask(&vault, &token, move |vault, act| vault.erase(&subject, act)).await?;
    let Signed { statement, public_key, signature } = signed;
    Ok(Json(ProofOfErasure { statement, public_key, signature }))
}

/// Take a consent back (GDPR Art. 7 (3)), or opt out of everything. Calls in progress stop within a second, and what rested
/// on the consent is erased where `store.retention` says so.
#[utoipa::path(
    post, path = "/persons/{subject}/withdraw", tag = "persons", request_body = Withdrawal,
    params(("subject" = String, Path, description = "What the PBX calls them"), Whose),
    responses((status = 200, description = "How it stands now, also where nothing changed", body = ChangedConsents))
)]
async fn withdraw(
    State(vault): State<VaultDesk>,
    Extension(token): Extension<Token>,
    Path(subject): Path<String>,
    Query(Whose { role }): Query<Whose>,
    Body(withdrawal): Body<Withdrawal>,
) -> Answer<ChangedConsents> {
    let subject = named(role, &subject)?;
    let scopes = match withdrawal {
        Withdrawal { scopes: Some(_), opt_out: true } => {
            return Err(Problem::unprocessable("who opts out does so of everything: no scopes"));
        }
        Withdrawal { scopes: Some(scopes), .. } if scopes.is_empty() => return Err(no_scope()),
        Withdrawal { scopes, .. } => scopes.unwrap_or(Scopes::ALL),
    };
    change(&vault, &token, subject, move |mark| {
        vec![match withdrawal.opt_out {
            true => Change::OptedOut(mark),
            false => Change::Withdrawn { scopes, mark },
        }]
    })
    .await
}

/// A person's consents, and how they came to be so.
#[utoipa::path(
    get, path = "/persons/{subject}/consents", tag = "persons",
    params(("subject" = String, Path, description = "What the PBX calls them"), Since),
    responses(
        (status = 200, description = "How it stands, and what changed", body = History),
        (status = 404, description = "Nobody knows anything of them"),
        (status = 422, description = "This can be no subject"),
    )
)]
async fn history(
    State(vault): State<VaultDesk>,
    Extension(token): Extension<Token>,
    Path(subject): Path<String>,
    Query(Since { role, after, limit }): Query<Since>,
) -> Answer<History> {
    let (after, limit) = (number(after)?, page(limit, LONGEST_PAGE)?);
    let subject = named(role, &subject)?;
    let history = ask(&vault, &token, move |vault, act| {
        let standing = known(vault, &subject, act)?;
        let person = Some(standing.person.clone());
        let wanted = Wanted { after, kind: Some(Kind::Consent), person };
        let records = vault.records(&wanted, limit)?;
        let detail = serde_json::json!({ "consents": records.len() });
        vault.note(Kind::Access, Some(&standing.person), act, &detail)?;
        let history: Vec<TrailLine> = records.iter().map(TrailLine::of).collect();
        let next = history.last().filter(|_| history.len() == limit as usize);
        let next = next.map(|record| record.sequence);
        Ok(History { standing, history, next })
    });
    history.await.map(Json)
}

/// Record that a person agrees, with what shows it.
#[utoipa::path(
    post, path = "/persons/{subject}/consents", tag = "persons", request_body = Agreement,
    params(("subject" = String, Path, description = "What the PBX calls them"), Whose),
    responses(
        (status = 200, description = "How it stands now", body = ChangedConsents),
        (status = 409, description = "They opted out, or took this very reference back"),
    )
)]
async fn agree(
    State(vault): State<VaultDesk>,
    Extension(token): Extension<Token>,
    Path(subject): Path<String>,
    Query(Whose { role }): Query<Whose>,
    Body(agreement): Body<Agreement>,
) -> Answer<ChangedConsents> {
    let subject = named(role, &subject)?;
    let Agreement { reference, scopes, expires, opt_in } = agreement;
    if scopes.is_empty() {
        return Err(no_scope());
    }
    change(&vault, &token, subject, move |mark| {
        let Mark { at, by } = mark.clone();
        let given = Change::Given { scopes, given: Given { reference, at, by, expires } };
        match opt_in {
            true => vec![Change::OptedIn(mark), given],
            false => vec![given],
        }
    })
    .await
}

/// Forbid to erase what is kept of a person, as the law may ask for (GDPR Art. 17 (3) (e), 18).
#[utoipa::path(
    put, path = "/persons/{subject}/hold", tag = "persons", request_body = LegalHold,
    params(("subject" = String, Path, description = "What the PBX calls them"), Whose),
    responses(
        (status = 200, description = "What is kept", body = ShownPerson),
        (status = 404, description = "Nothing is kept of them"),
    )
)]
async fn hold(
    State(vault): State<VaultDesk>,
    Extension(token): Extension<Token>,
    Path(subject): Path<String>,
    Query(Whose { role }): Query<Whose>,
    Body(LegalHold { reason }): Body<LegalHold>,
) -> Answer<ShownPerson> {
    if reason.trim().is_empty() || reason.chars().count() > LONGEST {
        let why = format!("a reason must have 1 to {LONGEST} characters, not white space alone");
        return Err(Problem::unprocessable(why));
    }
    set_hold(&vault, &token, named(role, &subject)?, Some(reason)).await
}

/// Allow to erase it again.
#[utoipa::path(
    delete, path = "/persons/{subject}/hold", tag = "persons",
    params(("subject" = String, Path, description = "What the PBX calls them"), Whose),
    responses(
        (status = 200, description = "What is kept", body = ShownPerson),
        (status = 404, description = "Nothing is kept of them"),
        (status = 422, description = "This can be no subject"),
    )
)]
async fn release(
    State(vault): State<VaultDesk>,
    Extension(token): Extension<Token>,
    Path(subject): Path<String>,
    Query(Whose { role }): Query<Whose>,
) -> Answer<ShownPerson> {
    set_hold(&vault, &token, named(role, &subject)?, None).await
}

async fn set_hold(
    vault: &VaultDesk,
    token: &Token,
    subject: Subject,
    reason: Option<String>,
) -> Answer<ShownPerson> {
    let shown = ask(vault, token, move |vault, act| {
        vault.hold(&subject, reason.as_deref(), act)?;
        let person = vault.person(&subject)?.ok_or(VaultError::NobodyKnown)?;
        Ok(ShownPerson::of(person, None, act.at))
    });
    shown.await.map(Json)
}

/// Does the changes that `make` makes of the moment and the actor, one after the other.
async fn change(
    vault: &VaultDesk,
    token: &Token,
    subject: Subject,
    make: impl FnOnce(Mark) -> Vec<Change> + Send + 'static,
) -> Answer<ChangedConsents> {
    let changed = ask(vault, token, move |vault, act| {
        let person = vault.pseudonym(&subject);
        let mut last = None;
        for change in make(Mark { at: act.at, by: act.by.to_owned() }) {
            last = Some(vault.change_consent(&subject, &change)?);
        }
        let Changed { consents, erased } = last.expect("there is a change");
        let standing = Standing::of(person, &subject, &consents, act.at);
        Ok(ChangedConsents { standing, erased })
    });
    changed.await.map(Json)
}

/// How it stands with somebody of whom anything is known.
fn known(vault: &mut Vault, subject: &Subject, act: &Act<'_>) -> Result<Standing, VaultError> {
    let (person, consents) = (vault.pseudonym(subject), vault.consents(subject)?);
    match consents == Consents::default() {
        true => Err(VaultError::NobodyKnown),
        false => Ok(Standing::of(person, subject, &consents, act.at)),
    }
}

fn no_scope() -> Problem {
    Problem::unprocessable(
        "scopes must name at least one of verify, enrol, adapt, watchlist, keywords",
    )
}
