-- Where the log stood at what time, about once an hour: what is kept for a time is removed by it.
CREATE TABLE log_times (
    position bigint NOT NULL,
    ts bigint PRIMARY KEY -- ms
);
