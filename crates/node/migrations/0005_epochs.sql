-- Proactive refresh: of which epoch this node's shares are, and the refresh that is going on.

-- One row. The files of epoch 0 lie in shares/PROFILE, those of a later epoch in a directory of its own below.
CREATE TABLE epoch (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL,
    since INTEGER NOT NULL
) STRICT;
INSERT INTO epoch (id, epoch, since) VALUES (1, 0, 0);

-- The operation that began it, and its randomness, which goes with this row when all nodes use the new shares.
CREATE TABLE refresh (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    epoch     INTEGER NOT NULL,
    seed      BLOB NOT NULL,
    operation BLOB NOT NULL,
    device    BLOB NOT NULL,
    begun     INTEGER NOT NULL
) STRICT;

-- This node's share of members' secrets as it will be in the coming epoch: made beside the present ones, exchanged with the
-- batch that ends the refresh, and empty otherwise. What is missing here is made in that batch.
CREATE TABLE renewed_bindings (
    member BLOB PRIMARY KEY,
    slope  BLOB NOT NULL,
    share  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
