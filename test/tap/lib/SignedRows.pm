
# People who sign, for the tests of signed rows: a table of their private keys
# and functions that sign a row as a client would.

package SignedRows;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(add_signers);

# In a database with the extension: persons ada (practitioner, with a licence)
# and ben (nurse), and their keys.
sub add_signers
{
	my ($node, $db) = @_;

	$node->safe_psql($db, <<'SQL');
CREATE SCHEMA signing;
CREATE TABLE signing.held (who text PRIMARY KEY, person uuid, id uuid, private bytea);
CREATE FUNCTION signing.new_key(who text, person uuid, algorithm text, until timestamptz DEFAULT NULL)
	RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	pair record;
	key uuid;
BEGIN
	SELECT * INTO pair FROM medsync.generate_key_pair(algorithm);
	key := medsync.add_key(person, algorithm, pair.public_key, until);
	INSERT INTO signing.held VALUES (who, person, key, pair.private_key);
	RETURN key;
END $$;
-- a row as JSON, with its signature
CREATE FUNCTION signing.sign(relation regclass, who text, content jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	key signing.held;
	bytes bytea;
BEGIN
	SELECT * INTO STRICT key FROM signing.held h WHERE h.who = sign.who;
	content := content || jsonb_build_object('signer', key.id, 'signature', NULL);
	EXECUTE format('SELECT medsync.signing_bytes(jsonb_populate_record(NULL::%s, $1), ''signer'', ''signature'')', relation)
		USING content INTO STRICT bytes;
	RETURN content || jsonb_build_object('signature', medsync.sign(bytes, key.private));
END $$;
-- enter a row that is given as JSON
CREATE FUNCTION signing.put(relation regclass, content jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %s SELECT * FROM jsonb_populate_record(NULL::%1$s, $1)', relation) USING content;
END $$;
CREATE FUNCTION signing.enter(relation regclass, who text, content jsonb) RETURNS void LANGUAGE sql
	AS $$ SELECT signing.put(relation, signing.sign(relation, who, content)) $$;
-- replace the row that has this id
CREATE FUNCTION signing.change(relation regclass, content jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	columns text;
BEGIN
	SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns
		FROM pg_attribute WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped;
	EXECUTE format('UPDATE %s SET (%s) = (SELECT %2$s FROM jsonb_populate_record(NULL::%1$s, $1)) WHERE id = ($1->>''id'')::int',
		relation, columns) USING content;
END $$;
DO $$
DECLARE
	ada uuid := medsync.register_person('practitioner', 'Ada', subject => 'ada');
	ben uuid := medsync.register_person('nurse', 'Ben', subject => 'ben');
BEGIN
	PERFORM medsync.verify_person(ada), medsync.verify_person(ben);
	PERFORM medsync.add_licence(ada, 'MD', '4711', 'state', now() - interval '1 year');
	PERFORM signing.new_key('ada', ada, 'ed25519'), signing.new_key('ada p-256', ada, 'p-256'),
		signing.new_key('ada rsa', ada, 'rsa-2048'), signing.new_key('ben', ben, 'p-256'),
		signing.new_key('box', ada, 'x25519');
END $$;
SQL
	return;
}

1;
