-- The other filters of the audit log. Few entries are not of a success.

CREATE INDEX audit_action ON audit (LOWER(action), id);
CREATE INDEX audit_at ON audit (at, id);
CREATE INDEX audit_result ON audit (LOWER(result), id) WHERE result <> 'success';
