-- The one-time keys of a device that were given out, so that none is given out twice: a device whose
-- reply was lost uploads them again. The newest of each device are kept (storage/devices/one_time_keys.c).
CREATE TABLE claimed_one_time_keys (
    device bigint NOT NULL,
    name bytea NOT NULL,         -- the first half of the SHA-256 of 'algorithm:id'
    value bytea NOT NULL,        -- the same of its JSON
    number bigint NOT NULL,      -- as in one_time_keys
    is_fallback boolean NOT NULL, -- a fallback key that was given out and then replaced
    PRIMARY KEY (device, name)
);
