-- Times are whole milliseconds since 1970 in UTC (`…_ms`). Structured values are JSON text.

-- Facts about this data directory itself, e.g. its `instance` id.
CREATE TABLE facts (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
  tenant        TEXT NOT NULL,
  username      TEXT NOT NULL,
  password_hash TEXT NOT NULL,                               -- argon2
  roles         TEXT NOT NULL CHECK (json_valid(roles)),     -- a list
  uid           INTEGER,
  gid           INTEGER,
  created_ms    INTEGER NOT NULL,
  PRIMARY KEY (tenant, username)
) STRICT, WITHOUT ROWID;

CREATE TABLE actors (
  seq            INTEGER PRIMARY KEY,                        -- creation order
  id             TEXT NOT NULL UNIQUE,
  tenant         TEXT NOT NULL,
  owner          TEXT NOT NULL,
  definition     TEXT NOT NULL CHECK (json_valid(definition)),
  status         TEXT NOT NULL CHECK (status IN ('SUBMITTED', 'READY', 'ERROR', 'SHUTTING_DOWN')),
  status_message TEXT NOT NULL,
  revision       INTEGER NOT NULL CHECK (revision >= 1),
  state          TEXT NOT NULL CHECK (json_valid(state)),
  mounts         TEXT NOT NULL CHECK (json_valid(mounts)),
  uid            INTEGER,
  gid            INTEGER,
  tasdir         TEXT,
  cron_next_ex   TEXT,
  create_ms      INTEGER NOT NULL,
  update_ms      INTEGER NOT NULL
) STRICT;
CREATE INDEX actors_of_tenant ON actors (tenant, seq);

-- Who may do what; levels as numbers: 0 NONE, 1 READ, 2 EXECUTE, 3 UPDATE.
CREATE TABLE actor_permissions (
  actor_id TEXT NOT NULL REFERENCES actors (id) ON DELETE CASCADE,
  username TEXT NOT NULL,
  level    INTEGER NOT NULL CHECK (level BETWEEN 0 AND 3),
  PRIMARY KEY (actor_id, username)
) STRICT, WITHOUT ROWID;

-- Executions outlive their actor, so there is no reference to it.
CREATE TABLE executions (
  seq            INTEGER PRIMARY KEY,                        -- creation order
  id             TEXT NOT NULL UNIQUE,
  actor_id       TEXT NOT NULL,
  tenant         TEXT NOT NULL,
  executor       TEXT NOT NULL,
  executor_uid   INTEGER,
  executor_gid   INTEGER,
  status         TEXT NOT NULL CHECK (status IN ('SUBMITTED', 'RUNNING', 'COMPLETE', 'ERROR')),
  revision       INTEGER NOT NULL,
  worker_id      TEXT,
  received_ms    INTEGER NOT NULL,
  start_ms       INTEGER,
  finish_ms      INTEGER,
  runtime_s      INTEGER NOT NULL DEFAULT 0,
  cpu_ns         INTEGER NOT NULL DEFAULT 0,
  io_bytes       INTEGER NOT NULL DEFAULT 0,
  exit_code      INTEGER,
  final_state    TEXT CHECK (final_state IS NULL OR json_valid(final_state)),
  log_expires_ms INTEGER,
  CHECK ((status IN ('COMPLETE', 'ERROR')) = (finish_ms IS NOT NULL)),
  CHECK (status != 'SUBMITTED' OR start_ms IS NULL),
  CHECK (status != 'RUNNING' OR (start_ms IS NOT NULL AND worker_id IS NOT NULL))
) STRICT;
CREATE INDEX executions_of_actor ON executions (actor_id, seq);
CREATE INDEX executions_running ON executions (seq) WHERE status = 'RUNNING';
CREATE INDEX executions_expiring ON executions (log_expires_ms) WHERE log_expires_ms IS NOT NULL;

-- Sums over all executions an actor ever had, so that a list need not add them up.
CREATE TABLE actor_totals (
  actor_id   TEXT PRIMARY KEY,
  executions INTEGER NOT NULL DEFAULT 0,
  runtime_s  INTEGER NOT NULL DEFAULT 0,
  cpu_ns     INTEGER NOT NULL DEFAULT 0,
  io_bytes   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- The mailboxes. A message stays until its execution has ended; `started` says that its container is about to be
-- started or was, so that it must not be handed out again.
CREATE TABLE messages (
  seq          INTEGER PRIMARY KEY AUTOINCREMENT,            -- mailbox order; never used twice, even after a purge
  execution_id TEXT NOT NULL UNIQUE REFERENCES executions (id),
  actor_id     TEXT NOT NULL,
  content_type TEXT NOT NULL CHECK (content_type IN ('str', 'application/json', 'application/octet-stream')),
  body         TEXT,                                         -- NULL: the bytes lie in a file named after the execution
  environment  TEXT NOT NULL CHECK (json_valid(environment)),
  attempts     INTEGER NOT NULL DEFAULT 0,                   -- failed starts
  started      INTEGER NOT NULL DEFAULT 0 CHECK (started IN (0, 1)),
  CHECK ((body IS NULL) = (content_type = 'application/octet-stream'))
) STRICT;
CREATE INDEX messages_waiting ON messages (actor_id, seq) WHERE started = 0;

-- What containers wrote, in pieces; `position` is the offset of a piece in its log, in bytes.
CREATE TABLE log_pieces (
  execution_id TEXT NOT NULL,
  position     INTEGER NOT NULL,
  data         BLOB NOT NULL,
  PRIMARY KEY (execution_id, position)
) STRICT, WITHOUT ROWID;
