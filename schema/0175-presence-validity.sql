-- Until when a node knows the state to be that, in ms since 1970: while several nodes live, each renews it for the users
-- that are active on it, and one of them ends the states of users that are active on none.
ALTER TABLE presence ADD COLUMN valid_until bigint NOT NULL DEFAULT 0;
