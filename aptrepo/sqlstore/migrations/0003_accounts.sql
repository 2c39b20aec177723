-- Password resets, unique e-mail addresses, and work that is still to be done.

-- email_folded is the address as auth.FoldEmail makes it, or NULL for none.
ALTER TABLE users ADD COLUMN email_folded {text};
ALTER TABLE users ADD COLUMN kept_session {text} NOT NULL DEFAULT '';
CREATE UNIQUE INDEX users_email ON users (email_folded);

-- ended is 1 once a reset has been used or replaced.
CREATE TABLE password_resets (
	id         {text} PRIMARY KEY,
	folded     {text} NOT NULL,
	username   {text} NOT NULL,
	hash       {text} NOT NULL UNIQUE,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	ended      BIGINT NOT NULL
);
CREATE INDEX password_resets_user ON password_resets (folded, created_at);

CREATE TABLE outbox (
	id         {id},
	topic      {text} NOT NULL,
	payload    {blob} NOT NULL,
	created_at BIGINT NOT NULL
);
