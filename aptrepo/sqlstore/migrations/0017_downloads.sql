-- What was downloaded, what happened on each day, and how much there is. A day
-- is counted from 1970-01-01, in UTC.

-- The artifacts that were downloaded, also those that are gone since. filename is
-- the last one that it was downloaded by. last_day is the last day on which it was
-- downloaded, and sent_day that on which anything of it was sent: the rest of
-- downloads that were interrupted too. Both are 0 for none.
CREATE TABLE downloaded (
	id          {id},
	name        {text} NOT NULL,
	version     {text} NOT NULL,
	arch        {text} NOT NULL,
	version_key {blob} NOT NULL,
	filename    {text} NOT NULL,
	last_day    BIGINT NOT NULL,
	sent_day    BIGINT NOT NULL
);
CREATE UNIQUE INDEX downloaded_key ON downloaded (name, version, arch);
CREATE INDEX downloaded_filename ON downloaded (filename, id);
CREATE INDEX downloaded_last_day ON downloaded (last_day, name);

-- Downloads by kind of client. bytes are also of the rest of downloads that were
-- interrupted.
CREATE TABLE download_counts (
	day         BIGINT NOT NULL,
	artifact_id BIGINT NOT NULL,
	apt         BIGINT NOT NULL,
	curl        BIGINT NOT NULL,
	wget        BIGINT NOT NULL,
	other       BIGINT NOT NULL,
	bytes       BIGINT NOT NULL,
	PRIMARY KEY (day, artifact_id)
) {clustered};

-- Sums over the rows of download_counts.
CREATE TABLE download_days (
	day   BIGINT PRIMARY KEY,
	apt   BIGINT NOT NULL,
	curl  BIGINT NOT NULL,
	wget  BIGINT NOT NULL,
	other BIGINT NOT NULL,
	bytes BIGINT NOT NULL
) {clustered};

-- The last day on which a client has downloaded an artifact of a name, or of any
-- where name is ''. All questions are about days up to the present: no more is to
-- be known of a client.
CREATE TABLE download_clients (
	name     {text} NOT NULL,
	client   BIGINT NOT NULL,
	last_day BIGINT NOT NULL,
	PRIMARY KEY (name, client)
) {clustered};
CREATE INDEX download_clients_day ON download_clients (last_day);

-- The latest downloads.
CREATE TABLE download_recent (
	id          {id},
	at          BIGINT NOT NULL,
	artifact_id BIGINT NOT NULL,
	kind        {text} NOT NULL,
	bytes       BIGINT NOT NULL,
	ip          {text} NOT NULL
);

-- The number of the last batch of each counter, so that none is added twice.
CREATE TABLE download_counters (
	id     {text} PRIMARY KEY,
	number BIGINT NOT NULL,
	at     BIGINT NOT NULL
) {clustered};

-- What happened on a day: see aptrepo.DayCounts.
CREATE TABLE day_counts (
	day        BIGINT PRIMARY KEY,
	uploads    BIGINT NOT NULL,
	imports    BIGINT NOT NULL,
	rejections BIGINT NOT NULL,
	decisions  BIGINT NOT NULL,
	scans      BIGINT NOT NULL,
	deletions  BIGINT NOT NULL
) {clustered};
INSERT INTO day_counts
	SELECT day, CAST(SUM(uploads) AS BIGINT), CAST(SUM(imports) AS BIGINT), CAST(SUM(rejections) AS BIGINT),
		CAST(SUM(decisions) AS BIGINT), CAST(SUM(scans) AS BIGINT), CAST(SUM(deletions) AS BIGINT)
	FROM (
		SELECT uploaded_at / 86400000000 AS day, CASE WHEN status <> 'rejected' AND origin <> 'import' THEN 1 ELSE 0 END AS uploads,
			CASE WHEN status <> 'rejected' AND origin = 'import' THEN 1 ELSE 0 END AS imports,
			CASE WHEN status = 'rejected' THEN 1 ELSE 0 END AS rejections, 0 AS decisions, 0 AS scans, 0 AS deletions FROM artifacts
		UNION ALL SELECT decided_at / 86400000000, 0, 0, 0, 1, 0, 0 FROM decisions
		UNION ALL SELECT scanned_at / 86400000000, 0, 0, 0, 0, 1, 0 FROM scans WHERE scanned_at > 0
		UNION ALL SELECT at / 86400000000, 0, 0, 0, 0, 0, 1 FROM audit WHERE action = 'package.delete' AND result = 'success'
	) AS events GROUP BY day;

-- One row: sums over all artifacts, and how many names they have.
CREATE TABLE stock (
	id         BIGINT PRIMARY KEY CHECK (id = 1),
	names      BIGINT NOT NULL,
	size_bytes BIGINT NOT NULL
);
INSERT INTO stock SELECT 1, (SELECT COUNT(*) FROM listings WHERE distribution = ''),
	(SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM artifacts);

-- Artifacts with vulnerabilities that are known to be exploited: there are few.
CREATE INDEX postures_kev ON postures
	(distribution, name, version_key DESC, arch, status, kev, artifact_id) WHERE kev > 0;
