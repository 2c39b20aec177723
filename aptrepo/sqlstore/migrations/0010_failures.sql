-- Failed logins in a row: package auth. name is "=" and the folded user name, or
-- empty in the row that counts all of an address.

CREATE TABLE login_failures (
	name     {text} NOT NULL,
	address  {text} NOT NULL,
	n        BIGINT NOT NULL,
	last     BIGINT NOT NULL,
	PRIMARY KEY (name, address)
);
CREATE INDEX login_failures_last ON login_failures (last);
