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
    asked smallint NOT NULL DEFAULT 0    -- enum destination_asked in storage/servers/destinations.h
) WITH (fillfactor = 50);

-- The part of a user id behind the first colon.
CREATE FUNCTION server_of(user_id text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT substr(user_id, strpos(user_id, ':') + 1) $$;

-- Both of these walk from a server's users to their rooms by index, however much the planner thinks
-- of reading whole tables: what they set keeps it from that, and from inlining them; "+ 0" keeps it
-- from indexes that lead through all members of a room.

-- From when to when each of a server's users was joined to a room, as far as it ended after a
-- position. While the members of a room are not all known, whom its resident server named is there.
CREATE FUNCTION server_stays(of_server text, after bigint)
RETURNS TABLE (room bigint, valid_from bigint, valid_to bigint) LANGUAGE sql STABLE ROWS 1000
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS
$$
    SELECT m.room, s.valid_from, s.valid_to
    FROM users u
    JOIN room_members m ON m."user" = u.id
    JOIN room_state s ON s.room = m.room AND s.type = 1 AND s.state_key = u.user_id
        AND s.valid_to + 0 > after
    WHERE server_of(u.user_id) = of_server
      AND CASE WHEN s.valid_to = 9223372036854775807 THEN m.membership = 1
          ELSE (SELECT convert_from(e.json, 'UTF8')::json #>> '{content,membership}' = 'join'
                FROM events e WHERE e.position = s.event) END
    UNION ALL
    SELECT p.room, p.position, 9223372036854775807 FROM partial_rooms p
    WHERE of_server = ANY (p.servers)
$$;

-- Member events about a server's users in (after, until].
CREATE FUNCTION server_member_events(of_server text, after bigint, until bigint)
RETURNS SETOF events LANGUAGE sql STABLE ROWS 10
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS
$$
    SELECT e.* FROM users u
    JOIN room_members m ON m."user" = u.id
    JOIN room_state s ON s.room = m.room AND s.type = 1 AND s.state_key = u.user_id
        AND s.valid_from + 0 > after AND s.valid_from + 0 <= until
    JOIN events e ON e.position = s.event AND e.position > after
    WHERE server_of(u.user_id) = of_server
$$;
