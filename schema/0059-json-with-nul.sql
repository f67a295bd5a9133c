-- JSON may hold U+0000, which no text of PostgreSQL can, and its functions fail at a whole object that
-- has one anywhere: a single display name would stop every query that comes across it. Here it is
-- another character; what is stored and shown stays as it is.
CREATE FUNCTION json_of(bytes bytea) RETURNS json LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT replace(convert_from(bytes, 'UTF8'), '\u0000', '\ufffd')::json $$;

CREATE OR REPLACE FUNCTION folded_name(fields bytea) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT lower((json_of(fields) -> 'displayname')::text COLLATE "und-x-icu") $$;

CREATE OR REPLACE FUNCTION was_joined(in_room bigint, of_user text, at bigint) RETURNS boolean
LANGUAGE sql STABLE AS
$$
    SELECT EXISTS (
        SELECT FROM room_state s JOIN events e ON e.position = s.event
        WHERE s.room = in_room AND s.type = 1 AND s.state_key = of_user
          AND s.valid_from <= at AND s.valid_to > at
          AND json_of(e.json) #>> '{content,membership}' = 'join')
$$;

CREATE OR REPLACE FUNCTION server_stays(of_server text, after bigint)
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
          ELSE (SELECT json_of(e.json) #>> '{content,membership}' = 'join'
                FROM events e WHERE e.position = s.event) END
    UNION ALL
    SELECT p.room, p.position, 9223372036854775807 FROM partial_rooms p
    WHERE of_server = ANY (p.servers)
$$;

-- For the user directory: the name of a member event as folded_name() has it, and the content, which
-- has displayname and avatar_url where a profile has them.
CREATE FUNCTION folded_member_name(event bytea) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT lower((json_of(event) #> '{content,displayname}')::text COLLATE "und-x-icu") $$;
CREATE FUNCTION member_profile(event bytea) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT convert_to((json_of(event) -> 'content')::text, 'UTF8') $$;
