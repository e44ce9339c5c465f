-- Keys of the vault itself, each under a master key.
CREATE TABLE vault_keys (
    name TEXT PRIMARY KEY,
    master TEXT NOT NULL,
    wrapped BYTEA NOT NULL
);

-- Of whom something is kept: the person's key under a master key, and the name under the person's key.
CREATE TABLE persons (
    person TEXT COLLATE "C" PRIMARY KEY,
    role TEXT NOT NULL,
    master TEXT NOT NULL,
    wrapped BYTEA NOT NULL,
    name BYTEA NOT NULL,
    created BIGINT NOT NULL,
    used BIGINT NOT NULL,
    hold TEXT
);
CREATE INDEX persons_by_master ON persons (master);

-- Voices under the person's key: a voiceprint, or what was gathered for one.
CREATE TABLE voiceprints (
    person TEXT COLLATE "C" NOT NULL REFERENCES persons (person) ON DELETE CASCADE,
    purpose TEXT NOT NULL,
    models TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (person, purpose)
);
-- What is sealed does not get smaller.
ALTER TABLE voiceprints ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- What each person has agreed to; stays when the voice is erased, so that an opt-out is remembered.
CREATE TABLE consents (
    person TEXT COLLATE "C" PRIMARY KEY,
    state TEXT NOT NULL
);

CREATE TABLE audit (
    sequence BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    person TEXT,
    conversation TEXT,
    detail TEXT NOT NULL,
    previous BYTEA NOT NULL,
    digest BYTEA NOT NULL
);
CREATE INDEX audit_by_person ON audit (person, sequence) WHERE person IS NOT NULL;
CREATE INDEX audit_by_kind ON audit (kind, sequence);

-- No statement of ours changes a record; one by mistake is refused. What goes around this is noticed by the chain.
CREATE FUNCTION audit_takes_no_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the audit trail takes no changes'; END $$;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_takes_no_changes();
