-- What was tried with somebody's code, until their device hears of it at the next sign-in at the same client.
CREATE TABLE notes (
    client      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    at          INTEGER NOT NULL,
    what        TEXT NOT NULL,
    forget_after INTEGER NOT NULL
) STRICT;
CREATE INDEX notes_by_subject ON notes (client, subject);
