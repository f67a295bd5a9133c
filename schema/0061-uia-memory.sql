-- What a session of User-Interactive Authentication remembers. Parameters (among them passwords) and the
-- answer (tokens) are sealed with a key made of the session's id, which is not in the database.
ALTER TABLE uia_sessions ADD COLUMN flows text[];   -- stages with spaces between; NULL: not known
ALTER TABLE uia_sessions ADD COLUMN params bytea;   -- what the requests before said
ALTER TABLE uia_sessions ADD COLUMN answer bytea;   -- of the finished operation
