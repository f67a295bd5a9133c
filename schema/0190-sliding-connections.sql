-- What sliding sync has sent on each connection of a device (server/sliding/connection.h): the newest state, and the
-- one before it, whose reply the client has received.
CREATE TABLE sliding_connections (
    device bigint NOT NULL,
    conn_id text NOT NULL,
    number bigint NOT NULL,          -- names the state
    state bytea NOT NULL,
    previous_number bigint NOT NULL, -- 0: none
    previous bytea NOT NULL,
    used_ts bigint NOT NULL,         -- ms; within a day
    PRIMARY KEY (device, conn_id)
);
CREATE INDEX sliding_connections_by_use ON sliding_connections (used_ts);
