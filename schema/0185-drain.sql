-- Set by whoever wants the node to stop, and by the node itself when it does (storage/nodes/node_list.h).
ALTER TABLE nodes ADD COLUMN is_draining boolean NOT NULL DEFAULT false;
