-- Backups that were deleted, while keys of them are still here: those go in the background.
CREATE TABLE key_backups_gone (
    "user" bigint NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY ("user", version)
);
