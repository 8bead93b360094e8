-- Every secret that a browser, a client or a wallet holds is here as its SHA-256 only. Rows go when their time is over, except
-- `admitted`, `personas` and `slots`.

-- A request for a proof: of a browser that signs in, or of a wallet. `purpose`: sign-in, issue, renew, retire.
-- `status`: 0 waits, 1 answered, 2 over, 3 refused.
CREATE TABLE requests (
    device      BLOB PRIMARY KEY,
    purpose     TEXT NOT NULL,
    challenge   BLOB NOT NULL,
    status      INTEGER NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 0,
    expires_at  INTEGER NOT NULL,
    -- The browser's side, of a sign-in.
    handle      BLOB UNIQUE,
    cookie      BLOB,
    client      TEXT,
    redirect_uri TEXT,
    state       TEXT,
    nonce       TEXT,
    code_challenge TEXT,
    -- The answer.
    subject     TEXT,
    disclosed   TEXT,
    answered_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_expiry ON requests (expires_at);

CREATE TABLE codes (
    code        BLOB PRIMARY KEY,
    client      TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    nonce       TEXT,
    code_challenge TEXT NOT NULL,
    subject     TEXT NOT NULL,
    disclosed   TEXT NOT NULL,
    auth_time   INTEGER NOT NULL,
    used        INTEGER NOT NULL DEFAULT 0,
    -- Good until then; kept longer, so that a replay is known.
    expires_at  INTEGER NOT NULL,
    forget_after INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    token       BLOB PRIMARY KEY,
    code        BLOB NOT NULL,
    client      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    disclosed   TEXT NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_code ON tokens (code);

-- Where each person is admitted once: who was.
CREATE TABLE admitted (
    scope       BLOB NOT NULL,
    subject     TEXT NOT NULL,
    PRIMARY KEY (scope, subject)
) STRICT, WITHOUT ROWID;
