-- The media repository. Content lies outside of the database, once for each SHA-256
-- (server/media/content.h); a row names it.

CREATE TABLE media (
    server text NOT NULL,        -- mxc://SERVER/MEDIA_ID
    media_id text NOT NULL,
    uploader bigint,             -- local user; NULL: not ours
    sha256 bytea,                -- NULL: announced by /create and not uploaded yet
    bytes bigint NOT NULL DEFAULT 0,
    content_type text,
    file_name text,              -- NULL: none was given
    created_ts bigint NOT NULL,
    expires_ts bigint NOT NULL DEFAULT 0, -- while nothing is uploaded
    authenticated boolean NOT NULL,       -- came after the freeze of the unauthenticated endpoints
    PRIMARY KEY (server, media_id)
);
CREATE INDEX media_by_content ON media (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX media_by_uploader ON media (uploader, created_ts) WHERE uploader IS NOT NULL;
CREATE INDEX media_pending ON media (uploader) WHERE sha256 IS NULL;

-- How much each local user has uploaded, for the quota.
CREATE TABLE media_usage (
    "user" bigint PRIMARY KEY,
    bytes bigint NOT NULL
) WITH (fillfactor = 80);
