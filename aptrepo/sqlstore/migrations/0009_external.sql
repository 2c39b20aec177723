-- Users that an OpenID Connect issuer vouches for.

-- external_id is NULL for others.
ALTER TABLE users ADD COLUMN external_id {text};
CREATE UNIQUE INDEX users_external ON users (external_id);
