-- What was told of once, by what it is about.

CREATE TABLE notes (
	name     {text} PRIMARY KEY,
	noted_at BIGINT NOT NULL
) {clustered};
