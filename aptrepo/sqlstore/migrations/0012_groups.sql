-- Labels on artifacts that were imported together.

CREATE TABLE import_groups (
	name       {text} PRIMARY KEY,
	created_by {text} NOT NULL,
	created_at BIGINT NOT NULL
);

CREATE INDEX artifacts_import_group ON artifacts (import_group) WHERE import_group <> '';
