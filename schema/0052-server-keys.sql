-- The signing keys of other servers (federation/keys/keyring.h). A key stays for ever: old events are
-- checked with it long after its server has forgotten it.

CREATE TABLE server_keys (
    server text NOT NULL,
    key_id text NOT NULL,           -- ed25519:...
    public_key text NOT NULL,       -- base64
    valid_until_ts bigint NOT NULL, -- what was signed later needs a newer answer, or another key
    PRIMARY KEY (server, key_id)
);

-- The newest answer of each server, as it was signed: for those who ask us as a notary.
CREATE TABLE server_key_responses (
    server text PRIMARY KEY,
    fetched_ts bigint NOT NULL,
    valid_until_ts bigint NOT NULL,
    response bytea NOT NULL
);
