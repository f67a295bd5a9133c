-- When media of other servers was last sent to somebody, to the hour or so. What is here now counts as
-- sent now.
ALTER TABLE media
    ADD COLUMN accessed_ts bigint NOT NULL DEFAULT (extract(epoch FROM now()) * 1000)::bigint;
ALTER TABLE media ALTER COLUMN accessed_ts SET DEFAULT 0;
CREATE INDEX media_remote_by_access ON media (accessed_ts) WHERE uploader IS NULL;

-- How much all of it is: user 0.
INSERT INTO media_usage ("user", bytes)
    SELECT 0, COALESCE(sum(bytes), 0) FROM media WHERE uploader IS NULL
    ON CONFLICT ("user") DO NOTHING;
