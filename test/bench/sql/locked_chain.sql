--
-- Peer: a locked hash chain.  Each change takes the lock of the one head row
-- until the end of its transaction, so that the chain has one order, and
-- stores sha256(previous hash || the change).
--
-- The previous hash is read from the chain itself through its primary key.
-- Keeping it in the head row would be much slower in bulk: a row updated
-- 100,000 times in one transaction has as many versions to step over.
--
CREATE SCHEMA chain;

CREATE TABLE chain.head (only_one boolean PRIMARY KEY CHECK (only_one));
INSERT INTO chain.head VALUES (true);

CREATE TABLE chain.link (
	position		bigint PRIMARY KEY,
	table_name		text NOT NULL,
	session_role	text NOT NULL,
	recorded_at		timestamptz NOT NULL,
	operation		text NOT NULL,
	old_row			jsonb,
	new_row			jsonb,
	hash			bytea NOT NULL
);

CREATE FUNCTION chain.append() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	last		record;
	at			timestamptz := clock_timestamp();
	old_image	jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
	new_image	jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
BEGIN
	PERFORM 1 FROM chain.head FOR UPDATE;
	SELECT position, hash INTO last
		FROM chain.link ORDER BY position DESC LIMIT 1;
	INSERT INTO chain.link
	VALUES (coalesce(last.position + 1, 0), TG_TABLE_NAME, session_user, at,
			TG_OP, old_image, new_image,
			sha256(coalesce(last.hash, '') ||
				   convert_to(concat_ws('|', TG_TABLE_NAME, session_user, at,
										TG_OP, old_image, new_image), 'UTF8')));
	RETURN NULL;
END;
$$;

CREATE TRIGGER chain_row AFTER INSERT OR UPDATE OR DELETE ON bench.t
	FOR EACH ROW EXECUTE FUNCTION chain.append();
