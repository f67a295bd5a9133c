-- Full text search over messages, room names and topics. Filled behind the log by a cursor
-- (rooms/read/search_index.h), so that sending pays nothing for it.
CREATE TABLE search_index (
    event bigint PRIMARY KEY,    -- position
    room bigint NOT NULL,
    key smallint NOT NULL,       -- enum search_key in storage/rooms/search.h
    words tsvector NOT NULL
);
CREATE INDEX search_index_by_words ON search_index USING gin (words);

CREATE TABLE search_cursor (position bigint NOT NULL) WITH (fillfactor = 10);
INSERT INTO search_cursor VALUES (0);
