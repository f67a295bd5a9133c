-- The servers that use this database now (storage/nodes/log_view.h).
CREATE TABLE nodes (
    id bigint PRIMARY KEY,            -- random, of one start of the process
    host text NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,     -- its last sign of life, by this clock
    members bigint NOT NULL,          -- the list of nodes that it knows: log_head.members
    position bigint NOT NULL          -- it has published all changes up to here
);

-- Grows when a node comes or goes. A commit names the list that it knows, so that no node commits
-- without a row in log_batches once another one has come.
ALTER TABLE log_head ADD COLUMN members bigint NOT NULL DEFAULT 0;

-- Whose batch it is: a node publishes its own from memory.
ALTER TABLE log_batches ADD COLUMN node bigint NOT NULL DEFAULT 0, ADD COLUMN batch bigint NOT NULL DEFAULT 0;
