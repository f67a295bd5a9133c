-- What goes to many devices is stored once, and each of them has a row that refers to it. `source`
-- says who caused what waits (a user of ours; below zero: another server), so that it can be bounded.
CREATE TABLE to_device_contents (
    position bigint PRIMARY KEY,  -- of the first message that refers to it
    source bigint NOT NULL,
    json bytea NOT NULL           -- the whole event: sender, type, content
);
CREATE INDEX to_device_contents_by_source ON to_device_contents (source, position);

ALTER TABLE to_device ALTER COLUMN json DROP NOT NULL; -- NULL: see content
ALTER TABLE to_device ADD COLUMN content bigint;       -- to_device_contents.position
ALTER TABLE to_device ADD COLUMN source bigint;        -- NULL: from before this was noted
CREATE INDEX to_device_by_content ON to_device (content) WHERE content IS NOT NULL;
CREATE INDEX to_device_by_source ON to_device (source, position) WHERE source IS NOT NULL;

ALTER TABLE to_device_outbound ADD COLUMN source bigint;
CREATE INDEX to_device_outbound_by_source ON to_device_outbound (source, position)
    WHERE source IS NOT NULL;

-- Devices that are gone, while messages for them are still here: those go in the background.
CREATE TABLE to_device_gone (device bigint PRIMARY KEY);
