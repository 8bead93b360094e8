-- Personas: to which secret a membership is bound, and what this node keeps of it for the member.

-- The first binding of a membership, for good. `commitment`, `slope` and `share` are those of `credential`: over the commitment
-- this node signs credentials; the share is its part of the member's secret, released by recovery alone. `issued_epoch` and
-- `issued_at`: the last credential that this node signed for the member.
CREATE TABLE bindings (
    member       BLOB PRIMARY KEY REFERENCES members (member),
    commitment   BLOB NOT NULL,
    slope        BLOB NOT NULL,
    share        BLOB NOT NULL,
    batch        INTEGER NOT NULL,
    since        INTEGER NOT NULL,
    issued_epoch INTEGER,
    issued_at    INTEGER
) STRICT, WITHOUT ROWID;

-- Attempts with a member's key to bind or to be issued to that this node refused: for the member to see.
CREATE TABLE refusals (
    member BLOB NOT NULL REFERENCES members (member),
    at     INTEGER NOT NULL,
    action TEXT NOT NULL,
    rule   TEXT NOT NULL
) STRICT;
CREATE INDEX refusals_by_member ON refusals (member, at);
CREATE INDEX refusals_by_age ON refusals (at);
