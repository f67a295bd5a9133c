-- The graph of auth events by small numbers, for state resolution (rooms/auth_index.h). A room gets rows
-- when a fork first needs them: the events that its state stands upon. They never change.
CREATE TABLE auth_nodes (
    room bigint NOT NULL,
    node integer NOT NULL,       -- 1, 2, ... in its room: greater than every node that it cites
    event_id bytea NOT NULL,     -- as in events.event_id
    is_power boolean NOT NULL,   -- m.room.power_levels
    cites integer[] NOT NULL,    -- the nodes of its auth events, in their order ...
    power integer NOT NULL,      -- ... and the first of them that is_power; 0: none
    lacks bytea[],               -- ids of auth events that were not here when the row was made
    PRIMARY KEY (room, node)
);
CREATE UNIQUE INDEX auth_nodes_by_id ON auth_nodes (event_id);
CREATE INDEX auth_nodes_lacking ON auth_nodes (room) WHERE lacks IS NOT NULL;

-- The auth events of a PDU as events.event_id has ids. hashed: the room version's ids are hashes
-- (version 3 and later); before, a reference is a pair of id and hash.
CREATE FUNCTION auth_ids(pdu bytea, hashed boolean) RETURNS bytea[] LANGUAGE sql IMMUTABLE
PARALLEL SAFE AS
$$
    SELECT COALESCE(array_agg(CASE WHEN NOT hashed THEN convert_to(c.id, 'UTF8')
                                   ELSE decode(translate(substr(c.id, 2), '-_', '+/') || '=', 'base64') END
                              ORDER BY c.n), '{}')
    FROM (SELECT CASE json_typeof(a.value) WHEN 'array' THEN a.value ->> 0 ELSE a.value #>> '{}' END AS id,
                 a.n
          FROM json_array_elements(public.json_of(pdu) -> 'auth_events') WITH ORDINALITY a(value, n)) c
    WHERE NOT hashed OR c.id ~ '^\$[A-Za-z0-9_+/-]{42}[AEIMQUYcgkosw048]$'
$$;
