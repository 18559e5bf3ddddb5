-- The outbox: what happened to actors that had a link or webhook then, in the order of occurrence. A row stays for a while
-- after its delivery.
CREATE TABLE events (
  seq             INTEGER PRIMARY KEY AUTOINCREMENT,
  actor_id        TEXT NOT NULL REFERENCES actors (id) ON DELETE CASCADE,
  body            TEXT NOT NULL CHECK (json_valid(body)),    -- the event as it is sent
  link            TEXT NOT NULL,                             -- as the actor had it then, '' for none
  target          TEXT,                                      -- the actor the link led to then, if to any
  webhook         TEXT NOT NULL,                             -- '' for none
  link_outcome    TEXT,                                      -- NULL: still to be delivered
  attempt_ms      INTEGER,                                   -- set before the one attempt of the webhook
  webhook_outcome TEXT,                                      -- NULL: still to be attempted, or its end was not seen
  done_ms         INTEGER
) STRICT;
CREATE INDEX events_of_actor ON events (actor_id, seq);
CREATE INDEX events_waiting ON events (actor_id, seq) WHERE done_ms IS NULL;
CREATE INDEX events_done ON events (done_ms) WHERE done_ms IS NOT NULL;

-- The first and the next run of an actor's schedule. `cron_next_ex` held the next one as text, `yyyy-m-d h`; now it is made
-- of the moment, for whoever asks the database for it.
ALTER TABLE actors ADD COLUMN cron_start_ms INTEGER;
ALTER TABLE actors ADD COLUMN cron_next_ms INTEGER;
UPDATE actors SET cron_next_ms = 1000 * (
  SELECT unixepoch(printf('%04d-%02d-%02d %02d:00', parts ->> 0, parts ->> 1, parts ->> 2, parts ->> 3))
  FROM (SELECT '[' || replace(replace(cron_next_ex, '-', ','), ' ', ',') || ']' AS parts))
WHERE cron_next_ex IS NOT NULL;
UPDATE actors SET cron_start_ms = cron_next_ms;
ALTER TABLE actors DROP COLUMN cron_next_ex;
ALTER TABLE actors ADD COLUMN cron_next_ex TEXT GENERATED ALWAYS AS (
  iif(cron_next_ms IS NULL, NULL, printf('%d-%d-%d %d',
    strftime('%Y', cron_next_ms / 1000, 'unixepoch'), strftime('%m', cron_next_ms / 1000, 'unixepoch'),
    strftime('%d', cron_next_ms / 1000, 'unixepoch'), strftime('%H', cron_next_ms / 1000, 'unixepoch')))) VIRTUAL;
CREATE INDEX actors_cron ON actors (cron_next_ms) WHERE cron_next_ms IS NOT NULL;
