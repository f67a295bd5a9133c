-- pending_redactions are those that are not applied: their target is not here, or not theirs to
-- redact. Until they are, clients are not shown them (room version 3, "Handling redactions").
CREATE INDEX pending_redactions_by_redaction ON pending_redactions (redaction);
