-- Rooms that a node is joining through another server (storage/servers/joins.h). A join ends with its node: a row of
-- a node that is not in `nodes` any more counts as none.
CREATE TABLE joins (
    room_id text PRIMARY KEY,
    node bigint NOT NULL
);

-- What other servers sent meanwhile for these rooms, whose versions are not known yet.
CREATE TABLE early_pdus (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    room_id text NOT NULL,
    origin text NOT NULL,
    received_ts bigint NOT NULL,
    json bytea NOT NULL
);
CREATE INDEX early_pdus_by_room ON early_pdus (room_id, id);

-- Makes a transaction fail that stores a join which another node has taken over since; until it ends no node takes it
-- over. A process that stops in between does not keep it: its session ends. As lease_check() does.
CREATE FUNCTION join_check(of_room_id text, of_node bigint) RETURNS boolean LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '4s', true);
    PERFORM FROM public.joins j WHERE j.room_id = of_room_id AND j.node = of_node FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another node has taken the join of %', of_room_id USING ERRCODE = 'LE001';
    END IF;
    RETURN true;
END
$$;
