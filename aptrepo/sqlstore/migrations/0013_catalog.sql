-- What the sources of imports offer.

-- source_id is NULL once the source was forgotten and its packages are to be
-- deleted; status is '' until an attempt to sync has ended.
CREATE TABLE catalog_sources (
	id            {id},
	source_id     {text} UNIQUE,
	status        {text} NOT NULL,
	last_attempt  BIGINT NOT NULL,
	last_sync     BIGINT NOT NULL,
	code          {text} NOT NULL,
	reason        {text} NOT NULL,
	detail        {text} NOT NULL,
	generation    BIGINT NOT NULL,
	package_count BIGINT NOT NULL,
	memo          {blob} NOT NULL
);

-- Replacements of a source's packages that have not ended. While one is here,
-- nobody sees the packages it has added, and those it removes are still there.
-- base is the generation it began at; with another one it cannot win.
CREATE TABLE catalog_stages (
	id     {id},
	source BIGINT NOT NULL,
	base   BIGINT NOT NULL
);

-- What a search looks in: names and synopses in lower case, each pair once, for
-- all sources, versions and architectures.
CREATE TABLE catalog_texts (
	id       {id},
	name     {text} NOT NULL,
	synopsis {text} NOT NULL
);
-- Searches walk through this index and not the table.
CREATE UNIQUE INDEX catalog_texts_key ON catalog_texts (name, synopsis);

-- stage is that of the replacement which added the row. digest is over all that
-- the source says of a package.
CREATE TABLE catalog_packages (
	id             {id},
	source         BIGINT NOT NULL,
	stage          BIGINT NOT NULL,
	text_id        BIGINT NOT NULL REFERENCES catalog_texts (id),
	digest         {blob} NOT NULL,
	name           {text} NOT NULL,
	version_key    {blob} NOT NULL,
	arch           {text} NOT NULL,
	component      {text} NOT NULL,
	version        {text} NOT NULL,
	source_name    {text} NOT NULL,
	source_version {text} NOT NULL,
	section        {text} NOT NULL,
	priority       {text} NOT NULL,
	essential      BIGINT NOT NULL,
	multi_arch     {text} NOT NULL,
	installed_size BIGINT NOT NULL,
	size           BIGINT NOT NULL,
	sha256         {text} NOT NULL,
	filename       {text} NOT NULL,
	synopsis       {text} NOT NULL,
	pre_depends    {text} NOT NULL,
	depends        {text} NOT NULL,
	provides       {text} NOT NULL,
	conflicts      {text} NOT NULL,
	breaks         {text} NOT NULL,
	replaces       {text} NOT NULL
);
CREATE INDEX catalog_packages_source ON catalog_packages (source, stage, digest, text_id);
CREATE INDEX catalog_packages_text ON catalog_packages (text_id, source, arch, stage);

CREATE TABLE catalog_provides (
	name       {text} NOT NULL,
	package_id BIGINT NOT NULL REFERENCES catalog_packages (id) ON DELETE CASCADE,
	PRIMARY KEY (name, package_id)
) {clustered};
CREATE INDEX catalog_provides_package ON catalog_provides (package_id);

-- Packages that a replacement removes.
CREATE TABLE catalog_removals (
	package_id BIGINT NOT NULL,
	stage      BIGINT NOT NULL,
	PRIMARY KEY (package_id, stage)
) {clustered};
CREATE INDEX catalog_removals_stage ON catalog_removals (stage, package_id);

-- only: sqlite
-- The index knows which text has a trigram in which column, not where: a search
-- looks there itself. What ends a text lets its last characters begin a trigram
-- too, for questions that are shorter.
CREATE VIRTUAL TABLE catalog_search USING fts5 (
	name, synopsis, content='', columnsize=0, detail=column, tokenize='trigram case_sensitive 1'
);
CREATE VIRTUAL TABLE catalog_search_terms USING fts5vocab (catalog_search, col);
CREATE TRIGGER catalog_texts_insert AFTER INSERT ON catalog_texts BEGIN
	INSERT INTO catalog_search (rowid, name, synopsis)
		VALUES (new.id, new.name || char(31, 31), new.synopsis || char(31, 31));
END;
CREATE TRIGGER catalog_texts_delete AFTER DELETE ON catalog_texts BEGIN
	INSERT INTO catalog_search (catalog_search, rowid, name, synopsis)
		VALUES ('delete', old.id, old.name || char(31, 31), old.synopsis || char(31, 31));
END;
-- only: postgres
CREATE INDEX catalog_name_search ON catalog_texts USING gin (name gin_trgm_ops);
CREATE INDEX catalog_synopsis_search ON catalog_texts USING gin (synopsis gin_trgm_ops);
-- only: all
