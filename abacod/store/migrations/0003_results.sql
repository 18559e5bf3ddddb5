-- What containers sent as results, until it is fetched or its time has passed; oldest first by `seq`.
CREATE TABLE results (
  seq          INTEGER PRIMARY KEY,
  execution_id TEXT NOT NULL,
  expires_ms   INTEGER NOT NULL,
  data         BLOB NOT NULL
) STRICT;
CREATE INDEX results_of_execution ON results (execution_id, seq, expires_ms);
CREATE INDEX results_expiring ON results (expires_ms);
