-- The index keeps words and their stems in a form of its own (storage/rooms/search_terms.h), made by the
-- server. `form` names it, with the languages of the stems; what is indexed of events below
-- `remake_below` is of an older one and made anew in the background, newest first (NULL: nothing is).
ALTER TABLE search_cursor ADD COLUMN form text NOT NULL DEFAULT '', ADD COLUMN remake_below bigint;
