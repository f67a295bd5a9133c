ALTER TABLE devices ADD COLUMN last_seen_agent text; -- User-Agent, as far as it is kept
