-- Other servers, and how far on the log each has been told (docs/architecture.md, "One log, many
-- cursors").

CREATE TABLE destinations (
    server text PRIMARY KEY,
    sent_position bigint NOT NULL,       -- the cursor: everything up to here was acknowledged
    failing_since_ts bigint NOT NULL DEFAULT 0, -- 0: it answers
    retry_at_ts bigint NOT NULL DEFAULT 0,
    retry_interval_ms bigint NOT NULL DEFAULT 0,
    last_success_ts bigint NOT NULL DEFAULT 0,
    last_error text,
    asked smallint NOT NULL DEFAULT 0    -- enum destination_asked in storage/destinations.h
) WITH (fillfactor = 50);

-- The part of a user id behind the first colon.
CREATE FUNCTION server_of(user_id text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT substr(user_id, strpos(user_id, ':') + 1) $$;

-- From when to when each of a server's users was joined to a room, as far as it ended after a
-- position. While the members of a room are not all known, whom its resident server named is there.
CREATE FUNCTION server_stays(of_server text, after bigint)
RETURNS TABLE (room bigint, valid_from bigint, valid_to bigint) LANGUAGE sql STABLE AS
$$
    SELECT m.room, s.valid_from, s.valid_to
    FROM users u
    JOIN room_members m ON m."user" = u.id
    JOIN room_state s ON s.room = m.room AND s.type = 1 AND s.state_key = u.user_id
    JOIN events e ON e.position = s.event
    WHERE server_of(u.user_id) = of_server AND s.valid_to > after
      AND convert_from(e.json, 'UTF8')::json #>> '{content,membership}' = 'join'
    UNION ALL
    SELECT p.room, p.position, 9223372036854775807 FROM partial_rooms p
    WHERE of_server = ANY (p.servers)
$$;
