-- Who may do what with actors, aliases and configs; levels as numbers: 0 NONE, 1 READ, 2 EXECUTE, 3 UPDATE.
-- `subject` is the id of an actor, and for an alias or config its tenant, an underscore and its name.
CREATE TABLE permissions (
  kind     TEXT NOT NULL CHECK (kind IN ('actor', 'alias', 'config')),
  subject  TEXT NOT NULL,
  username TEXT NOT NULL,
  level    INTEGER NOT NULL CHECK (level BETWEEN 0 AND 3),
  PRIMARY KEY (kind, subject, username)
) STRICT, WITHOUT ROWID;
CREATE INDEX permissions_of_user ON permissions (kind, username, level, subject);

INSERT INTO permissions SELECT 'actor', actor_id, username, level FROM actor_permissions;
DROP TABLE actor_permissions;

CREATE TABLE aliases (
  seq      INTEGER PRIMARY KEY,                              -- creation order
  tenant   TEXT NOT NULL,
  name     TEXT NOT NULL,
  actor_id TEXT NOT NULL REFERENCES actors (id),
  owner    TEXT NOT NULL,
  UNIQUE (tenant, name)
) STRICT;
CREATE INDEX aliases_of_actor ON aliases (actor_id);
