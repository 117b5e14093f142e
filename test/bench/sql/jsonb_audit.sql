--
-- Peer: the well-known PL/pgSQL audit trigger.  One row trigger writes who,
-- when and both images as jsonb.  SECURITY DEFINER with a pinned search_path,
-- since whoever writes the table must not be able to write its audit.
--
CREATE SCHEMA audit;

CREATE TABLE audit.logged_action (
	event_id		bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	relation		oid NOT NULL,
	schema_name		text NOT NULL,
	table_name		text NOT NULL,
	session_role	text NOT NULL,
	transaction_at	timestamptz NOT NULL,
	statement_at	timestamptz NOT NULL,
	recorded_at		timestamptz NOT NULL,
	transaction_id	xid8 NOT NULL,
	operation		text NOT NULL,
	old_row			jsonb,
	new_row			jsonb
);

CREATE FUNCTION audit.log_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO audit.logged_action
		(relation, schema_name, table_name, session_role,
		 transaction_at, statement_at, recorded_at, transaction_id,
		 operation, old_row, new_row)
	VALUES
		(TG_RELID, TG_TABLE_SCHEMA, TG_TABLE_NAME, session_user,
		 now(), statement_timestamp(), clock_timestamp(),
		 pg_current_xact_id(), TG_OP,
		 CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END,
		 CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END);
	RETURN NULL;
END;
$$;

CREATE TRIGGER audit_row AFTER INSERT OR UPDATE OR DELETE ON bench.t
	FOR EACH ROW EXECUTE FUNCTION audit.log_row();
