-- When a password last changed, NULL for never: tokens issued under an earlier one are refused.
ALTER TABLE users ADD COLUMN password_ms INTEGER;

-- The sums outlive their actor, and know whose they are. Every actor has a row from its registration on.
ALTER TABLE actor_totals ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
INSERT INTO actor_totals (actor_id) SELECT id FROM actors WHERE id NOT IN (SELECT actor_id FROM actor_totals);
UPDATE actor_totals SET tenant = coalesce(
  (SELECT tenant FROM actors WHERE id = actor_id),
  (SELECT tenant FROM executions e WHERE e.actor_id = actor_totals.actor_id LIMIT 1), '');
CREATE INDEX actor_totals_of_tenant ON actor_totals (tenant);

-- Values for actors. `value` is sealed if it is secret; `actors` is what the user wrote; `room` is what the config takes in
-- an environment variable, in bytes.
CREATE TABLE configs (
  seq       INTEGER PRIMARY KEY,                             -- creation order
  tenant    TEXT NOT NULL,
  name      TEXT NOT NULL,
  value     TEXT NOT NULL,
  is_secret INTEGER NOT NULL CHECK (is_secret IN (0, 1)),
  actors    TEXT NOT NULL,
  owner     TEXT NOT NULL,
  room      INTEGER NOT NULL,
  UNIQUE (tenant, name)
) STRICT;

-- Each id or alias that a config names.
CREATE TABLE config_actors (
  tenant     TEXT NOT NULL,
  identifier TEXT NOT NULL,
  config     INTEGER NOT NULL REFERENCES configs (seq) ON DELETE CASCADE,
  PRIMARY KEY (tenant, identifier, config)
) STRICT, WITHOUT ROWID;
CREATE INDEX config_actors_of_config ON config_actors (config);
