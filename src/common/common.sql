/* medsync: see src/ for the rooms this script is made of */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION medsync" to load this file. \quit

-- A plain CREATE: a schema of this name that somebody made first is an error.
CREATE SCHEMA medsync;
COMMENT ON SCHEMA medsync IS
	'medsync: what users call; names that start with an underscore are internal';
REVOKE ALL ON SCHEMA medsync FROM PUBLIC;
GRANT USAGE ON SCHEMA medsync TO PUBLIC;

-- Roles belong to the cluster: use those that are there, if they are harmless.
DO LANGUAGE plpgsql $$
DECLARE
	role_name pg_catalog.text;
	role pg_catalog.pg_roles;
BEGIN
	FOREACH role_name IN ARRAY ARRAY['medsync_admin', 'medsync_auditor'] LOOP
		SELECT r.* INTO role FROM pg_catalog.pg_roles AS r
			WHERE r.rolname OPERATOR(pg_catalog.=) role_name::pg_catalog.name;
		IF NOT FOUND THEN
			BEGIN
				EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN', role_name);
			EXCEPTION WHEN unique_violation OR duplicate_object THEN
				NULL;			-- another database of the server makes it now
			END;
		ELSIF role.rolcanlogin OR role.rolsuper OR role.rolcreaterole THEN
			RAISE EXCEPTION USING
				ERRCODE = 'duplicate_object',
				MESSAGE = pg_catalog.format(
					'role "%s" exists and has LOGIN, SUPERUSER or CREATEROLE', role_name),
				HINT = pg_catalog.format(
					'Rename that role, or run ALTER ROLE %I NOLOGIN NOSUPERUSER NOCREATEROLE.',
					role_name);
		END IF;
	END LOOP;
END
$$;
