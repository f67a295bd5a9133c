-- Local accounts, their devices and tokens, profiles.

CREATE TABLE accounts (
    "user" bigint PRIMARY KEY,
    password_hash text,          -- argon2id, or a crypt(3) hash of an imported user; NULL: none
    is_admin boolean NOT NULL DEFAULT false,
    is_guest boolean NOT NULL DEFAULT false,
    deactivated boolean NOT NULL DEFAULT false,
    erased boolean NOT NULL DEFAULT false,
    locked boolean NOT NULL DEFAULT false,
    suspended boolean NOT NULL DEFAULT false,
    parting boolean NOT NULL DEFAULT false, -- deactivated, and still has rooms to leave
    created_ts bigint NOT NULL,
    position bigint NOT NULL DEFAULT 0 -- of the newest CHANGE_ACCOUNT: nodes forget cached tokens
);
CREATE INDEX accounts_by_position ON accounts (position);
CREATE INDEX accounts_parting ON accounts ("user") WHERE parting;

CREATE TABLE devices (
    id bigserial PRIMARY KEY,
    "user" bigint NOT NULL,
    device_id text NOT NULL,
    display_name text,
    last_seen_ts bigint NOT NULL DEFAULT 0,
    last_seen_ip text,
    created_ts bigint NOT NULL,
    UNIQUE ("user", device_id)
);

-- Tokens are kept as SHA-256: whoever reads the database cannot sign in.
CREATE TABLE access_tokens (
    token bytea PRIMARY KEY,
    device bigint NOT NULL,
    "user" bigint NOT NULL,
    expires_ts bigint NOT NULL DEFAULT 0, -- 0: never
    fresh boolean NOT NULL DEFAULT false  -- from a refresh and not used yet: the refresh token that
                                          -- it was got with still works
);
CREATE INDEX access_tokens_by_device ON access_tokens (device);
CREATE INDEX access_tokens_by_user ON access_tokens ("user");

CREATE TABLE refresh_tokens (
    token bytea PRIMARY KEY,
    device bigint NOT NULL,
    "user" bigint NOT NULL,
    access_token bytea NOT NULL  -- the access token it came with
);
CREATE INDEX refresh_tokens_by_device ON refresh_tokens (device);
CREATE INDEX refresh_tokens_by_user ON refresh_tokens ("user");

CREATE TABLE registration_tokens (
    token text PRIMARY KEY,
    uses_allowed bigint,         -- NULL: any number
    completed bigint NOT NULL DEFAULT 0,
    expires_ts bigint            -- NULL: never
);

CREATE TABLE profiles (
    "user" bigint PRIMARY KEY,
    fields bytea NOT NULL,       -- JSON object: displayname, avatar_url and custom fields
    position bigint NOT NULL
);
CREATE INDEX profiles_by_position ON profiles (position);
