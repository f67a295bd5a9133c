-- References to events that are off the timeline: such an event may move into it (storage/rooms/event_refs.h).
CREATE INDEX events_by_late_thread ON events (thread) WHERE thread <= -2305843009213693952;
CREATE INDEX push_actions_by_late_thread ON push_actions (thread) WHERE thread <= -2305843009213693952;
CREATE INDEX receipts_by_late_event ON receipts (event) WHERE event <= -2305843009213693952;

-- Threads whose root has moved already.
UPDATE events c SET thread = root.position FROM relations r JOIN events root ON root.event_id = r.parent
WHERE c.thread <= -2305843009213693952 AND r.child = c.position AND r.rel_type = 'm.thread'
AND root.position <> c.thread;
UPDATE push_actions a SET thread = e.thread FROM events e
WHERE a.thread <= -2305843009213693952 AND e.position = a.event AND e.thread <> a.thread;
