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
