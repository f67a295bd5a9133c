-- What a node says of itself, for operators (storage/nodes/node_list.h).
ALTER TABLE nodes
    ADD COLUMN head bigint NOT NULL DEFAULT 0,            -- the end of the log at its last sign of life
    ADD COLUMN parked bigint NOT NULL DEFAULT 0,          -- requests that wait without a worker
    ADD COLUMN known_migration int NOT NULL DEFAULT 0;    -- the newest one of its program; 0: an older program

-- What a program must know to use a database with this migration (storage/schema/migrate.h): the newest
-- migration that it must have. NULL: this one.
ALTER TABLE schema_migrations ADD COLUMN needs int;

-- Fails for a program that is too old. One that does not tell its newest migration calls the other one.
CREATE FUNCTION node_register(of_node bigint, of_host text, of_version text, newest int)
RETURNS TABLE (members bigint, head bigint, others bigint) LANGUAGE plpgsql AS
$$
BEGIN
    SELECT r.members, r.head, r.others INTO members, head, others
    FROM public.node_register(of_node, of_host, of_version) r;
    IF EXISTS (SELECT FROM public.schema_migrations m
               WHERE m.number > newest AND COALESCE(m.needs, m.number) > newest) THEN
        RAISE EXCEPTION 'a newer version of this program has changed the database meanwhile: start that version';
    END IF;
    UPDATE public.nodes n SET known_migration = newest, head = n.position WHERE n.id = of_node;
    RETURN NEXT;
END
$$;
