-- Events that did not extend the head of a room when they came: of forks, from before our joining,
-- and those that other servers told of beside the timeline (docs/architecture.md, "State").
--
-- events.position says where an event stands:
--   > 0                 in the log, in the order of arrival;
--   < 0 and > -2^61     history that was fetched later: the older, the lower;
--   <= -2^61            aside: in no timeline.

ALTER TABLE events ADD COLUMN status smallint NOT NULL DEFAULT 0; -- enum event_status in storage/rooms/events.h
CREATE SEQUENCE events_history_seq INCREMENT -1 MINVALUE -2305843009213693951 MAXVALUE -1 START -1;
CREATE SEQUENCE events_aside_seq INCREMENT -1 MINVALUE -9223372036854775807
    MAXVALUE -2305843009213693952 START -2305843009213693952;

-- Where our server entered the room through another one; 0: it was made here.
ALTER TABLE rooms ADD COLUMN entered bigint NOT NULL DEFAULT 0; -- position

-- A member event may be older than the membership that it made here.
ALTER TABLE room_members ADD COLUMN since bigint NOT NULL DEFAULT 0; -- position
UPDATE room_members SET since = event;

-- The state before an event, where it is not the current state of its moment: the intervals at a
-- base position, and what differs from them. Most events of a fork share one.
CREATE TABLE state_refs (
    id bigserial PRIMARY KEY,
    room bigint NOT NULL,
    base bigint NOT NULL,        -- position
    parent bigint NOT NULL       -- a reference of the same base that this one differs from; 0: none
);
CREATE TABLE state_ref_entries (
    ref bigint NOT NULL,
    type bigint NOT NULL,
    state_key text NOT NULL,
    event bigint NOT NULL,       -- position; 0: there is no such state
    PRIMARY KEY (ref, type, state_key)
);
CREATE INDEX state_ref_entries_by_event ON state_ref_entries (event);
CREATE TABLE event_states (
    event bigint PRIMARY KEY,    -- position
    ref bigint NOT NULL
);

-- Redactions whose target is not here yet.
CREATE TABLE pending_redactions (
    target bytea NOT NULL,       -- event id
    redaction bytea NOT NULL,
    room bigint NOT NULL,
    PRIMARY KEY (target, redaction)
);

-- Where history ends: events of a timeline some of whose prev events are not here.
CREATE TABLE history_ends (
    room bigint NOT NULL,
    position bigint NOT NULL,    -- of the event
    missing bytea[] NOT NULL,    -- event ids
    PRIMARY KEY (room, position)
);

-- Rooms that were entered before their member list had come.
CREATE TABLE partial_rooms (
    room bigint PRIMARY KEY,
    position bigint NOT NULL,    -- of the join that entered it
    join_event text NOT NULL,
    resident text NOT NULL,      -- whom to ask for the rest
    servers text[] NOT NULL      -- those in the room, as it told
);

-- Which rooms a server is in.
CREATE INDEX users_by_server ON users (substr(user_id, strpos(user_id, ':') + 1));
