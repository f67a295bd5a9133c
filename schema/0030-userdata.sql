-- What users keep besides account data: filters, presence, pushers.

CREATE TABLE filters (
    id bigserial PRIMARY KEY,    -- what clients call it; it never changes
    "user" bigint NOT NULL,
    hash bytea NOT NULL,         -- SHA-256 of json: the same filter is stored once
    json bytea NOT NULL,
    UNIQUE ("user", hash)
);

CREATE TABLE presence (
    "user" bigint PRIMARY KEY,
    state smallint NOT NULL,     -- enum presence_state in storage/users/presence.h
    status_msg text,
    last_active_ts bigint NOT NULL,
    position bigint NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX presence_by_position ON presence (position);

CREATE TABLE pushers (
    id bigserial PRIMARY KEY,
    "user" bigint NOT NULL,
    device bigint NOT NULL,      -- devices.id of whoever made it
    app_id text NOT NULL,
    pushkey text NOT NULL,
    json bytea NOT NULL,         -- as GET /pushers shows it
    sent_position bigint NOT NULL, -- the cursor: what was notified so far
    UNIQUE (app_id, pushkey, "user")
);
CREATE INDEX pushers_by_user ON pushers ("user");
