-- What was set: one row.

CREATE TABLE settings (
	id       BIGINT PRIMARY KEY CHECK (id = 1),
	version  BIGINT NOT NULL,
	document {text} NOT NULL
);
INSERT INTO settings (id, version, document) VALUES (1, 0, '');
