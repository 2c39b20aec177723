-- The package names that tokens are narrowed to: patterns, none for all.

ALTER TABLE api_tokens ADD COLUMN packages {text} NOT NULL DEFAULT '[]';
ALTER TABLE trusted_publishers ADD COLUMN packages {text} NOT NULL DEFAULT '[]';
