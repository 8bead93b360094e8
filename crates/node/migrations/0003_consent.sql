-- Consent: charters, standing grants, questions of relying parties, shields, and what a member is told of them.

-- Since when a member's shield is up, as decided; NULL when it is down.
ALTER TABLE members ADD COLUMN shield INTEGER;
-- When the newest decided shield request, up or down, was made. An older one is no news.
ALTER TABLE members ADD COLUMN shield_asked INTEGER NOT NULL DEFAULT 0;

-- The charters that the operators have adopted; the last one is in force. Before the first: the one that follows from the roster.
CREATE TABLE charters (
    version INTEGER PRIMARY KEY,
    digest  BLOB NOT NULL,
    signed  BLOB NOT NULL,
    batch   INTEGER NOT NULL,
    since   INTEGER NOT NULL
) STRICT;

-- Standing grants, named by the operation that made them. state: 0 active, 1 suspended by the shield, 2 revoked.
-- `ended` is when it was revoked or its last use was spent.
CREATE TABLE grants (
    id        BLOB PRIMARY KEY,
    member    BLOB NOT NULL REFERENCES members (member),
    party     TEXT NOT NULL,
    subject   BLOB NOT NULL,
    terms     BLOB NOT NULL,
    meaning   BLOB NOT NULL,
    charter   BLOB NOT NULL,
    state     INTEGER NOT NULL,
    uses_left INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    since     INTEGER NOT NULL,
    last_used INTEGER,
    ended     INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_member ON grants (member);
CREATE INDEX grants_by_party ON grants (party);

-- Under which name a relying party knows a member.
CREATE TABLE subjects (
    party   TEXT NOT NULL,
    subject BLOB NOT NULL,
    member  BLOB NOT NULL REFERENCES members (member),
    PRIMARY KEY (party, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX subjects_by_member ON subjects (member);

-- Questions of relying parties, named by the operation that brought them. state: 0 answered, 1 waiting, 2 cut by the shield, which
-- the party cannot tell from waiting. `answer` is the certificate of the answer.
CREATE TABLE asks (
    id        BLOB PRIMARY KEY,
    party     TEXT NOT NULL,
    member    BLOB REFERENCES members (member),
    body      BLOB NOT NULL,
    state     INTEGER NOT NULL,
    since     INTEGER NOT NULL,
    answer_by INTEGER NOT NULL,
    answer    BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX asks_by_party ON asks (party, since);
CREATE INDEX asks_by_member ON asks (member);
CREATE INDEX asks_by_age ON asks (since);

-- 1:1 comparisons with a member's records, for the charter's rate.
CREATE TABLE comparisons (
    operation BLOB PRIMARY KEY,
    member    BLOB NOT NULL REFERENCES members (member),
    at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX comparisons_by_member ON comparisons (member, at);
CREATE INDEX comparisons_by_age ON comparisons (at);

-- Decisions that concern a member, with the request that led to each, until `forget_after`.
CREATE TABLE events (
    member       BLOB NOT NULL,
    batch        INTEGER NOT NULL,
    operation    BLOB NOT NULL,
    request      BLOB NOT NULL,
    certificate  BLOB NOT NULL,
    forget_after INTEGER NOT NULL,
    PRIMARY KEY (member, batch, operation)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_age ON events (forget_after);

-- Shield requests that hold on this node already and that the nodes have not decided yet.
CREATE TABLE shields (
    operation BLOB PRIMARY KEY,
    member    BLOB NOT NULL REFERENCES members (member),
    since     INTEGER NOT NULL,
    request   BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX shields_by_member ON shields (member);
