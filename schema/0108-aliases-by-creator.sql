CREATE INDEX room_aliases_by_creator ON room_aliases (creator); -- a user may make so many
