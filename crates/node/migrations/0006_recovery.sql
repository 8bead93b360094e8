-- Recovery: guardians, recoveries and those that did not begin, devices that were replaced. The log and the events tell the rest.

-- A member's guardians: public halves of their shares, and from when to when each counts. `name` is how a new device asks.
CREATE TABLE guardians (
    member BLOB PRIMARY KEY REFERENCES members (member),
    name   BLOB NOT NULL UNIQUE,
    body   BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Recoveries, named by the operation that began them. state: 0 waits, 1 vetoed, 2 finished, 3 overtaken by another.
-- `reply` is the key to which the end's gifts are sealed.
CREATE TABLE recoveries (
    id        BLOB PRIMARY KEY,
    member    BLOB NOT NULL REFERENCES members (member),
    device    BLOB NOT NULL,
    reply     BLOB NOT NULL,
    approvals INTEGER NOT NULL,
    compared  INTEGER NOT NULL,
    can_veto  INTEGER NOT NULL,
    since     INTEGER NOT NULL,
    opens_at  INTEGER NOT NULL,
    closes_at INTEGER NOT NULL,
    state     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX recoveries_by_member ON recoveries (member, since);
CREATE INDEX recoveries_by_age ON recoveries (closes_at);

-- Attempts that failed, for the charter's rate.
CREATE TABLE recovery_faults (
    operation BLOB PRIMARY KEY,
    member    BLOB NOT NULL REFERENCES members (member),
    at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_faults_by_member ON recovery_faults (member, at);
CREATE INDEX recovery_faults_by_age ON recovery_faults (at);

-- Devices that were a member's before a recovery. They are nobody's for as long as the member stays.
CREATE TABLE former_devices (
    device BLOB PRIMARY KEY,
    member BLOB NOT NULL REFERENCES members (member),
    since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX former_devices_by_member ON former_devices (member);
