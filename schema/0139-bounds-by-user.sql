-- What one user has stored is bounded, and counted for that.
CREATE INDEX reports_by_reporter ON reports (reporter, id);
CREATE INDEX uia_sessions_by_user ON uia_sessions ("user", expires_ts) WHERE "user" <> 0;
