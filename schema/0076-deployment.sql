-- Whose data this is: one row, written by the first start of `concorde serve` and checked at every
-- other, also of commands. A server's name is in all that it signs and never changes.
CREATE TABLE deployment (
    server_name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX deployment_is_one ON deployment ((true));

-- pg_restore fills tables with an empty search path: a function that it calls there, as for a generated
-- column, must say in which schema everything is that it uses. Each is defined anew as it is by now.
DO $$
DECLARE
    f oid;
    definition text;
BEGIN
    FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname IN (
        'log_at', 'folded_name', 'was_joined', 'server_stays', 'server_member_events',
        'folded_member_name', 'member_profile')
    LOOP
        definition := pg_get_functiondef(f);
        definition := regexp_replace(definition, '(?<![.\w])(json_of|server_of)\(', 'public.\1(', 'g');
        definition := regexp_replace(definition, '\m(FROM|JOIN)\s+([a-z_]+)\M(?![.(])', '\1 public.\2',
                                     'g');
        EXECUTE definition;
    END LOOP;
END
$$;
