-- Filters of the audit log, and a head that only the server can sign.

CREATE INDEX audit_user ON audit (LOWER(user_name), id);
CREATE INDEX audit_package ON audit (LOWER(package), id) WHERE package <> '';

-- mac is the MAC of last_id and last_hash; '' while no key is known.
ALTER TABLE audit_head ADD COLUMN mac {text} NOT NULL DEFAULT '';
