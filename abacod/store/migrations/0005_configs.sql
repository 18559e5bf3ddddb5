-- When a password last changed, NULL for never: tokens issued under an earlier one are refused.
ALTER TABLE users ADD COLUMN password_ms INTEGER;
