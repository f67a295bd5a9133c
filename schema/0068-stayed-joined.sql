-- Was the user joined to the room at this position, and at every later one? An interval that ends
-- without a next one is a time without a member event.
CREATE FUNCTION stayed_joined(in_room bigint, of_user text, since bigint) RETURNS boolean
LANGUAGE sql STABLE AS
$$
    SELECT public.was_joined(in_room, of_user, since) AND NOT EXISTS (
        SELECT FROM public.room_state s JOIN public.events e ON e.position = s.event
        WHERE s.room = in_room AND s.type = 1 AND s.state_key = of_user AND s.valid_to > since
          AND (public.json_of(e.json) #>> '{content,membership}' IS DISTINCT FROM 'join'
               OR s.valid_to < 9223372036854775807 AND NOT EXISTS (
                   SELECT FROM public.room_state n WHERE n.room = in_room AND n.type = 1
                     AND n.state_key = of_user AND n.valid_from = s.valid_to)))
$$;
