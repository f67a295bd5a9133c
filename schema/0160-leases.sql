-- Work that one node at a time does (storage/nodes/lease.h): which node holds each job, and until when.
CREATE TABLE leases (
    job text PRIMARY KEY,
    node bigint NOT NULL DEFAULT 0,                      -- 0: given back
    fence bigint NOT NULL DEFAULT 0,                     -- grows with each holder; a holder keeps its number
    expires_at timestamptz NOT NULL DEFAULT '-infinity'  -- by this clock
) WITH (fillfactor = 50);

-- Makes a transaction fail that works under a lease which another node has taken since. Until it ends nobody takes
-- the lease: FOR KEY SHARE excludes the FOR UPDATE of a taker, but not a renewal. A process that stops in between
-- does not keep it: its session ends.
CREATE FUNCTION lease_check(of_job text, held_fence bigint) RETURNS boolean LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM set_config('idle_in_transaction_session_timeout', '4s', true);
    PERFORM FROM public.leases l WHERE l.job = of_job AND l.fence = held_fence FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another node has taken the lease of %', of_job USING ERRCODE = 'LE001';
    END IF;
    RETURN true;
END
$$;
