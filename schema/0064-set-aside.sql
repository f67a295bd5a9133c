-- What another server refused though it took other things: events and EDUs that were found by dividing
-- the refused transaction (federation/out/sender_divide.c). The operator can have them sent again.

CREATE TABLE federation_set_aside (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server text NOT NULL,
    position bigint NOT NULL,   -- where in the log it stood
    type text NOT NULL,         -- of the event or of the EDU
    event_id text NOT NULL,     -- '' for an EDU
    json bytea NOT NULL,        -- the PDU or the EDU, as it was sent
    since_ts bigint NOT NULL,
    answer text NOT NULL,       -- what the server said
    asked boolean NOT NULL      -- it is to be sent again
);
CREATE INDEX federation_set_aside_of_server ON federation_set_aside (server, id);

-- How often in a row the same transaction was refused.
ALTER TABLE destinations ADD COLUMN refusals int NOT NULL DEFAULT 0;
