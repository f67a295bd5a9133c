-- The log: every change that anybody can be told later has one position, in commit order.

CREATE TABLE log_head (
    position bigint NOT NULL,
    -- Whose batch came last: tells a node that lost its connection in the middle of a commit
    -- whether it happened.
    node bigint NOT NULL,
    batch bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO log_head VALUES (0, 0, 0);

-- Writers know a change's distance from the head of their own transaction, not its position.
CREATE FUNCTION log_at(back bigint) RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT position - back FROM log_head $$;

-- Makes a transaction fail when a statement touched fewer rows than it must (version checks). On hot
-- paths it is only called when that is so: CASE WHEN got = wanted THEN true ELSE expect_rows(...) END.
CREATE FUNCTION expect_rows(got bigint, wanted bigint) RETURNS boolean LANGUAGE plpgsql AS
$$
BEGIN
    IF got <> wanted THEN
        RAISE EXCEPTION 'another writer was first' USING ERRCODE = '40001';
    END IF;
    RETURN true;
END
$$;

-- Names that recur get a small number: users of every server, and event types.
CREATE TABLE users (
    id bigserial PRIMARY KEY,
    user_id text NOT NULL UNIQUE
);

CREATE TABLE event_types (
    id bigserial PRIMARY KEY,
    type text NOT NULL UNIQUE
);
INSERT INTO event_types (type) VALUES -- their numbers are constants in storage/rooms/events.h
    ('m.room.member'), ('m.room.create'), ('m.room.message'), ('m.room.encrypted'),
    ('m.room.redaction'), ('m.reaction'), ('m.room.power_levels'), ('m.room.join_rules'),
    ('m.room.name'), ('m.room.topic'), ('m.room.avatar'), ('m.room.canonical_alias'),
    ('m.room.history_visibility'), ('m.room.guest_access'), ('m.room.encryption'),
    ('m.room.tombstone'), ('m.room.server_acl'), ('m.room.third_party_invite'),
    ('m.space.child'), ('m.space.parent');

CREATE TABLE rooms (
    id bigserial PRIMARY KEY,
    room_id text NOT NULL UNIQUE,
    room_version text NOT NULL,
    -- Names the head, unlike any other that the room ever had or almost had: a writer says which
    -- one it built upon, and loses (expect_rows) when that is not the head any more.
    version bigint NOT NULL,
    depth bigint NOT NULL,
    extremities bytea[] NOT NULL,      -- forward extremities: event ids as in events.event_id
    notify_total bigint NOT NULL,      -- events that notify everybody so far ...
    highlight_total bigint NOT NULL,   -- ... and those that highlight for everybody
    is_published boolean NOT NULL DEFAULT false -- in the public directory
) WITH (fillfactor = 70);
CREATE INDEX rooms_published ON rooms (id) WHERE is_published;

CREATE TABLE events (
    position bigint PRIMARY KEY,
    room bigint NOT NULL,
    sender bigint NOT NULL,
    type bigint NOT NULL,
    thread bigint NOT NULL,          -- position of the thread's root; 0: main timeline
    notify_total bigint NOT NULL,    -- the room's counters including this event
    highlight_total bigint NOT NULL,
    redacted_by bigint,              -- position of the redaction; json is then the redacted form
    client_device bigint,            -- device row that sent it, and ...
    client_txn text,                 -- ... its transaction id, shown to that device alone
    is_state boolean NOT NULL,
    event_id bytea NOT NULL,         -- the hash (room versions 3 and later) or the id as text
    json bytea NOT NULL              -- canonical PDU
);
CREATE UNIQUE INDEX events_by_id ON events (event_id);
CREATE INDEX events_by_room ON events (room, position);
CREATE INDEX events_by_thread ON events (room, thread, position) WHERE thread > 0;

-- A repeated transaction id returns the first event. The key is a hash of the endpoint's path.
CREATE TABLE event_txns (
    device bigint NOT NULL,
    txn bytea NOT NULL,
    event bigint NOT NULL,
    PRIMARY KEY (device, txn)
);
CREATE INDEX event_txns_by_event ON event_txns USING brin (event); -- for removing old ones

-- State as intervals: one row for each change of a room's current state.
CREATE TABLE room_state (
    room bigint NOT NULL,
    type bigint NOT NULL,
    state_key text NOT NULL,
    event bigint NOT NULL,       -- position of the state event
    valid_from bigint NOT NULL,
    valid_to bigint NOT NULL,    -- position of what replaced it; the largest bigint: current
    PRIMARY KEY (room, type, state_key, valid_from)
);
CREATE INDEX room_state_by_end ON room_state (room, valid_to, type);
CREATE INDEX room_state_by_start ON room_state (room, valid_from);

-- The current membership of each user, also readable from the user's side.
CREATE TABLE room_members (
    room bigint NOT NULL,
    "user" bigint NOT NULL,
    membership smallint NOT NULL, -- enum membership in storage/rooms/members.h
    event bigint NOT NULL,        -- position of the member event
    is_local boolean NOT NULL,
    forgotten boolean NOT NULL DEFAULT false,
    stripped bytea,               -- invite_room_state or knock_room_state, a JSON array
    PRIMARY KEY (room, "user")
);
CREATE INDEX room_members_by_user ON room_members ("user", membership);

CREATE TABLE relations (
    parent bytea NOT NULL,       -- event id
    child bigint NOT NULL,       -- position
    room bigint NOT NULL,
    sender bigint NOT NULL,
    type bigint NOT NULL,
    rel_type text NOT NULL,
    key text,                    -- of annotations
    PRIMARY KEY (parent, rel_type, child)
);
CREATE INDEX relations_by_child ON relations (child);

-- What an event means to a user beyond what it means to every member (mentions, own push rules):
-- added to the difference of the room's counters.
CREATE TABLE push_actions (
    "user" bigint NOT NULL,
    room bigint NOT NULL,
    event bigint NOT NULL,
    thread bigint NOT NULL,
    notify smallint NOT NULL,
    highlight smallint NOT NULL,
    PRIMARY KEY ("user", room, event)
);

CREATE TABLE receipts (
    room bigint NOT NULL,
    "user" bigint NOT NULL,
    type smallint NOT NULL,      -- enum receipt_type in storage/users/receipts.h
    thread text NOT NULL,        -- '' unthreaded, 'main', or the root's event id
    event_id text NOT NULL,
    event bigint NOT NULL,       -- its position
    ts bigint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (room, "user", type, thread)
) WITH (fillfactor = 80);
CREATE INDEX receipts_by_room ON receipts (room, position);

CREATE TABLE account_data (
    "user" bigint NOT NULL,
    room bigint NOT NULL,        -- 0: global
    type text NOT NULL,
    content bytea NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY ("user", room, type)
);
CREATE INDEX account_data_by_position ON account_data ("user", position);

CREATE TABLE to_device (
    device bigint NOT NULL,      -- devices.id
    position bigint NOT NULL,
    json bytea NOT NULL,         -- the whole event: sender, type, content
    PRIMARY KEY (device, position)
);

-- The newest change of each user's devices or cross-signing keys.
CREATE TABLE device_list_changes (
    "user" bigint PRIMARY KEY,
    position bigint NOT NULL
);
CREATE INDEX device_list_changes_by_position ON device_list_changes (position);
