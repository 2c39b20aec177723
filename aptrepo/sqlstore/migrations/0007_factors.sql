-- Second factors: package auth. secret is sealed; recovery holds hashes.

CREATE TABLE factors (
	folded     {text} PRIMARY KEY,
	secret     {text} NOT NULL,
	confirmed  BIGINT NOT NULL,
	last_step  BIGINT NOT NULL,
	recovery   {text} NOT NULL,
	created_at BIGINT NOT NULL
);
