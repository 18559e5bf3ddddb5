-- Searches by status and by time look at the records that fit, not at all of them; each is within the actors of the caller.
CREATE INDEX executions_by_status ON executions (actor_id, status);
CREATE INDEX executions_by_received ON executions (actor_id, received_ms);
CREATE INDEX executions_by_start ON executions (actor_id, start_ms) WHERE start_ms IS NOT NULL;
CREATE INDEX executions_by_finish ON executions (actor_id, finish_ms) WHERE finish_ms IS NOT NULL;

-- A log whose time has passed is no record any more; one that was empty from the start is.
ALTER TABLE executions ADD COLUMN log_gone INTEGER NOT NULL DEFAULT 0 CHECK (log_gone IN (0, 1));

-- The words of records, for full-text search; `rowid` is the record's `seq`. They are written behind the records: what was
-- added or changed since waits in the lists below, until a search or the janitor works them off.
CREATE VIRTUAL TABLE actor_words USING fts5 (text, tokenize = 'porter unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE execution_words USING fts5 (text, tokenize = 'porter unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE log_words USING fts5 (text, tokenize = 'porter unicode61 remove_diacritics 2');

CREATE TABLE actors_to_index (seq INTEGER PRIMARY KEY) STRICT;
CREATE TABLE executions_to_index (seq INTEGER PRIMARY KEY) STRICT;
INSERT INTO actors_to_index SELECT seq FROM actors;
INSERT INTO executions_to_index SELECT seq FROM executions;

CREATE TRIGGER actor_added AFTER INSERT ON actors BEGIN
  INSERT OR IGNORE INTO actors_to_index VALUES (new.seq);
END;
CREATE TRIGGER actor_changed AFTER UPDATE ON actors BEGIN
  INSERT OR IGNORE INTO actors_to_index VALUES (new.seq);
END;
CREATE TRIGGER actor_removed AFTER DELETE ON actors BEGIN
  DELETE FROM actors_to_index WHERE seq = old.seq;
  DELETE FROM actor_words WHERE rowid = old.seq;
END;
CREATE TRIGGER execution_added AFTER INSERT ON executions BEGIN
  INSERT OR IGNORE INTO executions_to_index VALUES (new.seq);
END;
CREATE TRIGGER execution_changed AFTER UPDATE OF status ON executions BEGIN
  INSERT OR IGNORE INTO executions_to_index VALUES (new.seq);
END;
CREATE TRIGGER log_removed AFTER UPDATE OF log_gone ON executions BEGIN
  DELETE FROM log_words WHERE rowid = new.seq;
END;
