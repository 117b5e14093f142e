-- ------------------------------------------------------------------
-- witnesses: table
-- ------------------------------------------------------------------

CREATE TABLE medsync._witness (
	name pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	url pg_catalog.text NOT NULL,
	verifier_key pg_catalog.text NOT NULL,
	CONSTRAINT _witness_pkey PRIMARY KEY (name)
);
REVOKE ALL ON TABLE medsync._witness FROM PUBLIC;
COMMENT ON TABLE medsync._witness IS 'Who is shown our checkpoints, to cosign them';
COMMENT ON COLUMN medsync._witness.name IS 'Ours for it; of one key for ever';
COMMENT ON COLUMN medsync._witness.url IS 'Submission prefix; add-checkpoint is asked for below it';
COMMENT ON COLUMN medsync._witness.verifier_key IS 'C2SP verifier key of type 4';
SELECT pg_catalog.pg_extension_config_dump('medsync._witness', '');

-- ------------------------------------------------------------------
-- witnesses: functions
-- ------------------------------------------------------------------

CREATE FUNCTION medsync.add_witness(
	name pg_catalog.text,
	url pg_catalog.text,
	verifier_key pg_catalog.text)
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_add_witness';
REVOKE ALL ON FUNCTION medsync.add_witness(pg_catalog.text, pg_catalog.text, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.add_witness(pg_catalog.text, pg_catalog.text, pg_catalog.text) TO medsync_admin;
COMMENT ON FUNCTION medsync.add_witness(pg_catalog.text, pg_catalog.text, pg_catalog.text) IS
	'Register a witness that will be shown our checkpoints';

CREATE FUNCTION medsync.remove_witness(name pg_catalog.text)
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_remove_witness';
REVOKE ALL ON FUNCTION medsync.remove_witness(pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.remove_witness(pg_catalog.text) TO medsync_admin;
COMMENT ON FUNCTION medsync.remove_witness(pg_catalog.text) IS
	'Show a witness no more checkpoints; what it cosigned stays';

CREATE FUNCTION medsync.set_witness_policy(policy pg_catalog.text)
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_set_witness_policy';
REVOKE ALL ON FUNCTION medsync.set_witness_policy(pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.set_witness_policy(pg_catalog.text) TO medsync_admin;
COMMENT ON FUNCTION medsync.set_witness_policy(pg_catalog.text) IS
	'How many of the witnesses must have cosigned a checkpoint: none, any, all or a number';

CREATE FUNCTION medsync.submit_checkpoint()
	RETURNS TABLE (
		witness pg_catalog.text,
		state pg_catalog.text,
		detail pg_catalog.text)
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_submit_checkpoint';
REVOKE ALL ON FUNCTION medsync.submit_checkpoint() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.submit_checkpoint() TO medsync_admin;
COMMENT ON FUNCTION medsync.submit_checkpoint() IS
	'Show the newest checkpoint to every witness and store what they cosign; a row for each';

CREATE FUNCTION medsync._witnessed(
	height pg_catalog.int8,
	note pg_catalog.text,
	OUT registered pg_catalog.int4,
	OUT needed pg_catalog.int4,
	OUT cosigned pg_catalog.text[],
	OUT forged pg_catalog.text[],
	OUT met pg_catalog.bool)
	RETURNS record
	LANGUAGE C STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'medsync_witnessed';
REVOKE ALL ON FUNCTION medsync._witnessed(pg_catalog.int8, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync._witnessed(pg_catalog.int8, pg_catalog.text) TO medsync_admin, medsync_auditor;
COMMENT ON FUNCTION medsync._witnessed(pg_catalog.int8, pg_catalog.text) IS
	'Which of the registered witnesses have cosigned the signed note of a block, and whether that meets medsync.witness_policy';

-- ------------------------------------------------------------------
-- witnesses: views
-- ------------------------------------------------------------------

-- Only cosignatures that verify are shown; nothing is checked unless asked for.
CREATE VIEW medsync.checkpoint AS
	SELECT b.height,
		b.first_index OPERATOR(pg_catalog.+) b.entry_count AS size,
		b.root,
		b.previous_hash AS previous,
		b.hash,
		b.sealed_at,
		c.note OPERATOR(pg_catalog.||) COALESCE(
			(SELECT pg_catalog.string_agg(s.line OPERATOR(pg_catalog.||) E'\n', '' ORDER BY s.witness)
			 FROM medsync._cosignature AS s
			 WHERE s.height OPERATOR(pg_catalog.=) b.height
			 AND s.witness OPERATOR(pg_catalog.=) ANY (
				(SELECT w.cosigned FROM medsync._witnessed(b.height, c.note) AS w)::pg_catalog.text[])), '') AS note,
		(SELECT w.cosigned FROM medsync._witnessed(b.height, c.note) AS w) AS witnesses
	FROM medsync._block AS b
	LEFT JOIN medsync._checkpoint AS c ON c.height OPERATOR(pg_catalog.=) b.height;
REVOKE ALL ON TABLE medsync.checkpoint FROM PUBLIC;
GRANT SELECT ON TABLE medsync.checkpoint TO medsync_admin, medsync_auditor;
COMMENT ON VIEW medsync.checkpoint IS
	'The blocks of the ledger, with the signed notes that went out and who cosigned them; note and witnesses are null in blocks that nobody signed';

CREATE VIEW medsync.witness AS
	SELECT w.name,
		w.url,
		w.verifier_key,
		(SELECT pg_catalog.max(c.height)
		 FROM medsync._cosignature AS c
		 WHERE c.witness OPERATOR(pg_catalog.=) w.name) AS height
	FROM medsync._witness AS w;
REVOKE ALL ON TABLE medsync.witness FROM PUBLIC;
GRANT SELECT ON TABLE medsync.witness TO medsync_admin, medsync_auditor;
COMMENT ON VIEW medsync.witness IS
	'The registered witnesses, and the newest block that each has cosigned';
