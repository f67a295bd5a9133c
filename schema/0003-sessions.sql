-- What lives for minutes: steps of User-Interactive Authentication and single-use secrets. Ids and
-- secrets are kept as SHA-256, as in 0002-accounts.sql.

CREATE TABLE uia_sessions (
    session bytea PRIMARY KEY,
    operation bytea NOT NULL,    -- hash of method, path and user: a session is good for nothing else
    "user" bigint NOT NULL,      -- who asks; 0: somebody who registers
    completed text[] NOT NULL,   -- stages
    registration_token text,     -- the one that was shown in its stage
    expires_ts bigint NOT NULL
);
CREATE INDEX uia_sessions_by_expiry ON uia_sessions (expires_ts);

CREATE TABLE passes (
    token bytea PRIMARY KEY,
    kind smallint NOT NULL,      -- enum pass_kind in storage/users/passes.h
    "user" bigint NOT NULL,      -- 0: nobody's
    expires_ts bigint NOT NULL
);
CREATE INDEX passes_by_expiry ON passes (expires_ts);
CREATE INDEX passes_by_user ON passes ("user");
