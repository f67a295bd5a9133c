-- What rooms are called, and what was reported to the operator.

CREATE TABLE room_aliases (
    alias text PRIMARY KEY,      -- of this server
    room bigint NOT NULL,
    creator bigint NOT NULL,     -- users.id
    created_ts bigint NOT NULL
);
CREATE INDEX room_aliases_by_room ON room_aliases (room, alias);

CREATE TABLE reports (
    id bigserial PRIMARY KEY,
    reporter bigint NOT NULL,    -- users.id
    room_id text,                -- of a room or an event ...
    event_id text,
    user_id text,                -- ... or a user
    reason text,
    created_ts bigint NOT NULL
);
