-- Display names as people look for them, folded by the server (base/text.h); NULL: not yet, the server
-- does so in the background when it starts. Takes the place of folded_name, which an older version
-- reads.
ALTER TABLE profiles ADD COLUMN search_name text;

-- The display name of a member event, as JSON.
CREATE FUNCTION member_name(event bytea) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (public.json_of(event) #> '{content,displayname}')::text $$;
