//! Recording metadata (RFC 7865), and what became of its drafts in the field; the only file that names `roxmltree`.
//!
//! Elements are told by their local name: the drafts have other namespaces, and Sonus a prefix. What nobody here asks for
//! (names, times, who receives) is not read.

use roxmltree::{Document, Node, ParsingOptions};

/// Longest document, bytes: what a SIP message can hold.
const LARGEST: usize = 65_536;
/// Most elements, texts and comments of a document; a call of two people has fifty.
const MOST_NODES: u32 = 4_096;
/// Longest identifier or address, bytes: they end up in verdicts.
const LONGEST: usize = 256;
/// Whose element says which consent there is, within a participant or for all.
const CONSENT: &str = "urn:sidetone:consent";

/// One document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Whether it tells what has changed, and not all that there is.
    pub partial: bool,
    /// The communication session that is recorded: the first, where there are several.
    pub session: Option<String>,
    /// The group of sessions that belong together.
    pub group: Option<String>,
    /// Who takes part, in order.
    pub participants: Vec<Participant>,
    /// The media streams.
    pub streams: Vec<Stream>,
    /// Who sends what.
    pub associations: Vec<Association>,
    /// Who takes part no more.
    pub left: Vec<String>,
}

/// One who takes part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Participant {
    /// Its identifier.
    pub id: String,
    /// Its address, as written.
    pub aor: Option<String>,
    /// Whether it is who called, where the client says so (Acme).
    pub calling: Option<bool>,
    /// What it agreed to.
    pub consent: Option<ToldConsent>,
}

/// A consent, in the client's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldConsent {
    /// Its reference.
    pub reference: String,
    /// What it covers, where that is said.
    pub scope: Option<String>,
}

/// One media stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Its identifier.
    pub id: String,
    /// The label of its m-line (RFC 4574).
    pub label: Option<String>,
    /// Whether several people are mixed in it.
    pub mixed: bool,
}

/// What one participant sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Association {
    /// Who.
    pub participant: String,
    /// Identifiers of the streams.
    pub sends: Vec<String>,
    /// That it does so no more.
    pub over: bool,
}

/// Why metadata is of no use; the streams are heard all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MetadataFault {
    /// More than anybody needs to say.
    #[error("longer than 64 KiB, or of more than 4096 nodes")]
    TooLarge,
    /// Not well-formed, or with a document type, which nobody needs and which may name entities.
    #[error("not well-formed XML (RFC 7865 5)")]
    NotXml,
    /// XML about something else.
    #[error("no recording element, or an empty one (RFC 7865 5.1)")]
    NotRecording,
}

impl MetadataFault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TooLarge, Self::NotXml, Self::NotRecording];

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotXml => "not_xml",
            Self::NotRecording => "not_recording",
        }
    }
}

impl Metadata {
    /// Reads one document.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetadataFault> {
        if bytes.len() > LARGEST {
            return Err(MetadataFault::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| MetadataFault::NotXml)?;
        let mut options = ParsingOptions::default();
        (options.allow_dtd, options.nodes_limit) = (false, MOST_NODES);
        let document = Document::parse_with_options(text.trim(), options);
        let document = document.map_err(|error| match error {
            roxmltree::Error::NodesLimitReached => MetadataFault::TooLarge,
            _ => MetadataFault::NotXml,
        })?;
        let root = document.root_element();
        if !is(root, "recording") || !root.has_children() {
            return Err(MetadataFault::NotRecording);
        }
        Ok(Self::read(root))
    }

    fn read(root: Node<'_, '_>) -> Self {
        let mut metadata = Self::default();
        let consent = consent(root);
        for node in root.children().filter(Node::is_element) {
            match node.tag_name().name() {
                // BroadWorks writes dataMode.
                name if name.eq_ignore_ascii_case("datamode") => {
                    metadata.partial =
                        text(node).is_some_and(|mode| mode.eq_ignore_ascii_case("partial"));
                }
                "group" => metadata.group = metadata.group.take().or_else(|| id(node, "group_id")),
                "session" => {
                    metadata.session = metadata.session.take().or_else(|| id(node, "session_id"));
                }
                "participant" => metadata.take_participant(node, consent.as_ref()),
                "stream" => {
                    let Some(id) = id(node, "stream_id") else { continue };
                    let mixed = child(node, "mode").and_then(text);
                    let mixed = mixed.is_some_and(|mode| mode.eq_ignore_ascii_case("mixed"));
                    let label = child(node, "label").and_then(text);
                    metadata.streams.push(Stream { id, label, mixed });
                }
                "participantstreamassoc" => {
                    let Some(participant) = id(node, "participant_id") else { continue };
                    let over = child(node, "disassociate-time").is_some();
                    metadata.associations.push(Association {
                        participant,
                        sends: sends(node),
                        over,
                    });
                }
                "participantsessionassoc" if child(node, "disassociate-time").is_some() => {
                    metadata.left.extend(id(node, "participant_id"));
                }
                _ => {}
            }
        }
        metadata
    }

    /// `consent` is everybody's who has none of their own.
    fn take_participant(&mut self, node: Node<'_, '_>, consent_of_all: Option<&ToldConsent>) {
        let Some(id) = id(node, "participant_id") else { return };
        let name = child(node, "nameID");
        let aor = name.and_then(|name| attribute(name, "aor"));
        let extensions = || node.children().filter(|node| is(*node, "extensiondata"));
        let calling = extensions().find_map(|data| child(data, "callingParty")).and_then(text);
        let calling = calling.and_then(|calling| calling.to_ascii_lowercase().parse().ok());
        let consent = consent(node).or_else(|| extensions().find_map(consent));
        let consent = consent.or_else(|| consent_of_all.cloned());
        // In the drafts that Acme keeps to, who sends stands with the participant.
        let sends = sends(node);
        if !sends.is_empty() {
            self.associations.push(Association { participant: id.clone(), sends, over: false });
        }
        self.participants.push(Participant { id, aor, calling, consent });
    }
}

fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| is(*child, name))
}

fn sends(node: Node<'_, '_>) -> Vec<String> {
    node.children().filter(|child| is(*child, "send")).filter_map(text).collect()
}

fn consent(node: Node<'_, '_>) -> Option<ToldConsent> {
    let ours = |child: &Node<'_, '_>| child.has_tag_name((CONSENT, "consent"));
    let ours = node.children().find(ours)?;
    Some(ToldConsent { reference: text(ours)?, scope: attribute(ours, "scope") })
}

fn text(node: Node<'_, '_>) -> Option<String> {
    sane(node.text().unwrap_or_default())
}

fn attribute(node: Node<'_, '_>, name: &str) -> Option<String> {
    sane(node.attribute(name).unwrap_or_default())
}

/// The drafts call it `id`, and so does Acme.
fn id(node: Node<'_, '_>, name: &str) -> Option<String> {
    attribute(node, name).or_else(|| attribute(node, "id"))
}

fn sane(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= LONGEST).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(inside: &str) -> Metadata {
        let text = format!(
            "<?xml version=\"1.0\"?>\n<recording xmlns='urn:ietf:params:xml:ns:recording:1'>{inside}</recording>"
        );
        Metadata::parse(text.as_bytes()).expect("well-formed")
    }

    #[test]
    fn the_rfcs_form_says_who_sends_what() {
        let metadata = parse(
            "<datamode>complete</datamode><group group_id='g'/><session session_id='s'/>\
             <session session_id='t'/><participant participant_id='p'><nameID aor='sip:a@h'>\
             <name>A</name></nameID></participant><stream stream_id='m' session_id='s'>\
             <label>1</label></stream><participantstreamassoc participant_id='p'><send>m</send>\
             <recv>n</recv></participantstreamassoc>",
        );
        let aor = Some("sip:a@h".to_owned());
        assert_eq!(
            metadata.participants,
            [Participant { id: "p".into(), aor, ..Participant::default() }]
        );
        assert_eq!(
            metadata.streams,
            [Stream { id: "m".into(), label: Some("1".into()), mixed: false }]
        );
        let association =
            Association { participant: "p".into(), sends: vec!["m".into()], over: false };
        assert_eq!(metadata.associations, [association]);
        assert_eq!(
            (metadata.session.as_deref(), metadata.group.as_deref()),
            (Some("s"), Some("g"))
        );
        assert!(!metadata.partial);
    }

    #[test]
    fn acmes_draft_has_it_with_the_participant_and_says_who_called() {
        let metadata = parse(
            "<participant id='p' session='s'><send>m</send><extensiondata xmlns:apkt='x'>\
             <apkt:callingParty>true</apkt:callingParty></extensiondata></participant>\
             <stream id='m'><label>7</label><mode>mixed</mode></stream>",
        );
        assert_eq!(metadata.participants[0].calling, Some(true));
        assert_eq!(metadata.associations[0].sends, ["m"]);
        assert!(metadata.streams[0].mixed);
    }

    #[test]
    fn what_is_over_is_told_and_so_is_that_it_is_not_all() {
        let metadata = parse(
            "<dataMode>Partial</dataMode><participantsessionassoc participant_id='p' session_id='s'>\
             <disassociate-time>2026-01-01T00:00:00Z</disassociate-time></participantsessionassoc>\
             <participantsessionassoc participant_id='q' session_id='s'/>\
             <participantstreamassoc participant_id='q'><send>m</send>\
             <disassociate-time>2026-01-01T00:00:00Z</disassociate-time></participantstreamassoc>",
        );
        assert!(metadata.partial && metadata.associations[0].over);
        assert_eq!(metadata.left, ["p"]);
    }

    #[test]
    fn a_consent_is_everybodys_or_one_persons_and_in_our_words_only() {
        let metadata = parse(
            "<c:consent xmlns:c='urn:sidetone:consent'>all</c:consent><participant participant_id='p'>\
             <consent>other words</consent></participant><participant participant_id='q'><extensiondata>\
             <consent xmlns='urn:sidetone:consent' scope='verify enrol'>own</consent></extensiondata></participant>",
        );
        let told = |reference: &str, scope: Option<&str>| {
            let (reference, scope) = (reference.to_owned(), scope.map(str::to_owned));
            Some(ToldConsent { reference, scope })
        };
        let consents = metadata.participants.into_iter().map(|participant| participant.consent);
        let wanted = [told("all", None), told("own", Some("verify enrol"))];
        assert_eq!(consents.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn what_is_no_metadata_is_told_by_kind() {
        let fault = |text: &str| Metadata::parse(text.as_bytes()).expect_err("a fault");
        assert_eq!(fault("complete SRC selective"), MetadataFault::NotXml);
        assert_eq!(fault("<recording><participant></recording>"), MetadataFault::NotXml);
        assert_eq!(
            fault("<recording_metadata>completeSRC</recording_metadata>"),
            MetadataFault::NotRecording
        );
        assert_eq!(fault("<recording/>"), MetadataFault::NotRecording);
        let entity =
            "<!DOCTYPE r [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><recording>&a;</recording>";
        assert_eq!(fault(entity), MetadataFault::NotXml);
        assert_eq!(fault(&" ".repeat(LARGEST + 1)), MetadataFault::TooLarge);
        let deep = format!("<recording>{}", "<a>".repeat(20_000));
        assert_eq!(fault(&deep), MetadataFault::TooLarge);
        assert_eq!(Metadata::parse(b"<recording>\xff</recording>"), Err(MetadataFault::NotXml));
    }

    #[test]
    fn what_is_too_long_to_be_a_name_is_none() {
        let long = "x".repeat(LONGEST + 1);
        let metadata =
            parse(&format!("<participant participant_id='{long}'/><session session_id='{long}'/>"));
        assert_eq!(metadata, Metadata::default());
    }
}
