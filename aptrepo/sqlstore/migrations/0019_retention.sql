-- What was promoted by hand, which retention leaves alone, and the end of the
-- part of the audit log that lies in storage.

ALTER TABLE publications ADD COLUMN promoted BIGINT NOT NULL DEFAULT 0;
ALTER TABLE targets ADD COLUMN promoted BIGINT NOT NULL DEFAULT 0;

-- What was promoted before, the audit log tells: its target is "FROM -> TO".
UPDATE publications SET promoted = 1 WHERE EXISTS (
	SELECT 1 FROM artifacts a JOIN audit e ON e.package = a.name AND e.version = a.version
	WHERE a.id = publications.artifact_id AND e.package <> '' AND LOWER(e.package) = LOWER(a.name)
		AND e.action = 'distribution.promote' AND e.result = 'success'
		AND substr(e.target, length(e.target) - length(publications.distribution) - 3) = ' -> ' || publications.distribution);

-- The entries up to anchor_id were archived, and only they may be deleted.
ALTER TABLE audit_head ADD COLUMN anchor_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audit_head ADD COLUMN anchor_hash {text} NOT NULL DEFAULT '';
ALTER TABLE audit_head ADD COLUMN anchor_mac {text} NOT NULL DEFAULT '';

-- only: sqlite
DROP TRIGGER audit_delete;
CREATE TRIGGER audit_delete BEFORE DELETE ON audit
WHEN old.id > (SELECT anchor_id FROM audit_head) BEGIN
	SELECT RAISE (ABORT, 'audit entries are not deleted before they are archived');
END;
-- only: postgres
DROP TRIGGER audit_append_only ON audit;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR TRUNCATE ON audit
	FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
CREATE FUNCTION audit_archived_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF OLD.id > (SELECT anchor_id FROM audit_head) THEN
		RAISE EXCEPTION 'audit entries are not deleted before they are archived';
	END IF;
	RETURN OLD;
END $$;
CREATE TRIGGER audit_archived_only BEFORE DELETE ON audit
	FOR EACH ROW EXECUTE FUNCTION audit_archived_only();
-- only: all
