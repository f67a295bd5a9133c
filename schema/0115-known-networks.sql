-- From where users have signed in lately: wrong passwords that come from elsewhere do not keep them
-- out there (server/account/attempts.h).
CREATE TABLE known_networks (
    "user" bigint NOT NULL,
    network text NOT NULL, -- an address, or the first of a /64
    seen_ts bigint NOT NULL,
    PRIMARY KEY ("user", network)
);
CREATE INDEX known_networks_by_ts ON known_networks (seen_ts);
