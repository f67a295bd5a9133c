-- Events of other servers whose parents or auth events are not here yet (federation/in/gap.c). Checked
-- for format, hash and signatures, acknowledged, and not yet judged.
CREATE TABLE inbound_pdus (
    id bigserial PRIMARY KEY,
    room bigint NOT NULL,
    event_id bytea NOT NULL,     -- as in events.event_id
    origin text NOT NULL,        -- the server that sent it
    depth bigint NOT NULL,
    received_ts bigint NOT NULL,
    json bytea NOT NULL          -- canonical PDU
);
CREATE UNIQUE INDEX inbound_pdus_by_event ON inbound_pdus (room, origin, event_id);
CREATE INDEX inbound_pdus_by_depth ON inbound_pdus (room, origin, depth, id);
CREATE INDEX inbound_pdus_by_origin ON inbound_pdus (origin, id);
