-- What the daemon registers itself: the alias of a built-in reactor, or `app:ID` for the actor behind an app.
ALTER TABLE actors ADD COLUMN builtin TEXT;
CREATE UNIQUE INDEX actors_builtin ON actors (tenant, builtin) WHERE builtin IS NOT NULL;

-- Whether the sender had a nonce only, and no token of the user that the execution runs as.
ALTER TABLE messages ADD COLUMN by_nonce INTEGER NOT NULL DEFAULT 0;

-- `salt` goes into the document token, which itself is nowhere on disk.
CREATE TABLE pipelines (
  seq         INTEGER PRIMARY KEY,                           -- creation order
  tenant      TEXT NOT NULL,
  uuid        TEXT NOT NULL,
  id          TEXT,
  document    TEXT NOT NULL CHECK (json_valid(document)),    -- as users see it, without the UUID
  visible     INTEGER NOT NULL DEFAULT 1,
  owner       TEXT NOT NULL,
  salt        TEXT NOT NULL,
  revision    INTEGER NOT NULL DEFAULT 0,
  created_ms  INTEGER NOT NULL,
  modified_ms INTEGER NOT NULL,
  UNIQUE (tenant, uuid)
) STRICT;
CREATE UNIQUE INDEX pipelines_id ON pipelines (tenant, id) WHERE id IS NOT NULL;

-- What a job is linked to stands in `links`.
CREATE TABLE jobs (
  seq           INTEGER PRIMARY KEY,                         -- creation order
  tenant        TEXT NOT NULL,
  uuid          TEXT NOT NULL,
  pipeline_uuid TEXT NOT NULL,
  state         TEXT NOT NULL,
  last_event    TEXT NOT NULL,
  document      TEXT NOT NULL CHECK (json_valid(document)),  -- what is fixed at creation: agent, archive, data, session, task
  owner         TEXT NOT NULL,
  salt          TEXT NOT NULL,
  revision      INTEGER NOT NULL DEFAULT 0,
  created_ms    INTEGER NOT NULL,
  updated_ms    INTEGER NOT NULL,
  UNIQUE (tenant, uuid)
) STRICT;
CREATE INDEX jobs_of_tenant ON jobs (tenant, seq);
CREATE INDEX jobs_of_pipeline ON jobs (tenant, pipeline_uuid, seq);
CREATE INDEX jobs_in_state ON jobs (tenant, state, seq);

-- The history of jobs. One execution brings an event to a job once, also if it is run again after a crash.
CREATE TABLE job_events (
  seq          INTEGER PRIMARY KEY,                          -- order of arrival
  tenant       TEXT NOT NULL,
  job          TEXT NOT NULL,
  uuid         TEXT NOT NULL,
  name         TEXT NOT NULL,
  date_ms      INTEGER NOT NULL,
  data         TEXT NOT NULL CHECK (json_valid(data)),
  execution_id TEXT,                                         -- what brought it, NULL if it came over HTTP
  FOREIGN KEY (tenant, job) REFERENCES jobs (tenant, uuid) ON DELETE CASCADE
) STRICT;
CREATE INDEX job_events_of_job ON job_events (tenant, job, seq);
CREATE UNIQUE INDEX job_events_once ON job_events (tenant, job, execution_id, name) WHERE execution_id IS NOT NULL;

-- The data catalog: experiment designs, experiments, samples, measurements, files, references, processes, fixities …
CREATE TABLE records (
  seq         INTEGER PRIMARY KEY,                           -- creation order
  tenant      TEXT NOT NULL,
  uuid        TEXT NOT NULL,
  kind        TEXT NOT NULL,                                 -- the type key of the UUID's prefix
  document    TEXT NOT NULL CHECK (json_valid(document)),    -- as users see it, without UUID and links
  owner       TEXT NOT NULL,
  revision    INTEGER NOT NULL DEFAULT 0,
  created_ms  INTEGER NOT NULL,
  modified_ms INTEGER NOT NULL,
  UNIQUE (tenant, uuid)
) STRICT;
CREATE INDEX records_of_kind ON records (tenant, kind, seq);

-- The readable ids of records; a record may have several.
CREATE TABLE identifiers (
  tenant     TEXT NOT NULL,
  kind       TEXT NOT NULL,
  identifier TEXT NOT NULL,
  uuid       TEXT NOT NULL,
  PRIMARY KEY (tenant, kind, identifier)
) STRICT, WITHOUT ROWID;
CREATE INDEX identifiers_of_record ON identifiers (tenant, uuid);

-- From pipelines, jobs and records to what they belong to, come from or used (spec/pipelinejobs 1.8).
CREATE TABLE links (
  tenant TEXT NOT NULL,
  child  TEXT NOT NULL,
  link   TEXT NOT NULL CHECK (link IN ('child_of', 'derived_from', 'derived_using', 'generated_by', 'acted_on', 'acted_using')),
  parent TEXT NOT NULL,
  PRIMARY KEY (tenant, child, link, parent)
) STRICT, WITHOUT ROWID;
CREATE INDEX links_to ON links (tenant, parent, link, child);

-- One row for each change of a pipeline, job or record.
CREATE TABLE updates (
  seq     INTEGER PRIMARY KEY,
  tenant  TEXT NOT NULL,
  uuid    TEXT NOT NULL,
  action  TEXT NOT NULL CHECK (action IN ('create', 'update', 'replace', 'delete')),
  by_user TEXT NOT NULL,
  date_ms INTEGER NOT NULL,
  changes TEXT NOT NULL CHECK (json_valid(changes))          -- the fields that changed, as they are now
) STRICT;
CREATE INDEX updates_of ON updates (tenant, uuid, seq);
