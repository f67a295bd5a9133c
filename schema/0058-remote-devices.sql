-- Device lists across servers.

-- What other servers are told of our users: each change of a device (device_id '': of the
-- cross-signing keys), one row however many servers. A chain: the change before one is the user's
-- with the next lower position.
CREATE TABLE device_changes (
    "user" bigint NOT NULL,
    position bigint NOT NULL,
    device_id text NOT NULL,
    PRIMARY KEY ("user", position)
);
CREATE INDEX device_changes_by_position ON device_changes (position);

-- What we know of the device lists of other servers' users. The keys themselves are in device_keys,
-- cross_signing_keys and key_signatures.
CREATE TABLE remote_device_lists (
    "user" bigint PRIMARY KEY,
    server text NOT NULL,
    state smallint NOT NULL,     -- enum remote_list_state in storage/devices/remote_devices.h
    stream_id bigint,            -- of the newest update that is in it; NULL: their server did not say
    complete_at bigint NOT NULL, -- position of the log when their server told all of it
    touched bigint NOT NULL,     -- counts updates, so that an older answer is not taken for newer
    failures int NOT NULL DEFAULT 0,
    retry_ts bigint NOT NULL DEFAULT 0 -- when to ask for a stale one
) WITH (fillfactor = 80);
CREATE INDEX remote_device_lists_stale ON remote_device_lists (retry_ts) WHERE state = 1;

-- Is one of our users in the room?
CREATE INDEX room_members_local ON room_members (room) WHERE is_local AND membership = 1;

-- To-device messages that came: a server that repeats one is not heard twice.
CREATE TABLE to_device_received (
    message bytea PRIMARY KEY,   -- hash of the server and its message_id
    ts bigint NOT NULL
);
CREATE INDEX to_device_received_by_ts ON to_device_received USING brin (ts); -- for removing old ones
