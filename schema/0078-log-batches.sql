-- What a process other than the server committed (a command), as the changes that it published: the
-- server reads them when it finds the head of the log moved, and so needs to forget nothing.
CREATE TABLE log_batches (
    first bigint PRIMARY KEY,    -- positions of its changes
    last bigint NOT NULL,
    changes bytea NOT NULL,      -- storage/db/log_batches.c
    written_at timestamptz NOT NULL DEFAULT now()
);
