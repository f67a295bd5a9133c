-- A refresh token that was used and used again means that two have it: then all tokens that came from
-- it end, so it must be known after its end, too. Until then a repetition gets the same new tokens,
-- which are made of the old one and a secret that is kept with it.
ALTER TABLE refresh_tokens ADD COLUMN secret bytea;    -- NULL: not used yet
ALTER TABLE refresh_tokens ADD COLUMN ended_ts bigint; -- NULL: works
