-- What end-to-end encryption needs of the server: public keys, signatures, backups of room keys.

-- Device keys without `signatures` and `unsigned`, also of remote users as their servers gave them.
CREATE TABLE device_keys (
    "user" bigint NOT NULL,
    device_id text NOT NULL,
    display_name text,           -- of remote devices; that of local ones is in devices
    json bytea NOT NULL,         -- canonical
    PRIMARY KEY ("user", device_id)
);

CREATE TABLE cross_signing_keys (
    "user" bigint NOT NULL,
    kind smallint NOT NULL,      -- enum key_kind in storage/devices/e2ee_keys.h
    public_key text NOT NULL,
    json bytea NOT NULL,         -- canonical, without `signatures` and `unsigned`
    PRIMARY KEY ("user", kind)
);

-- Every signature of these keys: their own and those that others made. All were checked.
CREATE TABLE key_signatures (
    target bigint NOT NULL,      -- user whose key is signed
    target_key text NOT NULL,    -- device id or public cross-signing key
    signer bigint NOT NULL,      -- user who signed
    signer_key text NOT NULL,    -- 'ed25519:…'
    signature text NOT NULL,
    PRIMARY KEY (target, target_key, signer, signer_key)
);

-- The newest signature that a user made of each other user's key: news for the signer alone.
CREATE TABLE user_signature_changes (
    signer bigint NOT NULL,
    target bigint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (signer, target)
);

CREATE TABLE one_time_keys (
    device bigint NOT NULL,      -- devices.id
    algorithm text NOT NULL,
    number bigserial,            -- order of upload: the oldest is given out first
    key_id text NOT NULL,
    json bytea NOT NULL,
    PRIMARY KEY (device, algorithm, number)
);
CREATE UNIQUE INDEX one_time_keys_by_id ON one_time_keys (device, algorithm, key_id);

CREATE TABLE fallback_keys (
    device bigint NOT NULL,
    algorithm text NOT NULL,
    key_id text NOT NULL,
    json bytea NOT NULL,
    used boolean NOT NULL DEFAULT false,
    PRIMARY KEY (device, algorithm)
);

-- When the counts of a device's one-time or fallback keys changed last: nodes forget cached ones.
CREATE TABLE device_key_changes (
    device bigint PRIMARY KEY,
    position bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX device_key_changes_by_position ON device_key_changes (position);

-- A repeated /sendToDevice sends nothing. The key is a hash of the endpoint's path.
CREATE TABLE to_device_txns (
    device bigint NOT NULL,
    txn bytea NOT NULL,
    ts bigint NOT NULL,
    PRIMARY KEY (device, txn)
);
CREATE INDEX to_device_txns_by_ts ON to_device_txns USING brin (ts); -- for removing old ones

-- To-device messages for other servers: one row for each server, however many devices it has there.
CREATE TABLE to_device_outbound (
    server text NOT NULL,
    position bigint NOT NULL,
    json bytea NOT NULL,         -- content of the m.direct_to_device EDU
    PRIMARY KEY (server, position)
);

CREATE TABLE key_backups (
    "user" bigint NOT NULL,
    version bigint NOT NULL,     -- 1, 2, … for each user
    algorithm text NOT NULL,
    auth_data bytea NOT NULL,
    etag bigint NOT NULL DEFAULT 0,  -- how often its keys were changed
    count bigint NOT NULL DEFAULT 0, -- of its keys
    deleted boolean NOT NULL DEFAULT false, -- the row stays, so that no version comes twice
    PRIMARY KEY ("user", version)
);

CREATE TABLE key_backup_sessions (
    "user" bigint NOT NULL,
    version bigint NOT NULL,
    room_id text NOT NULL,
    session_id text NOT NULL,
    first_message_index bigint NOT NULL,
    forwarded_count bigint NOT NULL,
    is_verified boolean NOT NULL,
    session_data bytea NOT NULL,
    PRIMARY KEY ("user", version, room_id, session_id)
);

-- MSC3814: a device that receives room keys while its user has no other.
CREATE TABLE dehydrated_devices (
    "user" bigint PRIMARY KEY,
    device bigint NOT NULL,
    device_data bytea NOT NULL
);

-- Was the user joined to the room after the change at this position?
CREATE FUNCTION was_joined(in_room bigint, of_user text, at bigint) RETURNS boolean
LANGUAGE sql STABLE AS
$$
    SELECT EXISTS (
        SELECT FROM room_state s JOIN events e ON e.position = s.event
        WHERE s.room = in_room AND s.type = 1 AND s.state_key = of_user
          AND s.valid_from <= at AND s.valid_to > at
          AND convert_from(e.json, 'UTF8')::json #>> '{content,membership}' = 'join')
$$;
