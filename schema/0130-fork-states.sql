-- What an event of a fork asks for (storage/rooms/state_refs.h, storage/rooms/auth_nodes.h), with one plan for all
-- calls: to make a plan costs several times what it costs to run it. Each step is a look-up by key, whatever
-- the tables were like when the plan was made: LATERAL with LIMIT or OFFSET, and SET.

-- The states before events, each as its differences from the room's current state: of each place what
-- began or ended after its base, and the reference's own entries, which count instead where there are any.
-- refs: 0 for an event whose state is that of its position. base NULL: the reference is missing. At least one
-- row a place; type NULL: no difference. event 0: the key has none.
--
-- The newest interval of a key up to a position is the last in the order of the primary key, which no other
-- index has: were the key asked for by equality, the plan might read all that is current in the room for
-- each, or all of the key's history.
CREATE FUNCTION state_differences(in_room bigint, refs bigint[], positions bigint[])
RETURNS TABLE (n bigint, base bigint, type bigint, state_key text, event bigint) LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS
$$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT p.n, p.base, d.type, d.state_key, d.event
    FROM (
        SELECT u.n, u.ref, CASE WHEN u.ref = 0 THEN u.position ELSE (
            SELECT r.base FROM public.state_refs r WHERE r.id = u.ref) END AS base
        FROM unnest(refs, positions) WITH ORDINALITY u (ref, position, n)) p
    LEFT JOIN LATERAL (
        -- Of a chain of references the nearest entry of each key counts; NULL: as at the base.
        WITH RECURSIVE chain AS (
            SELECT r.id, r.parent, 0 AS distance FROM public.state_refs r WHERE r.id = p.ref
            UNION ALL
            SELECT r.id, r.parent, c.distance + 1 FROM chain c
            CROSS JOIN LATERAL (SELECT h.id, h.parent FROM public.state_refs h WHERE h.id = c.parent LIMIT 1) r
            WHERE c.distance < 1000)
        SELECT k.type, k.state_key, COALESCE(k.event, o.event, 0) AS event
        FROM (
            SELECT a.type, a.state_key, max(a.event) AS event
            FROM (
                SELECT s.type, s.state_key, NULL::bigint AS event
                FROM public.room_state s WHERE s.room = in_room AND s.valid_from > p.base
                UNION ALL
                SELECT s.type, s.state_key, NULL
                FROM public.room_state s
                WHERE s.room = in_room AND s.valid_to > p.base AND s.valid_to < 9223372036854775807
                UNION ALL
                SELECT own.type, own.state_key, own.event
                FROM (
                    SELECT DISTINCT ON (e.type, e.state_key) e.type, e.state_key, e.event
                    FROM chain c
                    CROSS JOIN LATERAL (
                        SELECT h.type, h.state_key, h.event FROM public.state_ref_entries h
                        WHERE h.ref = c.id OFFSET 0) e
                    ORDER BY e.type, e.state_key, c.distance) own
                WHERE own.event IS NOT NULL) a
            GROUP BY a.type, a.state_key) k
        LEFT JOIN LATERAL (
            SELECT l.event FROM (
                SELECT s.type, s.state_key, s.event, s.valid_to FROM public.room_state s
                WHERE s.room = in_room
                AND (s.type, s.state_key, s.valid_from) <= (k.type, k.state_key, p.base)
                ORDER BY s.type DESC, s.state_key DESC, s.valid_from DESC LIMIT 1) l
            WHERE l.type = k.type AND l.state_key = k.state_key AND l.valid_to > p.base) o
            ON k.event IS NULL
        LEFT JOIN LATERAL (
            SELECT l.event FROM (
                SELECT s.type, s.state_key, s.event, s.valid_to FROM public.room_state s
                WHERE s.room = in_room
                AND (s.type, s.state_key, s.valid_from) <= (k.type, k.state_key, 9223372036854775807)
                ORDER BY s.type DESC, s.state_key DESC, s.valid_from DESC LIMIT 1) l
            WHERE l.type = k.type AND l.state_key = k.state_key AND l.valid_to = 9223372036854775807) now
            ON true
        WHERE COALESCE(k.event, o.event, 0) <> COALESCE(now.event, 0)) d ON true
    ORDER BY p.n;
END
$$;

-- Events whose being current state began or ended after a position, each once; node 0: it has none. Each
-- UNION of its own, so that either has its index.
CREATE FUNCTION auth_nodes_moved(in_room bigint, after bigint)
RETURNS TABLE (event_id bytea, node integer, is_current boolean) LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS
$$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT e.event_id, COALESCE(h.node, 0), s.is_current
    FROM (
        SELECT c.event, bool_or(c.valid_to = 9223372036854775807) AS is_current
        FROM (
            SELECT r.event, r.valid_to FROM public.room_state r
            WHERE r.room = in_room AND r.valid_from > after
            UNION ALL
            SELECT r.event, r.valid_to FROM public.room_state r
            WHERE r.room = in_room AND r.valid_from <= after AND r.valid_to > after
            AND r.valid_to < 9223372036854775807) c
        GROUP BY c.event) s
    CROSS JOIN LATERAL (SELECT x.event_id FROM public.events x WHERE x.position = s.event LIMIT 1) e
    LEFT JOIN LATERAL (
        SELECT x.node FROM public.auth_nodes x
        WHERE x.event_id = e.event_id AND x.room + 0 = in_room LIMIT 1) h ON true;
END
$$;
