-- When a password last changed, NULL for never: tokens issued under an earlier one are refused.
ALTER TABLE users ADD COLUMN password_ms INTEGER;

-- The sums outlive their actor, and know whose they are. Every actor has a row from its registration on.
ALTER TABLE actor_totals ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
INSERT INTO actor_totals (actor_id) SELECT id FROM actors WHERE id NOT IN (SELECT actor_id FROM actor_totals);
UPDATE actor_totals SET tenant = coalesce(
  (SELECT tenant FROM actors WHERE id = actor_id),
  (SELECT tenant FROM executions e WHERE e.actor_id = actor_totals.actor_id LIMIT 1), '');
CREATE INDEX actor_totals_of_tenant ON actor_totals (tenant);
