-- Batch jobs handed over to another service; noted before it is asked.
CREATE TABLE launches (
  tenant   TEXT NOT NULL,
  engine   TEXT NOT NULL,
  key      TEXT NOT NULL,  -- the same each time that the same job is handed over
  began_ms INTEGER NOT NULL,
  job_id   TEXT,           -- NULL until the service has said it
  PRIMARY KEY (tenant, engine, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX launches_of_job ON launches (engine, job_id) WHERE job_id IS NOT NULL;

-- Jobs of a service that is asked for their status now and then; removed after the last one.
CREATE TABLE watches (
  seq        INTEGER PRIMARY KEY,
  tenant     TEXT NOT NULL,
  engine     TEXT NOT NULL,
  job_id     TEXT NOT NULL,
  username   TEXT NOT NULL,
  definition TEXT NOT NULL,                        -- sealed: its URLs hold nonces and tokens
  told       TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(told)),  -- by status, the notifications that are done with it
  failures   INTEGER NOT NULL DEFAULT 0,           -- in a row
  pause_ms   INTEGER NOT NULL,                     -- before the next look but one
  due_ms     INTEGER NOT NULL,
  UNIQUE (tenant, engine, job_id)
) STRICT;
CREATE INDEX watches_due ON watches (engine, due_ms);

-- Apps: what batch jobs run. Behind each that runs on this machine is a hidden actor, `builtin` = `app:ID`.
CREATE TABLE apps (
  seq         INTEGER PRIMARY KEY,                           -- creation order
  tenant      TEXT NOT NULL,
  id          TEXT NOT NULL,
  owner       TEXT NOT NULL,
  document    TEXT NOT NULL CHECK (json_valid(document)),    -- as it was given, with its id
  revision    INTEGER NOT NULL DEFAULT 1,
  created_ms  INTEGER NOT NULL,
  modified_ms INTEGER NOT NULL,
  UNIQUE (tenant, id)
) STRICT;

-- Jobs of the engine on this machine. What runs is the execution; everything around it is the status.
CREATE TABLE batch_jobs (
  seq            INTEGER PRIMARY KEY,                        -- creation order
  id             TEXT NOT NULL UNIQUE,
  tenant         TEXT NOT NULL,
  owner          TEXT NOT NULL,
  app_id         TEXT NOT NULL,
  name           TEXT NOT NULL,
  status         TEXT NOT NULL,
  ended          INTEGER NOT NULL DEFAULT 0,
  stopping       INTEGER NOT NULL DEFAULT 0,
  error          TEXT,
  key            TEXT,                                       -- of whoever submits: once for each
  definition     TEXT NOT NULL CHECK (json_valid(definition)),
  app            TEXT NOT NULL CHECK (json_valid(app)),      -- the app's description when the job was accepted
  inputs         TEXT NOT NULL CHECK (json_valid(inputs)),
  parameters     TEXT NOT NULL CHECK (json_valid(parameters)),
  archive_system TEXT,
  archive_path   TEXT,
  run_s          INTEGER,
  actor_id       TEXT,
  execution_id   TEXT,
  created_ms     INTEGER NOT NULL,
  updated_ms     INTEGER NOT NULL,
  submitted_ms   INTEGER,
  started_ms     INTEGER,
  ended_ms       INTEGER
) STRICT;
CREATE UNIQUE INDEX batch_jobs_key ON batch_jobs (tenant, key) WHERE key IS NOT NULL;
CREATE UNIQUE INDEX batch_jobs_execution ON batch_jobs (execution_id) WHERE execution_id IS NOT NULL;
CREATE INDEX batch_jobs_of_owner ON batch_jobs (tenant, owner, seq);
CREATE INDEX batch_jobs_live ON batch_jobs (seq) WHERE ended = 0;

CREATE TABLE batch_history (
  seq         INTEGER PRIMARY KEY,
  job_id      TEXT NOT NULL REFERENCES batch_jobs (id) ON DELETE CASCADE,
  status      TEXT NOT NULL,
  description TEXT NOT NULL,
  created_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX batch_history_of_job ON batch_history (job_id, seq);

-- Who is told. The address is sealed, for it holds nonces and tokens.
CREATE TABLE batch_hooks (
  seq        INTEGER PRIMARY KEY,
  job_id     TEXT NOT NULL REFERENCES batch_jobs (id) ON DELETE CASCADE,
  sealed_url TEXT NOT NULL,
  site       TEXT NOT NULL,                                  -- scheme, host and port of the address
  event      TEXT NOT NULL,
  persistent INTEGER NOT NULL,
  used       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX batch_hooks_of_job ON batch_hooks (job_id, seq);

-- What they are told: written with the status, delivered afterwards, in order for each job and site.
CREATE TABLE batch_notifications (
  seq        INTEGER PRIMARY KEY,
  job_id     TEXT NOT NULL REFERENCES batch_jobs (id) ON DELETE CASCADE,
  hook       INTEGER NOT NULL REFERENCES batch_hooks (seq) ON DELETE CASCADE,
  site       TEXT NOT NULL,
  status     TEXT NOT NULL,
  body       TEXT NOT NULL CHECK (json_valid(body)),
  created_ms INTEGER NOT NULL,
  done_ms    INTEGER,
  outcome    TEXT
) STRICT;
CREATE INDEX batch_notifications_waiting ON batch_notifications (job_id, site, seq) WHERE done_ms IS NULL;
