-- Our users who left a room elsewhere (rejected an invite, took back a knock) while no server of it
-- answered. The row goes when one of them was told.
CREATE TABLE untold_leaves (
    room bigint NOT NULL,
    "user" bigint NOT NULL,
    reason text,
    since_ts bigint NOT NULL,
    servers text[] NOT NULL,
    PRIMARY KEY (room, "user")
);
