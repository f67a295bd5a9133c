-- What the keys of a backup take, so that a user's can be bounded. NULL: not counted yet.
ALTER TABLE key_backups ADD COLUMN bytes bigint;
ALTER TABLE key_backups ALTER COLUMN bytes SET DEFAULT 0;
