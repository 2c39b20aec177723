-- Requests that count against a limit, for servers that share their limits.

CREATE TABLE rate_hits (
	id     {id},
	bucket {text} NOT NULL,
	at     BIGINT NOT NULL
);
CREATE INDEX rate_hits_bucket ON rate_hits (bucket, at);
CREATE INDEX rate_hits_at ON rate_hits (at);
