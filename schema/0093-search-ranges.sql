-- Stretches of rooms that the search index does not follow by the log: history that was fetched from
-- other servers, and events whose redaction came before them. Each is indexed (again) and dropped.
CREATE TABLE search_ranges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    room bigint NOT NULL,
    first bigint NOT NULL, -- positions of events, both included
    last bigint NOT NULL
);

-- The history that is here, and in no index yet.
INSERT INTO search_ranges (room, first, last)
SELECT room, min(position), max(position) FROM events
WHERE position < 0 AND position > -2305843009213693952 GROUP BY room;
