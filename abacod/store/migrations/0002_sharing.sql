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

-- Keys to one actor or alias each. The key itself is nowhere: it is found by its SHA-256, and shown by unsealing it.
CREATE TABLE nonces (
  seq         INTEGER PRIMARY KEY,                           -- creation order
  digest      BLOB NOT NULL UNIQUE,                          -- SHA-256 of the id
  sealed      TEXT NOT NULL,                                 -- the id, encrypted
  tenant      TEXT NOT NULL,
  kind        TEXT NOT NULL CHECK (kind IN ('actor', 'alias')),
  subject     TEXT NOT NULL,                                 -- as in `permissions`
  owner       TEXT NOT NULL,
  roles       TEXT NOT NULL CHECK (json_valid(roles)),       -- those the owner had when it was made, a list
  level       INTEGER NOT NULL CHECK (level BETWEEN 0 AND 3),
  description TEXT NOT NULL,
  max_uses    INTEGER,                                       -- NULL: any number
  uses        INTEGER NOT NULL DEFAULT 0,
  create_ms   INTEGER NOT NULL,
  last_use_ms INTEGER,
  CHECK (max_uses IS NULL OR (max_uses > 0 AND uses <= max_uses))
) STRICT;
CREATE INDEX nonces_of_subject ON nonces (kind, subject, seq);
CREATE INDEX nonces_of_owner ON nonces (tenant, owner);
