-- Display names as the user directory compares them: lower case by the rules of ICU, which knows
-- the letters of all scripts whatever the database's own collation is. A JSON text with its quotes,
-- for PostgreSQL cannot make a text of every JSON string.
CREATE FUNCTION folded_name(fields bytea) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT lower((convert_from(fields, 'UTF8')::json -> 'displayname')::text COLLATE "und-x-icu") $$;

ALTER TABLE profiles ADD COLUMN folded_name text GENERATED ALWAYS AS (folded_name(fields)) STORED;
