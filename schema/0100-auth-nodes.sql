-- The graph of auth events by small numbers, for state resolution (rooms/state/auth_index.h). A room gets rows
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

-- These events, and the auth events that lead on from them to events which have rows: at most `most` of
-- them. auth: the list of an event's auth events, when it is here and has no row. The walk goes from ids
-- to ids, so that UNION meets each once; every step is a look-up by id (+ 0, and SET), whatever
-- the tables were like when the plan was made. hashed: ids are hashes (room version 3 and later); before,
-- a reference is a pair of id and hash. What is no id is left out.
CREATE FUNCTION auth_nodes_find(in_room bigint, ids bytea[], hashed boolean, most bigint)
RETURNS TABLE (event_id bytea, node integer, is_power boolean, auth text) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS
$$
BEGIN
    RETURN QUERY
    WITH RECURSIVE found (id) AS (
        SELECT unnest(ids)
        UNION
        SELECT a.id
        FROM found f
        CROSS JOIN LATERAL (
            SELECT count(*) AS n
            FROM (SELECT FROM public.auth_nodes h WHERE h.event_id = f.id LIMIT 1) one) has
        CROSS JOIN LATERAL (
            SELECT public.json_of(h.json) -> 'auth_events' AS list
            FROM public.events h
            WHERE has.n = 0 AND h.event_id = f.id AND h.room + 0 = in_room LIMIT 1) e
        CROSS JOIN LATERAL json_array_elements(CASE json_typeof(e.list) WHEN 'array' THEN e.list END) x (value)
        CROSS JOIN LATERAL (
            SELECT CASE json_typeof(x.value) WHEN 'array' THEN x.value ->> 0 ELSE x.value #>> '{}' END AS id
            OFFSET 0) t
        CROSS JOIN LATERAL (
            SELECT CASE WHEN NOT hashed THEN convert_to(t.id, 'UTF8')
                        WHEN t.id ~ '^\$[A-Za-z0-9_+/-]{42}[AEIMQUYcgkosw048]$'
                        THEN decode(translate(substr(t.id, 2), '-_', '+/') || '=', 'base64') END AS id
            OFFSET 0) a
        WHERE a.id IS NOT NULL)
    SELECT f.id, n.node, COALESCE(n.is_power, e.is_power, false), e.list::text
    FROM (SELECT found.id FROM found LIMIT most) f
    LEFT JOIN LATERAL (
        SELECT h.node, h.is_power FROM public.auth_nodes h
        WHERE h.event_id = f.id AND h.room + 0 = in_room LIMIT 1) n ON true
    LEFT JOIN LATERAL (
        SELECT public.json_of(h.json) -> 'auth_events' AS list,
               h.type = 7 AND h.is_state AND public.json_of(h.json) ->> 'state_key' = '' AS is_power
        FROM public.events h
        WHERE h.event_id = f.id AND h.room + 0 = in_room LIMIT 1) e ON n.node IS NULL;
END
$$;
