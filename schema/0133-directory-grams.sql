-- What the user directory finds local users by: the parts of one, two and three characters of a user's id and of
-- the name that is looked for (storage/users/user_directory.h), so that a part of a word is in an index. Written
-- by a trigger, for an older version of the server writes profiles without it.
CREATE FUNCTION directory_grams(texts text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$
    SELECT COALESCE(array_agg(DISTINCT substr(t, i, n)), '{}')
    FROM unnest(texts) t, generate_series(1, least(length(t), 500)) i, generate_series(1, 3) n
    WHERE i + n - 1 <= length(t)
$$;

-- A long word is found by its three-character parts alone.
CREATE FUNCTION directory_grams_of_words(words text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$
    SELECT COALESCE(array_agg(DISTINCT g), '{}')
    FROM unnest(words) w, generate_series(1, greatest(least(length(w), 500) - 2, 1)) i, substr(w, i, 3) g
$$;

ALTER TABLE profiles ADD COLUMN grams text[]; -- NULL: not yet, the server does so in the background

CREATE FUNCTION profiles_set_grams() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    NEW.grams := public.directory_grams(ARRAY[
        COALESCE((SELECT lower(u.user_id) FROM public.users u WHERE u.id = NEW."user"), ''),
        COALESCE(NEW.search_name, btrim(public.folded_name(NEW.fields), '"'), '')]);
    RETURN NEW;
END
$$;
CREATE TRIGGER profiles_grams BEFORE INSERT OR UPDATE ON profiles
    FOR EACH ROW EXECUTE FUNCTION profiles_set_grams();

CREATE INDEX profiles_by_grams ON profiles USING gin (grams);

-- Whatever the statistics say, an index is read: how far a scan must go for `most` is not known.
CREATE FUNCTION directory_candidates(words text[], most bigint) RETURNS SETOF bigint LANGUAGE plpgsql STABLE
SET enable_seqscan = off AS
$$
BEGIN
    RETURN QUERY
    SELECT p."user" FROM public.profiles p
    WHERE p.grams @> public.directory_grams_of_words(words) LIMIT most;
END
$$;
