//! Who sends what in one recording session, as far as its metadata has said: whole documents, and what changed since.

use crate::siprec::metadata::{Association, Metadata, Participant, Stream};

/// People and streams that are remembered of one session; further ones are not known.
const MOST: usize = 64;

/// What is known now.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    session: Option<String>,
    group: Option<String>,
    participants: Vec<Participant>,
    streams: Vec<Stream>,
    /// Who sends what: one of each participant who sends.
    associations: Vec<Association>,
}

impl Roster {
    /// Takes a document: a whole one in the place of all that was said before, a partial one on top of it.
    pub fn update(&mut self, metadata: Metadata) {
        if !metadata.partial {
            *self = Self::default();
        }
        self.session = metadata.session.or(self.session.take());
        self.group = metadata.group.or(self.group.take());
        for participant in metadata.participants {
            let known = self.participants.iter_mut().find(|known| known.id == participant.id);
            match known {
                Some(known) => {
                    // A partial update names whom it is about, and repeats no more than it has to.
                    known.aor = participant.aor.or(known.aor.take());
                    known.calling = participant.calling.or(known.calling);
                    known.consent = participant.consent.or(known.consent.take());
                }
                None => self.participants.push(participant),
            }
        }
        for stream in metadata.streams {
            let known = self.streams.iter_mut().find(|known| known.id == stream.id);
            match known {
                Some(known) => {
                    known.label = stream.label.or(known.label.take());
                    known.mixed |= stream.mixed;
                }
                None => self.streams.push(stream),
            }
        }
        for association in metadata.associations {
            self.associate(association);
        }
        self.participants.retain(|participant| !metadata.left.contains(&participant.id));
        self.associations.retain(|a| !metadata.left.contains(&a.participant));
        self.participants.truncate(MOST);
        self.streams.truncate(MOST);
        self.associations.truncate(MOST);
    }

    /// Who takes part, in the order in which they were named first.
    pub fn participants(&self) -> &[Participant] {
        &self.participants
    }

    /// Numbers of the participants who send the stream with this label; none where nobody was said to.
    pub fn senders(&self, label: &str) -> Vec<usize> {
        let labelled = |stream: &&Stream| stream.label.as_deref() == Some(label);
        let ids: Vec<_> = self.streams.iter().filter(labelled).map(|stream| &stream.id).collect();
        let sends = |participant: &Participant| {
            let own = self.associations.iter().filter(|a| a.participant == participant.id);
            own.flat_map(|a| &a.sends).any(|sent| ids.contains(&sent))
        };
        let people = self.participants.iter().enumerate();
        people.filter(|(_, participant)| sends(participant)).map(|(number, _)| number).collect()
    }

    /// Whether several people are mixed in the stream with this label by the client's own word.
    pub fn is_mixed(&self, label: &str) -> bool {
        self.streams.iter().any(|s| s.mixed && s.label.as_deref() == Some(label))
    }

    /// What names the conversation: its session, else the group of it.
    pub fn conversation(&self) -> Option<&str> {
        self.session.as_deref().or(self.group.as_deref())
    }

    /// The newest word about what somebody sends counts; that it is over takes away what is named, or everything.
    fn associate(&mut self, association: Association) {
        let own = self.associations.iter().position(|a| a.participant == association.participant);
        match (own, association.over) {
            (Some(own), false) => self.associations[own] = association,
            (None, false) => self.associations.push(association),
            (Some(own), true) => {
                let sends = &mut self.associations[own].sends;
                sends.retain(|sent| {
                    !association.sends.is_empty() && !association.sends.contains(sent)
                });
            }
            (None, true) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn participant(id: &str) -> Participant {
        Participant {
            id: id.to_owned(),
            aor: Some(format!("sip:{id}@h")),
            ..Participant::default()
        }
    }

    fn stream(id: &str, label: &str) -> Stream {
        Stream { id: id.to_owned(), label: Some(label.to_owned()), mixed: false }
    }

    fn sends(participant: &str, stream: &str) -> Association {
        let sends = vec![stream.to_owned()];
        Association { participant: participant.to_owned(), sends, over: false }
    }

    fn two() -> Roster {
        let mut roster = Roster::default();
        roster.update(Metadata {
            session: Some("s".to_owned()),
            participants: vec![participant("p"), participant("q")],
            streams: vec![stream("m", "1"), stream("n", "2")],
            associations: vec![sends("q", "m"), sends("p", "n")],
            ..Metadata::default()
        });
        roster
    }

    fn partial() -> Metadata {
        Metadata { partial: true, ..Metadata::default() }
    }

    #[test]
    fn a_label_leads_to_who_sends_its_stream() {
        let roster = two();
        assert_eq!((roster.senders("1"), roster.senders("2")), (vec![1], vec![0]));
        assert!(roster.senders("3").is_empty());
        assert_eq!(roster.conversation(), Some("s"));
    }

    #[test]
    fn a_partial_update_changes_what_it_names_and_nothing_else() {
        let mut roster = two();
        let participants =
            vec![Participant { id: "p".into(), ..Participant::default() }, participant("r")];
        let associations = vec![sends("r", "n")];
        roster.update(Metadata { participants, associations, left: vec!["p".into()], ..partial() });
        assert_eq!((roster.senders("1"), roster.conversation()), (vec![0], Some("s")));
        assert_eq!(roster.participants()[roster.senders("2")[0]].id, "r");
    }

    #[test]
    fn a_whole_document_takes_the_place_of_all() {
        let mut roster = two();
        roster.update(Metadata { participants: vec![participant("p")], ..Metadata::default() });
        assert!(roster.senders("1").is_empty() && roster.conversation().is_none());
        assert_eq!(roster.participants(), [participant("p")]);
    }

    #[test]
    fn who_sends_no_more_is_not_there_and_two_may_send_one_stream() {
        let mut roster = two();
        roster.update(Metadata { associations: vec![sends("p", "m")], ..partial() });
        assert_eq!((roster.senders("1"), roster.senders("2")), (vec![0, 1], vec![]));
        let over = Association { participant: "q".into(), sends: Vec::new(), over: true };
        roster.update(Metadata { associations: vec![over], ..partial() });
        assert_eq!(roster.senders("1"), [0]);
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut roster = two();
        for n in 0..1_000 {
            let id = n.to_string();
            let (participants, streams) =
                (vec![participant(&id)], vec![stream(&id, &format!("x{id}"))]);
            roster.update(Metadata {
                participants,
                streams,
                associations: vec![sends(&id, &id)],
                ..partial()
            });
        }
        assert_eq!((roster.participants.len(), roster.streams.len()), (MOST, MOST));
        assert_eq!(roster.associations.len(), MOST);
        assert_eq!(roster.senders("2"), [0]);
    }
}
