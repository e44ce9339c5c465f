//! A real Kamailio that loads `config/pbx/kamailio`, in front of two sidetones: the legs of a conversation meet, and one
//! sidetone that is away is passed over.
//!
//! Without the models, SIPp or Kamailio these tests say so and pass.

mod appliance;
mod peers;
mod store;

use std::path::Path;

use appliance::{Appliance, Site, wait_for};
use peers::kamailio::Kamailio;
use peers::sipp;
use store::store;

/// Enough for both to get some.
const CONVERSATIONS: usize = 6;

/// Calls through the proxy, a line of `legs` each; all of them have to come to their end.
fn call(site: &Site, kamailio: &Kamailio, legs: &[String]) {
    let scenario = Path::new("tests/pbx/kamailio/sipp_leg.xml");
    let lines = format!("SEQUENTIAL\n{}\n", legs.join("\n"));
    let mut sipp = sipp::scenario(site, scenario, &kamailio.address.to_string(), 30);
    let sipp = sipp.arg("-inf").arg(site.write("legs.csv", lines));
    let done = sipp.args(["-r", "10", "-m", &legs.len().to_string()]).output().expect("sipp runs");
    assert!(done.status.success(), "{legs:?}: {}", sipp::logs(site));
}

/// Parties of the conversation's calls that an appliance has got.
fn legs_at(appliance: &Appliance, conversation: &str) -> usize {
    let wanted = format!("INFO call conversation=\"{conversation}\"");
    appliance.log().iter().filter(|line| line.contains(&wanted)).count()
}

#[test]
fn the_legs_of_a_conversation_meet_and_a_sidetone_that_is_away_is_passed_over() {
    let Some(store) = store() else { return };
    if !sipp::is_there() {
        return;
    }
    let sites = [Site::new(&store), Site::new(&store)];
    let [first, second] = sites.each_ref().map(Appliance::start);
    let Some(kamailio) = Kamailio::start([first.sip, second.sip]) else { return };
    let names: Vec<String> = (0..CONVERSATIONS).map(|n| format!("k{n}")).collect();
    // The agents come when all callers are there.
    let legs = |party: &str| names.iter().map(|name| format!("{name};{party}")).collect::<Vec<_>>();
    call(&sites[0], &kamailio, &[legs("caller"), legs("agent")].concat());
    let shares: Vec<[usize; 2]> =
        names.iter().map(|name| [legs_at(&first, name), legs_at(&second, name)]).collect();
    assert!(shares.iter().all(|share| *share == [2, 0] || *share == [0, 2]), "{shares:?}");
    let of_first = shares.iter().position(|share| share[0] == 2);
    let of_first = &names[of_first.expect("both have a share")];
    assert!(shares.contains(&[0, 2]), "both have a share: {shares:?}");

    assert_eq!(first.stop().status.code(), Some(0));
    let before = legs_at(&second, of_first);
    call(&sites[0], &kamailio, &[format!("{of_first};caller"), format!("{of_first};agent")]);
    wait_for("both legs at the other", || (legs_at(&second, of_first) == before + 2).then_some(()));
    second.wait_for_metric("sidetone_calls_active", 0.0);
}
