-- The metadata of one node. Times are seconds since 1970; digests, ids and keys are raw bytes.

-- One row: which program version wrote this directory, and, once it first ran, for which node of which commons.
CREATE TABLE store (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,
    node    INTEGER,
    roster  BLOB
) STRICT;
INSERT INTO store (id, version) VALUES (1, 2);

-- The decision chain: one row per batch, the same on all nodes. Names nobody.
CREATE TABLE batches (
    number     INTEGER PRIMARY KEY,
    session    BLOB NOT NULL,
    decided_at INTEGER NOT NULL,
    operations INTEGER NOT NULL,
    digest     BLOB NOT NULL,
    head       BLOB NOT NULL
) STRICT;

-- The batch that this node promised to commit when all three have voted. Gone when it is committed or discarded.
CREATE TABLE prepared (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    body BLOB NOT NULL
) STRICT;

-- The signatures of the newest batch, for a node that crashed before it had them all.
CREATE TABLE newest (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    session    BLOB NOT NULL,
    digest     BLOB NOT NULL,
    signatures BLOB NOT NULL
) STRICT;

CREATE TABLE members (
    member BLOB PRIMARY KEY,
    device BLOB NOT NULL UNIQUE,
    since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Active records. A slot is a position in the gallery and in the segment files, the same on all nodes.
CREATE TABLE records (
    profile         TEXT NOT NULL,
    slot            INTEGER NOT NULL,
    member          BLOB NOT NULL REFERENCES members (member),
    profile_version INTEGER NOT NULL,
    batch           INTEGER NOT NULL,
    since           INTEGER NOT NULL,
    PRIMARY KEY (profile, slot),
    UNIQUE (member, profile)
) STRICT, WITHOUT ROWID;

-- Slots up to the last record of each profile.
CREATE TABLE galleries (
    profile TEXT PRIMARY KEY,
    slots   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Slots before the last record that hold none: those of `records` are all others.
CREATE TABLE holes (
    profile TEXT NOT NULL,
    slot    INTEGER NOT NULL,
    PRIMARY KEY (profile, slot)
) STRICT, WITHOUT ROWID;

-- Slots that no record is in any more and whose bytes must still be overwritten in the segment file.
CREATE TABLE erasures (
    profile TEXT NOT NULL,
    slot    INTEGER NOT NULL,
    PRIMARY KEY (profile, slot)
) STRICT, WITHOUT ROWID;

-- Certificates of recent operations, for the device that asked, until `forget_after`.
CREATE TABLE outcomes (
    operation    BLOB PRIMARY KEY,
    device       BLOB NOT NULL,
    certificate  BLOB NOT NULL,
    forget_after INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outcomes_by_device ON outcomes (device);
CREATE INDEX outcomes_by_age ON outcomes (forget_after);

-- Operation ids that were seen, until no request with them can be valid any more.
CREATE TABLE replays (
    operation    BLOB PRIMARY KEY,
    forget_after INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replays_by_age ON replays (forget_after);
