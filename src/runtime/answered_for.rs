//! Leave that whoever starts a command answers for: nobody but them knows what the people on their recordings agreed to.

use jiff::Timestamp;

use crate::consent::consents::{Consents, Given};
use crate::consent::permit::{Permit, Processing};
use crate::consent::reference::ConsentReference;
use crate::consent::scope::Scopes;

/// Leave for one processing under `reference`, for as long as the command runs.
pub fn answered_for<P: Processing>(reference: &ConsentReference) -> Permit<P> {
    let (reference, at) = (reference.clone(), Timestamp::now());
    let given = Given { reference, at, by: "user:command".to_owned(), expires: None };
    let consents = Consents::of(Scopes::NONE.with(P::SCOPE), &given);
    consents.permit(at).expect("it was given for this, and does not end")
}
