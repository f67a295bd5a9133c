-- Thumbnails are files (server/media/content.h); a row says what one takes and when it was sent last,
-- about. All of them: media_usage of user -1. Older ones get their rows when they are sent.
CREATE TABLE thumbnails (
    sha256 bytea NOT NULL,       -- of the original
    variant text NOT NULL,       -- "96x96-crop"
    bytes bigint NOT NULL,
    accessed_ts bigint NOT NULL,
    PRIMARY KEY (sha256, variant)
);
CREATE INDEX thumbnails_by_access ON thumbnails (accessed_ts);
