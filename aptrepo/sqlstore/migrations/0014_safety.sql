-- What is known of artifacts' safety.

-- The last scan of an artifact. The counts, kev and epss_max are of its open
-- findings, as the scan's author gave them.
CREATE TABLE scans (
	artifact_id     BIGINT PRIMARY KEY REFERENCES artifacts (id) ON DELETE CASCADE,
	scanned_at      BIGINT NOT NULL,
	verdict         {text} NOT NULL,
	malware         {text} NOT NULL,
	signature       {text} NOT NULL,
	engine          {text} NOT NULL,
	detail          {text} NOT NULL,
	official        BIGINT NOT NULL,
	covered         BIGINT NOT NULL,
	data_date       BIGINT NOT NULL,
	data_generation BIGINT NOT NULL,
	critical        BIGINT NOT NULL,
	high            BIGINT NOT NULL,
	medium          BIGINT NOT NULL,
	low             BIGINT NOT NULL,
	negligible      BIGINT NOT NULL,
	unknown         BIGINT NOT NULL,
	kev             BIGINT NOT NULL,
	epss_max        DOUBLE PRECISION
) {clustered};

-- The software inside an artifact: JSON, compressed by zstd. One without has no
-- row.
CREATE TABLE scan_components (
	artifact_id BIGINT PRIMARY KEY REFERENCES artifacts (id) ON DELETE CASCADE,
	components  {blob} NOT NULL
);

-- place counts an artifact's findings from 0, the worst first. weight orders
-- findings by severity, kev and cvss: see weightOf. open is 0 for one that an
-- active decision settles.
CREATE TABLE findings (
	artifact_id       BIGINT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
	place             BIGINT NOT NULL,
	id                {text} NOT NULL,
	text_id           BIGINT NOT NULL,
	open              BIGINT NOT NULL,
	weight            BIGINT NOT NULL,
	kev               BIGINT NOT NULL,
	fix_state         {text} NOT NULL,
	cvss              DOUBLE PRECISION,
	epss              DOUBLE PRECISION,
	severity          {text} NOT NULL,
	package           {text} NOT NULL,
	ecosystem         {text} NOT NULL,
	installed_version {text} NOT NULL,
	fixed_version     {text} NOT NULL,
	gates             BIGINT NOT NULL,
	confidence        {text} NOT NULL,
	PRIMARY KEY (artifact_id, place)
) {clustered};
CREATE INDEX findings_id ON findings (id, text_id, artifact_id);

-- The long texts of findings stand apart, since many artifacts share them. A
-- text that no finding has is deleted.
CREATE TABLE finding_texts (
	id          {id},
	finding_id  {text} NOT NULL,
	digest      {blob} NOT NULL,
	advisories  {text} NOT NULL,
	description {text} NOT NULL,
	urls        {text} NOT NULL
);
CREATE UNIQUE INDEX finding_texts_key ON finding_texts (finding_id, digest);

CREATE TABLE decisions (
	seq         {id},
	id          {text} NOT NULL UNIQUE,
	name        {text} NOT NULL,
	version_key {blob} NOT NULL,
	arch        {text} NOT NULL,
	version     {text} NOT NULL,
	ruling      {text} NOT NULL,
	comment     {text} NOT NULL,
	findings    {text} NOT NULL,
	decided_by  {text} NOT NULL,
	decided_at  BIGINT NOT NULL,
	expires_at  BIGINT NOT NULL,
	active      BIGINT NOT NULL
);
CREATE INDEX decisions_key ON decisions (name, version_key, arch, decided_at);
CREATE INDEX decisions_expiry ON decisions (expires_at, seq) WHERE active = 1 AND expires_at > 0;

-- Where an artifact is to be published once it may be.
CREATE TABLE targets (
	artifact_id  BIGINT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
	distribution {text} NOT NULL REFERENCES distributions (codename) ON DELETE CASCADE,
	component    {text} NOT NULL,
	PRIMARY KEY (artifact_id, distribution, component)
) {clustered};
CREATE INDEX targets_distribution ON targets (distribution);

-- What follows is derived from the tables above and from artifacts and
-- publications, at the end of each update: see safety_totals.go.

-- An artifact in a listing: among those of a distribution, or among all where
-- distribution is ''. published is 0 where it is only to be published. queue is
-- 1 or 2 for a rejected one and one under review that wait for somebody, else 0.
CREATE TABLE postures (
	artifact_id  BIGINT NOT NULL REFERENCES artifacts (id) ON DELETE CASCADE,
	distribution {text} NOT NULL,
	published    BIGINT NOT NULL,
	status       {text} NOT NULL,
	worst        BIGINT NOT NULL,
	kev          BIGINT NOT NULL,
	epss         DOUBLE PRECISION NOT NULL,
	queue        BIGINT NOT NULL,
	uploaded_at  BIGINT NOT NULL,
	name         {text} NOT NULL,
	version_key  {blob} NOT NULL,
	arch         {text} NOT NULL,
	covered      BIGINT NOT NULL,
	critical     BIGINT NOT NULL,
	high         BIGINT NOT NULL,
	medium       BIGINT NOT NULL,
	low          BIGINT NOT NULL,
	negligible   BIGINT NOT NULL,
	unknown      BIGINT NOT NULL,
	PRIMARY KEY (artifact_id, distribution)
) {clustered};
-- Listings of a status read this index and not the table. One index more would
-- find the rare ones faster, and cost each upload.
CREATE INDEX postures_worst ON postures
	(distribution, worst DESC, kev DESC, epss DESC, name, version_key DESC, arch, status, artifact_id);
CREATE INDEX postures_queue ON postures
	(distribution, queue, uploaded_at, name, version_key DESC, arch, artifact_id) WHERE queue > 0;

-- Sums over the rows of postures.
CREATE TABLE posture_sums (
	distribution {text} NOT NULL,
	published    BIGINT NOT NULL,
	status       {text} NOT NULL,
	artifacts    BIGINT NOT NULL,
	covered      BIGINT NOT NULL,
	critical     BIGINT NOT NULL,
	high         BIGINT NOT NULL,
	medium       BIGINT NOT NULL,
	low          BIGINT NOT NULL,
	negligible   BIGINT NOT NULL,
	unknown      BIGINT NOT NULL,
	PRIMARY KEY (distribution, published, status)
) {clustered};

-- How many open findings of an ID there are, that are alike, in the artifacts
-- published in a distribution, or in all where distribution is ''; without those
-- of rejected and quarantined artifacts.
CREATE TABLE vulnerability_counts (
	distribution {text} NOT NULL,
	id           {text} NOT NULL,
	weight       BIGINT NOT NULL,
	fix_state    {text} NOT NULL,
	kev          BIGINT NOT NULL,
	findings     BIGINT NOT NULL,
	PRIMARY KEY (distribution, id, weight, fix_state)
) {clustered};
-- What is to be deleted is found here; there is nothing else in it.
CREATE INDEX vulnerability_counts_none ON vulnerability_counts (findings) WHERE findings = 0;

-- The artifacts there are so far were never scanned.
INSERT INTO postures
	SELECT a.id, p.distribution, 1, a.status, 1, 0, -1, CASE WHEN a.status = 'pending_review' THEN 2
			WHEN a.status = 'rejected' AND a.status_reason = 'cve' THEN 1 ELSE 0 END,
		a.uploaded_at, a.name, a.version_key, a.arch, 0, 0, 0, 0, 0, 0, 0
	FROM artifacts a JOIN (
		SELECT id AS artifact_id, '' AS distribution FROM artifacts
		UNION ALL SELECT artifact_id, distribution FROM publications WHERE sole = 1
	) p ON p.artifact_id = a.id;
INSERT INTO posture_sums
	SELECT distribution, published, status, COUNT(*), 0, 0, 0, 0, 0, 0, 0
	FROM postures GROUP BY distribution, published, status;
