-- Keys of the vault itself, each under a master key.
CREATE TABLE vault_keys (
    name TEXT PRIMARY KEY,
    master TEXT NOT NULL,
    wrapped BLOB NOT NULL
) STRICT;

-- Of whom something is kept: the person's key under a master key, and the name under the person's key.
CREATE TABLE persons (
    person TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    master TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    name BLOB NOT NULL,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL,
    hold TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX persons_by_master ON persons (master);

-- Voices under the person's key: a voiceprint, or what was gathered for one.
CREATE TABLE voiceprints (
    person TEXT NOT NULL REFERENCES persons (person) ON DELETE CASCADE,
    purpose TEXT NOT NULL,
    models TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (person, purpose)
) STRICT;

-- What each person has agreed to; stays when the voice is erased, so that an opt-out is remembered.
CREATE TABLE consents (
    person TEXT PRIMARY KEY,
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    person TEXT,
    conversation TEXT,
    detail TEXT NOT NULL,
    previous BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE INDEX audit_by_person ON audit (person, sequence) WHERE person IS NOT NULL;
CREATE INDEX audit_by_kind ON audit (kind, sequence);

-- No statement of ours changes a record; one by mistake is refused. What goes around this is noticed by the chain.
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail takes no changes'); END;
CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit trail takes no changes'); END;
