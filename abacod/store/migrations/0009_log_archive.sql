-- The logs of executions that have ended, as the janitor puts them away: in few pieces, each compressed if that makes it
-- shorter. What containers write meanwhile is in `log_pieces`, and behind it in the log.
CREATE TABLE log_archive (
  number    INTEGER PRIMARY KEY,  -- also the piece's `rowid` in the index of words
  execution INTEGER NOT NULL,     -- the execution's `seq`
  position  INTEGER NOT NULL,     -- the offset of the piece in its log, in bytes
  size      INTEGER NOT NULL,     -- bytes of the log in this piece
  data      BLOB NOT NULL         -- those bytes, or shorter and as zlib packs them
) STRICT;
CREATE UNIQUE INDEX log_archive_of_execution ON log_archive (execution, position);

-- The index of words of logs, a row for each piece, without a copy of the text.
DROP TRIGGER log_removed;
DROP TABLE log_words;
CREATE VIRTUAL TABLE log_words USING fts5 (text, content = '', tokenize = 'porter unicode61 remove_diacritics 2');
INSERT OR IGNORE INTO executions_to_index
  SELECT seq FROM executions WHERE finish_ms IS NOT NULL AND id IN (SELECT execution_id FROM log_pieces);
