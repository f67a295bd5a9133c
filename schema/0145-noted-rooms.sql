-- Rooms that are known here by invites, knocks or joins that failed, and that none of our users has
-- been in: the position of the log when it was last made sure that they are still wanted.
ALTER TABLE rooms ADD COLUMN noted bigint;
CREATE INDEX rooms_noted ON rooms (noted) WHERE noted IS NOT NULL;
UPDATE rooms r SET noted = (SELECT position FROM log_head)
WHERE r.entered = 0 AND NOT EXISTS (SELECT FROM room_state s WHERE s.room = r.id AND s.type = 2);
