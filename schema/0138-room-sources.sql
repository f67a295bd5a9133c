-- Whom a room is here for: the local user who made it or came into it first through another server,
-- or, below zero, the other server that had us note it (as in to_device_contents), until one of our
-- users is in it. NULL: from before this was noted.
ALTER TABLE rooms ADD COLUMN source bigint;
CREATE INDEX rooms_by_source ON rooms (source) WHERE source IS NOT NULL;
