-- What bills of materials say beside what is known of artifacts' safety.

-- described counts what has become known, or changed, about the artifacts that
-- are published in a distribution; described_at is the latest of its times.
ALTER TABLE distributions ADD COLUMN described BIGINT NOT NULL DEFAULT 0;
ALTER TABLE distributions ADD COLUMN described_at BIGINT NOT NULL DEFAULT 0;

-- licence is JSON. kept_in is the package that has the copyright file in place
-- of the artifact's own, or ''.
CREATE TABLE licences (
	artifact_id BIGINT PRIMARY KEY REFERENCES artifacts (id) ON DELETE CASCADE,
	kept_in     {text} NOT NULL,
	licence     {text} NOT NULL
) {clustered};
