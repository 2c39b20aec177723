-- Who may do what: package auth.

-- folded is the name as auth.FoldUsername makes it.
CREATE TABLE users (
	folded        {text} PRIMARY KEY,
	username      {text} NOT NULL,
	email         {text} NOT NULL,
	full_name     {text} NOT NULL,
	roles         {text} NOT NULL,
	active        BIGINT NOT NULL,
	auth_source   {text} NOT NULL,
	password_hash {text} NOT NULL,
	token_version BIGINT NOT NULL,
	created_at    BIGINT NOT NULL,
	last_login    BIGINT NOT NULL
);

CREATE TABLE api_tokens (
	id            {text} PRIMARY KEY,
	name          {text} NOT NULL,
	roles         {text} NOT NULL,
	prefix        {text} NOT NULL,
	distributions {text} NOT NULL,
	created_by    {text} NOT NULL,
	created_at    BIGINT NOT NULL,
	expires_at    BIGINT NOT NULL,
	last_used_at  BIGINT NOT NULL,
	hash          {text} NOT NULL UNIQUE
);
CREATE INDEX api_tokens_name ON api_tokens (name);

CREATE TABLE revoked_sessions (
	id      {text} PRIMARY KEY,
	ends_at BIGINT NOT NULL
);
CREATE INDEX revoked_sessions_ends ON revoked_sessions (ends_at);
