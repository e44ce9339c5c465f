//! One recording session (RFC 7866): which of its streams are whose legs, by metadata and header, as both change.

use crate::call::facts::{Agreed, Facts, LONGEST};
use crate::policy::rule::Party;
use crate::sip::event::CallKey;
use crate::siprec::aor::{AorPattern, plain};
use crate::siprec::metadata::{Metadata, Participant};
use crate::siprec::roster::Roster;

/// What a peer's recordings leave open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingTerms {
    /// Who is an agent; whoever is not is a caller, where there are any.
    pub agents: Vec<AorPattern>,
    /// Who is named first, where nothing else tells.
    pub first: Party,
    /// Whether the address of record is the claimed identity.
    pub claims: bool,
}

/// One session.
#[derive(Debug)]
pub struct Recording {
    terms: RecordingTerms,
    /// What the INVITE's header fields say; they are about the caller, or about all.
    told: Facts,
    /// Whether they say whose leg it is.
    party: Option<Party>,
    roster: Roster,
    streams: Vec<Stream>,
}

/// One stream that is switched on.
#[derive(Debug)]
struct Stream {
    index: usize,
    label: Option<String>,
    leg: Option<(CallKey, Speaker)>,
}

/// Who is heard on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Speaker {
    /// Identifier of the only participant who sends it, where one is known.
    participant: Option<String>,
    facts: Facts,
}

/// What is to be done to a leg.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// It is over: its stream is gone, or somebody else speaks there.
    End(CallKey),
    /// One begins on the stream of this m-line; [`Recording::begun`] or [`Recording::dropped`] has to follow.
    Begin {
        /// From 0.
        index: usize,
        /// Whose it is.
        facts: Box<Facts>,
    },
}

impl Recording {
    /// A session whose INVITE says `told`, and `party` where it says whose its only stream is.
    pub fn new(terms: RecordingTerms, told: Facts, party: Option<Party>) -> Self {
        Self { terms, told, party, roster: Roster::default(), streams: Vec::new() }
    }

    /// Takes what is said about who speaks. `names` is whether it may name the conversation, too: once a leg has begun
    /// that stays what it is.
    pub fn handle_metadata(&mut self, metadata: Metadata, names: bool) {
        self.roster.update(metadata);
        if let Some(conversation) = self.roster.conversation().filter(|_| names) {
            conversation.clone_into(&mut self.told.conversation);
        }
    }

    /// Takes which streams there are, m-line and label of each in order. [`Self::poll_step`] tells what follows.
    pub fn handle_streams<'a>(
        &mut self,
        streams: impl Iterator<Item = (usize, Option<&'a str>)>,
    ) -> Vec<CallKey> {
        let mut gone = std::mem::take(&mut self.streams);
        for (index, label) in streams {
            let label = label.map(str::to_owned);
            let known = gone.iter().position(|known| known.index == index);
            let leg = known.and_then(|known| gone.swap_remove(known).leg);
            self.streams.push(Stream { index, label, leg });
        }
        let mut over: Vec<_> = gone.into_iter().filter_map(|stream| Some(stream.leg?.0)).collect();
        over.sort();
        over
    }

    /// The next thing to do to a leg; drain it after metadata and after streams.
    pub fn poll_step(&mut self) -> Option<Step> {
        for number in 0..self.streams.len() {
            let speaker = self.speaker(number);
            let stream = &mut self.streams[number];
            match &mut stream.leg {
                None => {
                    let facts = speaker.unwrap_or_else(|| self.by_order(number)).facts;
                    return Some(Step::Begin {
                        index: self.streams[number].index,
                        facts: Box::new(facts),
                    });
                }
                Some((leg, standing)) => {
                    // Nobody is said to send while a call is on hold: that makes nobody else of who is.
                    let Some(speaker) = speaker.filter(|speaker| speaker != standing) else {
                        continue;
                    };
                    let learnt = standing.participant.is_none() || speaker.participant.is_none();
                    if standing.facts == speaker.facts && learnt {
                        standing.participant = speaker.participant.or(standing.participant.take());
                        continue;
                    }
                    let leg = *leg;
                    stream.leg = None;
                    return Some(Step::End(leg));
                }
            }
        }
        None
    }

    /// The leg of m-line `index` has begun.
    pub fn begun(&mut self, index: usize, leg: CallKey) {
        let Some(number) = self.streams.iter().position(|stream| stream.index == index) else {
            return;
        };
        let speaker = self.speaker(number).unwrap_or_else(|| self.by_order(number));
        self.streams[number].leg = Some((leg, speaker));
    }

    /// The stream of m-line `index` is not heard after all.
    pub fn dropped(&mut self, index: usize) {
        self.streams.retain(|stream| stream.index != index);
    }

    /// Its legs, in the order of their m-lines.
    pub fn legs(&self) -> Vec<CallKey> {
        self.streams.iter().filter_map(|stream| Some(stream.leg.as_ref()?.0)).collect()
    }

    /// The leg of m-line `index`.
    pub fn leg(&self, index: usize) -> Option<CallKey> {
        let stream = self.streams.iter().find(|stream| stream.index == index);
        Some(stream?.leg.as_ref()?.0)
    }

    /// What names the conversation of all its legs.
    pub fn conversation(&self) -> &str {
        &self.told.conversation
    }

    /// Who is said to send stream `number`; `None` where nobody is.
    fn speaker(&self, number: usize) -> Option<Speaker> {
        let label = self.streams[number].label.as_deref().unwrap_or_default();
        let alone = self.streams.len() == 1;
        if let Some(party) = self.party.filter(|_| alone) {
            return Some(self.of(party, None));
        }
        match self.roster.senders(label)[..] {
            _ if self.roster.is_mixed(label) => Some(self.of(Party::Mixed, None)),
            [sender] => {
                let participant = &self.roster.participants()[sender];
                Some(self.of(self.party_of(sender, participant), Some(participant)))
            }
            [] => None,
            [_, ..] => Some(self.of(Party::Mixed, None)),
        }
    }

    /// Who may be heard on stream `number` where nobody is said to be: as many people as streams come in the same order
    /// (Connectel, Cisco on hold), and a single stream is everybody's.
    fn by_order(&self, number: usize) -> Speaker {
        let people = self.roster.participants();
        match people.get(number).filter(|_| people.len() == self.streams.len()) {
            Some(participant) if people.len() > 1 => {
                self.of(self.party_of(number, participant), Some(participant))
            }
            _ if self.streams.len() == 1 => self.of(Party::Mixed, None),
            _ => self.of(self.at(number), None),
        }
    }

    /// Whose leg `participant`'s is, who was named as number `number`.
    fn party_of(&self, number: usize, participant: &Participant) -> Party {
        let agents = &self.terms.agents;
        let is_agent = |aor: &String| agents.iter().any(|agent| agent.matches(aor));
        match participant.calling {
            Some(true) => Party::Caller,
            Some(false) => Party::Agent,
            None if agents.is_empty() => self.at(number),
            None if participant.aor.as_ref().is_some_and(is_agent) => Party::Agent,
            None => Party::Caller,
        }
    }

    /// Whoever comes first is one, and all after that are the other: who joins late is another agent more often than
    /// another caller.
    fn at(&self, number: usize) -> Party {
        match (number, self.terms.first) {
            (0, first) => first,
            (_, Party::Caller | Party::Mixed) => Party::Agent,
            (_, Party::Agent) => Party::Caller,
        }
    }

    /// What is known of a leg of `party`, whose only speaker is `participant`.
    fn of(&self, party: Party, participant: Option<&Participant>) -> Speaker {
        let mut facts = Facts { party, ..self.told.clone() };
        if party == Party::Agent {
            // What the PBX says in the header is about the caller.
            (facts.subject, facts.consent, facts.enroll) = (None, None, false);
        }
        let aor = participant.and_then(|participant| participant.aor.as_deref()).map(plain);
        let aor = aor.filter(|aor| self.terms.claims && (1..=LONGEST).contains(&aor.len()));
        facts.subject = facts.subject.or_else(|| aor.map(str::to_owned));
        let told = participant.and_then(|participant| participant.consent.as_ref());
        if let (None, Some(told)) = (&facts.consent, told) {
            let consent = Agreed::read(&told.reference, told.scope.as_deref());
            facts.consent_fault = consent.as_ref().err().cloned();
            facts.consent = consent.ok();
        }
        Speaker { participant: participant.map(|participant| participant.id.clone()), facts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::headers::Headers;

    const TWO: [(usize, Option<&str>); 2] = [(0, Some("1")), (1, Some("2"))];

    fn recording(terms: RecordingTerms) -> Recording {
        let mut headers = Headers::default();
        headers.push("X-Sidetone-Consent", "c-1");
        let told = Facts::read(&headers, "call@src").expect("good headers");
        Recording::new(terms, told, None)
    }

    fn terms() -> RecordingTerms {
        RecordingTerms { agents: Vec::new(), first: Party::Caller, claims: false }
    }

    fn metadata(inside: &str) -> Metadata {
        let text = format!("<recording><session session_id='s'/>{inside}</recording>");
        Metadata::parse(text.as_bytes()).expect("good metadata")
    }

    fn person(id: &str, sends: &str) -> String {
        format!(
            "<participant participant_id='{id}'><nameID aor='sip:{id}@h'/></participant>\
             <participantstreamassoc participant_id='{id}'>{sends}</participantstreamassoc>"
        )
    }

    fn streams() -> &'static str {
        "<stream stream_id='m'><label>1</label></stream>\
         <stream stream_id='n'><label>2</label></stream>"
    }

    /// `a` is named first and sends the second stream.
    fn crossed() -> Metadata {
        let (a, b) = (person("a", "<send>n</send>"), person("b", "<send>m</send>"));
        metadata(&format!("{a}{b}{}", streams()))
    }

    /// What follows: legs that end, and m-line and party of those that begin, each with the next key.
    fn follow(recording: &mut Recording, next: &mut u64) -> (Vec<u64>, Vec<(usize, Facts)>) {
        let (mut over, mut begun) = (Vec::new(), Vec::new());
        while let Some(step) = recording.poll_step() {
            match step {
                Step::End(CallKey(leg)) => over.push(leg),
                Step::Begin { index, facts } => {
                    *next += 1;
                    recording.begun(index, CallKey(*next));
                    begun.push((index, *facts));
                }
            }
        }
        (over, begun)
    }

    fn parties(begun: &[(usize, Facts)]) -> Vec<(usize, Party)> {
        begun.iter().map(|(index, facts)| (*index, facts.party)).collect()
    }

    fn first(terms: RecordingTerms, said: Option<Metadata>) -> Vec<(usize, Facts)> {
        let mut recording = recording(terms);
        said.into_iter().for_each(|metadata| recording.handle_metadata(metadata, true));
        recording.handle_streams(TWO.into_iter());
        follow(&mut recording, &mut 0).1
    }

    #[test]
    fn who_is_named_first_is_the_caller_whichever_stream_it_sends() {
        let begun = first(terms(), Some(crossed()));
        assert_eq!(parties(&begun), [(0, Party::Agent), (1, Party::Caller)]);
        assert!(
            begun.iter().all(|(_, facts)| facts.conversation == "s" && facts.subject.is_none())
        );
        let agent_first = RecordingTerms { first: Party::Agent, ..terms() };
        let begun = first(agent_first, Some(crossed()));
        assert_eq!(parties(&begun), [(0, Party::Caller), (1, Party::Agent)]);
        let agents = vec![AorPattern::from("a@*".to_owned())];
        let begun = first(RecordingTerms { agents, ..terms() }, Some(crossed()));
        assert_eq!(parties(&begun), [(0, Party::Caller), (1, Party::Agent)]);
    }

    #[test]
    fn without_metadata_the_order_of_the_streams_tells_and_the_call_id_names_it() {
        let begun = first(terms(), None);
        assert_eq!(parties(&begun), [(0, Party::Caller), (1, Party::Agent)]);
        assert_eq!(begun[0].1.conversation, "call@src");
    }

    #[test]
    fn the_headers_consent_is_the_callers_and_metadata_has_each_ones_own() {
        let claims = RecordingTerms { claims: true, ..terms() };
        let begun = first(claims.clone(), Some(crossed()));
        let told = |facts: &Facts| (facts.subject.clone(), facts.consent.is_some());
        assert_eq!(told(&begun[1].1), (Some("a@h".to_owned()), true));
        assert_eq!(told(&begun[0].1), (Some("b@h".to_owned()), false));
        let own = "<c:consent xmlns:c='urn:sidetone:consent'>c-2</c:consent>";
        let text = format!(
            "{own}{}{}{}",
            person("a", "<send>n</send>"),
            person("b", "<send>m</send>"),
            streams()
        );
        let begun = first(claims, Some(metadata(&text)));
        assert!(begun.iter().all(|(_, facts)| facts.consent.is_some()));
    }

    #[test]
    fn one_stream_of_several_people_is_mixed_and_one_of_nobody_knows_whom_too() {
        let alone = |said: Option<Metadata>| {
            let mut recording = recording(terms());
            said.into_iter().for_each(|metadata| recording.handle_metadata(metadata, true));
            recording.handle_streams([(0, Some("1"))].into_iter());
            parties(&follow(&mut recording, &mut 0).1)
        };
        let both = format!(
            "{}{}{}",
            person("a", "<send>m</send>"),
            person("b", "<send>m</send>"),
            streams()
        );
        assert_eq!(alone(Some(metadata(&both))), [(0, Party::Mixed)]);
        assert_eq!(alone(None), [(0, Party::Mixed)]);
        let one = format!("{}{}", person("a", "<send>m</send>"), streams());
        assert_eq!(alone(Some(metadata(&one))), [(0, Party::Caller)]);
    }

    #[test]
    fn somebody_else_on_a_stream_is_another_leg_and_on_hold_nobody_is() {
        let (mut recording, mut next) = (recording(terms()), 0);
        recording.handle_metadata(crossed(), true);
        recording.handle_streams(TWO.into_iter());
        assert_eq!(follow(&mut recording, &mut next).1.len(), 2);
        // On hold: both are there, and nobody sends.
        let held = format!("{}{}{}", person("a", ""), person("b", ""), streams());
        recording.handle_metadata(metadata(&held), false);
        assert_eq!(follow(&mut recording, &mut next), (vec![], vec![]));
        recording.handle_metadata(crossed(), false);
        assert_eq!(follow(&mut recording, &mut next), (vec![], vec![]));
        // b goes, c comes.
        let partial = "<datamode>partial</datamode><participantsessionassoc participant_id='b'>\
                       <disassociate-time>x</disassociate-time></participantsessionassoc>";
        recording.handle_metadata(
            metadata(&format!("{partial}{}", person("c", "<send>m</send>"))),
            false,
        );
        let (over, begun) = follow(&mut recording, &mut next);
        assert_eq!((over, parties(&begun)), (vec![1], vec![(0, Party::Agent)]));
        assert_eq!(recording.legs(), [CallKey(3), CallKey(2)]);
    }

    #[test]
    fn streams_come_and_go() {
        let (mut recording, mut next) = (recording(terms()), 0);
        recording.handle_streams(TWO.into_iter().take(1));
        assert_eq!(parties(&follow(&mut recording, &mut next).1), [(0, Party::Mixed)]);
        assert!(recording.handle_streams(TWO.into_iter()).is_empty());
        let (over, begun) = follow(&mut recording, &mut next);
        assert_eq!((over, parties(&begun)), (vec![], vec![(1, Party::Agent)]));
        assert_eq!(recording.handle_streams(TWO.into_iter().skip(1)), [CallKey(1)]);
        assert_eq!((recording.leg(0), recording.leg(1)), (None, Some(CallKey(2))));
    }
}
