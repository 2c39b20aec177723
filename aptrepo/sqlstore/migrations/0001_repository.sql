-- What a repository knows. See migrate.go for the words in braces.
--
-- Times are microseconds since 1970-01-01 UTC, 0 for none. Lists are JSON.
-- The order of text is that of its bytes.

CREATE TABLE distributions (
	codename          {text} PRIMARY KEY,
	description       {text} NOT NULL,
	origin            {text} NOT NULL,
	label             {text} NOT NULL,
	suite             {text} NOT NULL,
	os                {text} NOT NULL,
	components        {text} NOT NULL,
	architectures     {text} NOT NULL,
	created_at        BIGINT NOT NULL,
	package_count     BIGINT NOT NULL DEFAULT 0,
	artifact_count    BIGINT NOT NULL DEFAULT 0,
	size_bytes        BIGINT NOT NULL DEFAULT 0,
	last_published_at BIGINT NOT NULL DEFAULT 0,
	last_seq          BIGINT NOT NULL DEFAULT 0,
	generation        BIGINT NOT NULL DEFAULT 0,
	applied_seq       BIGINT NOT NULL DEFAULT 0
);

-- version_key has the order of dpkg, and is equal where dpkg finds versions
-- equal. publications counts the rows of that table.
CREATE TABLE artifacts (
	id             {id},
	name           {text} NOT NULL,
	version_key    {blob} NOT NULL,
	arch           {text} NOT NULL,
	version        {text} NOT NULL,
	status         {text} NOT NULL,
	section        {text} NOT NULL,
	size           BIGINT NOT NULL,
	uploaded_at    BIGINT NOT NULL,
	publications   BIGINT NOT NULL DEFAULT 0,
	source         {text} NOT NULL,
	source_version {text} NOT NULL,
	component      {text} NOT NULL,
	priority       {text} NOT NULL,
	maintainer     {text} NOT NULL,
	homepage       {text} NOT NULL,
	multi_arch     {text} NOT NULL,
	essential      BIGINT NOT NULL,
	installed_size BIGINT NOT NULL,
	filename       {text} NOT NULL,
	sha256         {text} NOT NULL,
	sha512         {text} NOT NULL,
	md5            {text} NOT NULL,
	status_reason  {text} NOT NULL,
	status_detail  {text} NOT NULL,
	origin         {text} NOT NULL,
	source_id      {text} NOT NULL,
	import_group   {text} NOT NULL,
	uploaded_by    {text} NOT NULL
);
CREATE UNIQUE INDEX artifacts_key ON artifacts (name, version_key, arch);
CREATE INDEX artifacts_filename ON artifacts (filename);
-- Listings that filter or count read this index and not the table.
CREATE INDEX artifacts_listing ON artifacts
	(name, version_key DESC, arch, status, section, publications, size, uploaded_at, id);
CREATE INDEX artifacts_uploaded_at ON artifacts (uploaded_at, name);
CREATE INDEX artifacts_size ON artifacts (size, name);

-- The long texts stand apart, so that artifacts can be read fast.
CREATE TABLE artifact_texts (
	artifact_id BIGINT PRIMARY KEY REFERENCES artifacts (id) ON DELETE CASCADE,
	description {text} NOT NULL,
	control     {text} NOT NULL
);

-- What a search looks in: name and description in lower case.
CREATE TABLE search_texts (
	artifact_id BIGINT PRIMARY KEY REFERENCES artifacts (id) ON DELETE CASCADE,
	folded      {text} NOT NULL
);

-- version is '' for a name provided without one.
CREATE TABLE provides (
	name        {text} NOT NULL,
	artifact_id BIGINT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
	version     {text} NOT NULL,
	PRIMARY KEY (name, artifact_id, version)
) {clustered};
CREATE INDEX provides_artifact ON provides (artifact_id);

-- From name on, the columns are the artifact's, for the indexes below. sole is
-- 1 for one of an artifact's publications in a distribution and 0 for those in
-- other components.
CREATE TABLE publications (
	distribution {text} NOT NULL REFERENCES distributions (codename),
	artifact_id  BIGINT NOT NULL REFERENCES artifacts (id),
	component    {text} NOT NULL,
	published_at BIGINT NOT NULL,
	sole         BIGINT NOT NULL,
	name         {text} NOT NULL,
	version_key  {blob} NOT NULL,
	arch         {text} NOT NULL,
	status       {text} NOT NULL,
	section      {text} NOT NULL,
	size         BIGINT NOT NULL,
	uploaded_at  BIGINT NOT NULL,
	PRIMARY KEY (distribution, artifact_id, component)
) {clustered};
CREATE INDEX publications_artifact ON publications (artifact_id, distribution, component);
CREATE INDEX publications_listing ON publications
	(distribution, name, version_key DESC, arch, component, artifact_id);
CREATE INDEX publications_sole ON publications
	(distribution, name, version_key DESC, arch, status, section, size, uploaded_at, artifact_id) WHERE sole = 1;
CREATE INDEX publications_uploaded_at ON publications (distribution, uploaded_at, name) WHERE sole = 1;
CREATE INDEX publications_size ON publications (distribution, size, name) WHERE sole = 1;

-- The artifact that stands for a name: among those of a distribution, or among
-- all where distribution is ''.
CREATE TABLE listings (
	distribution {text} NOT NULL,
	name         {text} NOT NULL,
	artifact_id  BIGINT NOT NULL REFERENCES artifacts (id),
	uploaded_at  BIGINT NOT NULL,
	size         BIGINT NOT NULL,
	PRIMARY KEY (distribution, name)
) {clustered};
CREATE INDEX listings_uploaded_at ON listings (distribution, uploaded_at, name);
CREATE INDEX listings_size ON listings (distribution, size, name);
CREATE INDEX listings_artifact ON listings (artifact_id);

CREATE TABLE changes (
	distribution {text} NOT NULL REFERENCES distributions (codename),
	seq          BIGINT NOT NULL,
	kind         {text} NOT NULL,
	component    {text} NOT NULL,
	name         {text} NOT NULL,
	version      {text} NOT NULL,
	arch         {text} NOT NULL,
	artifact_id  BIGINT NOT NULL,
	PRIMARY KEY (distribution, seq)
) {clustered};

CREATE TABLE generations (
	distribution  {text} NOT NULL REFERENCES distributions (codename),
	number        BIGINT NOT NULL,
	applied_seq   BIGINT NOT NULL,
	date          BIGINT NOT NULL,
	manifest      {text} NOT NULL,
	published_at  BIGINT NOT NULL,
	superseded_at BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (distribution, number)
) {clustered};

-- A file that stays the same costs nothing: its row spans the generations that
-- list it, and ends at the greatest number while it is still listed.
CREATE TABLE generation_hashes (
	distribution {text} NOT NULL,
	sha256       {text} NOT NULL,
	first_number BIGINT NOT NULL,
	last_number  BIGINT NOT NULL,
	PRIMARY KEY (distribution, sha256, first_number)
) {clustered};
CREATE INDEX generation_hashes_last ON generation_hashes (distribution, last_number, first_number, sha256);

CREATE TABLE tombstones (
	name       {text} NOT NULL,
	version    {text} NOT NULL,
	arch       {text} NOT NULL,
	sha256     {text} NOT NULL,
	deleted_at BIGINT NOT NULL,
	PRIMARY KEY (name, version, arch)
) {clustered};

CREATE TABLE removals (
	filename {text} PRIMARY KEY,
	due_at   BIGINT NOT NULL
) {clustered};
CREATE INDEX removals_due ON removals (due_at, filename);

CREATE TABLE signing_keys (
	id          {id},
	fingerprint {text} NOT NULL UNIQUE,
	private     {blob} NOT NULL,
	active      BIGINT NOT NULL,
	created_at  BIGINT NOT NULL,
	retires_at  BIGINT NOT NULL
);

CREATE TABLE audit (
	id         BIGINT PRIMARY KEY,
	at         BIGINT NOT NULL,
	action     {text} NOT NULL,
	user_name  {text} NOT NULL,
	ip         {text} NOT NULL,
	result     {text} NOT NULL,
	target     {text} NOT NULL,
	package    {text} NOT NULL,
	version    {text} NOT NULL,
	detail     {text} NOT NULL,
	request_id {text} NOT NULL,
	hash       {text} NOT NULL
);

-- One row, locked by whoever writes anything: the end of the audit chain.
CREATE TABLE audit_head (
	id        BIGINT PRIMARY KEY CHECK (id = 1),
	last_id   BIGINT NOT NULL,
	last_hash {text} NOT NULL
);
INSERT INTO audit_head (id, last_id, last_hash) VALUES (1, 0, '');

-- only: sqlite
CREATE VIRTUAL TABLE artifact_search USING fts5 (
	folded, content='search_texts', content_rowid='artifact_id', tokenize='trigram case_sensitive 1'
);
CREATE TRIGGER search_texts_insert AFTER INSERT ON search_texts BEGIN
	INSERT INTO artifact_search (rowid, folded) VALUES (new.artifact_id, new.folded);
END;
CREATE TRIGGER search_texts_delete AFTER DELETE ON search_texts BEGIN
	INSERT INTO artifact_search (artifact_search, rowid, folded) VALUES ('delete', old.artifact_id, old.folded);
END;
CREATE TRIGGER audit_update BEFORE UPDATE ON audit BEGIN
	SELECT RAISE (ABORT, 'audit entries never change');
END;
CREATE TRIGGER audit_delete BEFORE DELETE ON audit BEGIN
	SELECT RAISE (ABORT, 'audit entries are never deleted');
END;
-- only: postgres
CREATE INDEX artifact_search ON search_texts USING gin (folded gin_trgm_ops);
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'audit entries never change and are never deleted';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
	FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
-- only: all
