-- Accounts whose content was asked to be erased, and since when: who comes into a room after that is
-- shown redacted copies (rooms/read/erasure.h).
ALTER TABLE accounts ADD COLUMN erased_at bigint; -- position; NULL: not erased
UPDATE accounts SET erased_at = position WHERE erased;
CREATE INDEX accounts_erased ON accounts ("user") WHERE erased_at IS NOT NULL;

-- How far the search index has been cleared of what they said. No row: nothing is to be done.
CREATE TABLE search_forgetting (position bigint NOT NULL);
INSERT INTO search_forgetting SELECT -9223372036854775808
WHERE EXISTS (SELECT FROM accounts WHERE erased_at IS NOT NULL);
