-- Notifications are sent by one node for each slice of users (server/push/push.h). A pusher's cursor is sent_position
-- while it is behind, and otherwise the position of its slice, if that is later.
CREATE TABLE push_slices (
    slice int PRIMARY KEY,       -- of the lease "pushes"
    position bigint NOT NULL     -- all that notifies its users up to here was sent, or its pusher is behind
) WITH (fillfactor = 50);

ALTER TABLE pushers
    ADD COLUMN is_behind boolean NOT NULL DEFAULT false,
    ADD COLUMN set_ts bigint NOT NULL DEFAULT 0;         -- when its app set it last, in ms since 1970
CREATE INDEX pushers_by_slice ON pushers (("user" % 32));
