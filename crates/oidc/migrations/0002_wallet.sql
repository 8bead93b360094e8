-- Wallets. A persona in the issuer's own context, and the epoch of the credentials with which it last proved itself.
CREATE TABLE personas (
    subject     TEXT PRIMARY KEY,
    epoch       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A place in a status list. A place without a persona is one that was ended: nothing says whose it was.
CREATE TABLE slots (
    list        INTEGER NOT NULL,
    place       INTEGER NOT NULL,
    subject     TEXT,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (list, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX slots_by_subject ON slots (subject);

-- What a wallet may fetch: after a proof a code, for the code a token, for the token credentials.
CREATE TABLE offers (
    code        BLOB PRIMARY KEY,
    token       BLOB UNIQUE,
    subject     TEXT NOT NULL,
    disclosed   TEXT NOT NULL,
    credentials INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Nonces for proofs of possession (c_nonce), each used once.
CREATE TABLE nonces (
    nonce       BLOB PRIMARY KEY,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Requests for a presentation over OpenID4VP. `result` is the answer's verified claims.
CREATE TABLE presentations (
    id          BLOB PRIMARY KEY,
    client      TEXT NOT NULL,
    nonce       TEXT NOT NULL,
    state       TEXT NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    result      TEXT,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
