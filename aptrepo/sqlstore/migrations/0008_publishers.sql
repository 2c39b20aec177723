-- CI jobs that may exchange a token of their platform for one of ours.

CREATE TABLE trusted_publishers (
	id            {text} PRIMARY KEY,
	name          {text} NOT NULL UNIQUE,
	issuer        {text} NOT NULL,
	audience      {text} NOT NULL,
	repository    {text} NOT NULL,
	repository_id {text} NOT NULL,
	ref           {text} NOT NULL,
	environment   {text} NOT NULL,
	roles         {text} NOT NULL,
	distributions {text} NOT NULL,
	version       BIGINT NOT NULL,
	created_by    {text} NOT NULL,
	created_at    BIGINT NOT NULL
);

-- Tokens that were exchanged, until they expire by themselves.
CREATE TABLE used_assertions (
	id      {text} PRIMARY KEY,
	ends_at BIGINT NOT NULL
);
CREATE INDEX used_assertions_ends ON used_assertions (ends_at);
