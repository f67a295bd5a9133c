-- The auth chain of these events, they themselves included: ids as events write them, also of events that are
-- not here; at most `most`. hashed: as in auth_nodes_find; lists without spaces and escapes, as canonical JSON
-- writes those of hashes, are divided as text, for to make JSON of each is slow.
CREATE FUNCTION auth_chain_ids(in_room bigint, ids text[], hashed boolean, most bigint)
RETURNS SETOF text LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS
$$
BEGIN
    RETURN QUERY
    WITH RECURSIVE found (id) AS (
        SELECT unnest(ids)
        UNION
        SELECT t.id
        FROM found f
        CROSS JOIN LATERAL (
            SELECT CASE WHEN NOT hashed THEN convert_to(f.id, 'UTF8')
                        WHEN f.id ~ '^\$[A-Za-z0-9_+/-]{42}[AEIMQUYcgkosw048]$'
                        THEN decode(translate(substr(f.id, 2), '-_', '+/') || '=', 'base64') END AS id
            OFFSET 0) k
        CROSS JOIN LATERAL (
            SELECT (public.json_of(h.json) -> 'auth_events')::text AS list
            FROM public.events h WHERE h.event_id = k.id AND h.room + 0 = in_room LIMIT 1) e
        CROSS JOIN LATERAL (
            SELECT unnest(CASE
                WHEN hashed AND e.list !~ '[\s\\]' THEN string_to_array(btrim(e.list, '[]"'), '","')
                WHEN json_typeof(e.list::json) = 'array' THEN ARRAY(
                    SELECT CASE json_typeof(x.value) WHEN 'array' THEN x.value ->> 0 ELSE x.value #>> '{}' END
                    FROM json_array_elements(e.list::json) x (value)) END) AS id
            OFFSET 0) t
        WHERE t.id IS NOT NULL)
    SELECT f.id FROM found f LIMIT most;
END
$$;
