//! Leave to do one thing with a voice: whoever embeds one asks for it by type.

use std::marker::PhantomData;

use jiff::Timestamp;

use crate::consent::consents::{Consents, Refusal};
use crate::consent::reference::ConsentReference;
use crate::consent::scope::Scope;

/// A processing of somebody's voice that there may be leave for.
pub trait Processing {
    /// What has to be agreed to.
    const SCOPE: Scope;
}

macro_rules! processings {
    ($($(#[$doc:meta])* $name:ident = $scope:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {}

        impl Processing for $name {
            const SCOPE: Scope = Scope::$scope;
        }
    )*};
}

processings! {
    /// The comparison with the voiceprint of who is claimed.
    Verification = Verify;
    /// Making a voiceprint.
    Enrolment = Enrol;
    /// Letting a call move it.
    Adaptation = Adapt;
    /// The comparison with known voices.
    Watchlisting = Watchlist;
    /// Listening for phrases.
    Spotting = Keywords;
}

/// Leave for the processing `P` of one person's voice, at the moment that it was asked for.
///
/// Only [`Consents::permit`] makes one, of a consent that is given and covers it: without a consent there is nothing
/// that could be handed to what computes an embedding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit<P> {
    reference: ConsentReference,
    processing: PhantomData<P>,
}

impl<P> Permit<P> {
    /// The consent that it rests on.
    pub fn reference(&self) -> &ConsentReference {
        &self.reference
    }
}

impl Consents {
    /// Leave for `P` at `now`, or why there is none.
    pub fn permit<P: Processing>(&self, now: Timestamp) -> Result<Permit<P>, Refusal> {
        let given = self.given(P::SCOPE, now)?;
        Ok(Permit { reference: given.reference.clone(), processing: PhantomData })
    }
}

/// Leave as tests need it: under the reference `c-1`.
#[cfg(test)]
pub fn leave<P: Processing>() -> Permit<P> {
    use crate::consent::consents::Given;
    use crate::consent::scope::Scopes;

    let (at, by) = (Timestamp::UNIX_EPOCH, "user:test".to_owned());
    let reference = ConsentReference::new("c-1").expect("a reference");
    let consents = Consents::of(Scopes::ALL, &Given { reference, at, by, expires: None });
    consents.permit(at).expect("it was given")
}
