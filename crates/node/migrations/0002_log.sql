-- The transparency log, and what this node has signed about its own and the other two.

-- Marks the member's log entries; NULL for nobody who enrolled since this column exists.
ALTER TABLE members ADD COLUMN trace BLOB;

-- Size and root of the log after each batch, the same on all nodes.
ALTER TABLE batches ADD COLUMN log_size INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN log_root BLOB;

-- Entries that no full, durable bundle file holds yet. Names nobody.
CREATE TABLE log_entries (
    position INTEGER PRIMARY KEY,
    bytes    BLOB NOT NULL
) STRICT;

-- The complete subtrees of the log at its present size.
CREATE TABLE log_head (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    peaks BLOB NOT NULL
) STRICT;

-- `signed`: the last checkpoint that this node signed. `published`: what it serves, with cosignatures; never a smaller one.
CREATE TABLE checkpoints (
    name TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    note TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Per log of another node, the last checkpoint that this node cosigned.
CREATE TABLE witnessed (
    origin TEXT PRIMARY KEY,
    size   INTEGER NOT NULL,
    note   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
