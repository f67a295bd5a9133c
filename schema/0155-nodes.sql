-- The servers that use this database now (storage/nodes/log_view.h).
CREATE TABLE nodes (
    id bigint PRIMARY KEY,            -- random, of one start of the process
    host text NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,     -- its last sign of life, by this clock
    members bigint NOT NULL,          -- the list of nodes that it knows: log_head.members
    position bigint NOT NULL          -- it has published all changes up to here
);

-- Grows when a node comes or goes. A commit names the list that it knows, so that no node commits
-- without a row in log_batches once another one has come.
ALTER TABLE log_head ADD COLUMN members bigint NOT NULL DEFAULT 0;

-- Whose batch it is: a node publishes its own from memory.
ALTER TABLE log_batches ADD COLUMN node bigint NOT NULL DEFAULT 0, ADD COLUMN batch bigint NOT NULL DEFAULT 0;

-- One statement each, so that a process which stops in between holds no lock of log_head. Each statement
-- in the function sees what was committed before it: so also all nodes that registered before.
CREATE FUNCTION node_register(of_node bigint, of_host text, of_version text)
RETURNS TABLE (members bigint, head bigint, others bigint) LANGUAGE plpgsql AS
$$
BEGIN
    UPDATE public.log_head h SET members = h.members + 1 RETURNING h.members, h.position INTO members, head;
    INSERT INTO public.nodes AS n (id, host, version, started_at, seen_at, members, position)
    VALUES (of_node, of_host, of_version, now(), clock_timestamp(), node_register.members, head)
    ON CONFLICT (id) DO UPDATE
    SET seen_at = excluded.seen_at, members = excluded.members, position = excluded.position;
    SELECT count(*) INTO others FROM public.nodes n WHERE n.id <> of_node;
    PERFORM pg_notify('concorde_log', '');
    RETURN NEXT;
END
$$;

CREATE FUNCTION node_leave(of_node bigint) RETURNS boolean LANGUAGE plpgsql AS
$$
BEGIN
    UPDATE public.log_head h SET members = h.members + 1;
    DELETE FROM public.nodes n WHERE n.id = of_node;
    PERFORM pg_notify('concorde_log', '');
    RETURN true;
END
$$;
