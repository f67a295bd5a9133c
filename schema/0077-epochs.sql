-- Epochs: which history of the log a position belongs to (storage/db/epochs.h). After a restore, or a
-- failover that lost transactions, the positions behind it are given out a second time.
CREATE TABLE log_epochs (
    number bigint PRIMARY KEY,        -- 0, 1, ...: their order
    epoch bigint NOT NULL UNIQUE,     -- random
    begins bigint NOT NULL,           -- the head of the log at its beginning
    history_begins bigint NOT NULL,   -- the lowest position of fetched history then; 0: there was none
    stream_offset bigint NOT NULL     -- see epochs_stream_id()
);
INSERT INTO log_epochs VALUES (0, 0, 0, 0, 0);

-- The epoch that goes on: who has begun another one in vain, or an older one, commits nothing.
ALTER TABLE log_head ADD COLUMN epoch bigint NOT NULL DEFAULT 0;

CREATE FUNCTION log_refuse() RETURNS bigint LANGUAGE plpgsql AS
$$
BEGIN
    RAISE EXCEPTION 'another process has begun an epoch of the log';
END
$$;
