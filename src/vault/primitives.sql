-- ------------------------------------------------------------------
-- vault: primitives
-- ------------------------------------------------------------------

/*
 * For everybody: who has no key can do nothing with them.  Those that draw
 * random numbers are volatile.  Those that give a secret are stable, since an
 * immutable one is evaluated into plans and may stand in an index.
 */
CREATE FUNCTION medsync.generate_key()
	RETURNS pg_catalog.bytea
	LANGUAGE C VOLATILE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_generate_key';
COMMENT ON FUNCTION medsync.generate_key() IS
	'32 random bytes: a key for encrypt()';

CREATE FUNCTION medsync.encrypt(
	plaintext pg_catalog.bytea,
	key pg_catalog.bytea,
	aad pg_catalog.bytea DEFAULT '')
	RETURNS pg_catalog.bytea
	LANGUAGE C VOLATILE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_encrypt';
COMMENT ON FUNCTION medsync.encrypt(pg_catalog.bytea, pg_catalog.bytea, pg_catalog.bytea) IS
	'AES-256-GCM under a 32-byte key and a random nonce; aad is authenticated and not encrypted';

CREATE FUNCTION medsync.decrypt(
	ciphertext pg_catalog.bytea,
	key pg_catalog.bytea,
	aad pg_catalog.bytea DEFAULT '')
	RETURNS pg_catalog.bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_decrypt';
COMMENT ON FUNCTION medsync.decrypt(pg_catalog.bytea, pg_catalog.bytea, pg_catalog.bytea) IS
	'Open what encrypt() made, with the same key and aad';

CREATE FUNCTION medsync.generate_key_pair(
	algorithm pg_catalog.text,
	OUT public_key pg_catalog.bytea,
	OUT private_key pg_catalog.bytea)
	LANGUAGE C VOLATILE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_generate_key_pair';
COMMENT ON FUNCTION medsync.generate_key_pair(pg_catalog.text) IS
	'A new pair of keys, SubjectPublicKeyInfo and PKCS#8 in DER; algorithm is ed25519, p-256, rsa-2048, rsa-3072, rsa-4096 or x25519';

CREATE FUNCTION medsync.public_key(private_key pg_catalog.bytea)
	RETURNS pg_catalog.bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_public_key';
COMMENT ON FUNCTION medsync.public_key(pg_catalog.bytea) IS
	'The public key that belongs to a private one';

CREATE FUNCTION medsync.rsa_encrypt(
	plaintext pg_catalog.bytea,
	public_key pg_catalog.bytea,
	label pg_catalog.bytea DEFAULT '')
	RETURNS pg_catalog.bytea
	LANGUAGE C VOLATILE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_rsa_encrypt';
COMMENT ON FUNCTION medsync.rsa_encrypt(pg_catalog.bytea, pg_catalog.bytea, pg_catalog.bytea) IS
	'One block of RSAES-OAEP with SHA-256, to the holder of the private key';

CREATE FUNCTION medsync.rsa_decrypt(
	ciphertext pg_catalog.bytea,
	private_key pg_catalog.bytea,
	label pg_catalog.bytea DEFAULT '')
	RETURNS pg_catalog.bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_rsa_decrypt';
COMMENT ON FUNCTION medsync.rsa_decrypt(pg_catalog.bytea, pg_catalog.bytea, pg_catalog.bytea) IS
	'Open what rsa_encrypt() made, with the same label';

CREATE FUNCTION medsync.wrap_key(
	key pg_catalog.bytea,
	public_key pg_catalog.bytea)
	RETURNS pg_catalog.bytea
	LANGUAGE C VOLATILE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_wrap_key';
COMMENT ON FUNCTION medsync.wrap_key(pg_catalog.bytea, pg_catalog.bytea) IS
	'A key of up to 128 bytes, encrypted to an RSA key (OAEP) or an X25519 key (sealed box)';

CREATE FUNCTION medsync.unwrap_key(
	wrapped pg_catalog.bytea,
	private_key pg_catalog.bytea)
	RETURNS pg_catalog.bytea
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_unwrap_key';
COMMENT ON FUNCTION medsync.unwrap_key(pg_catalog.bytea, pg_catalog.bytea) IS
	'Open what wrap_key() made';

CREATE FUNCTION medsync.sign(
	message pg_catalog.bytea,
	private_key pg_catalog.bytea)
	RETURNS pg_catalog.bytea
	LANGUAGE C VOLATILE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_sign';
COMMENT ON FUNCTION medsync.sign(pg_catalog.bytea, pg_catalog.bytea) IS
	'Signature by Ed25519, P-256 with SHA-256, or RSA-PSS with SHA-256, as the key is';

CREATE FUNCTION medsync.check_signature(
	message pg_catalog.bytea,
	signature pg_catalog.bytea,
	public_key pg_catalog.bytea)
	RETURNS pg_catalog.bool
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_check_signature';
COMMENT ON FUNCTION medsync.check_signature(pg_catalog.bytea, pg_catalog.bytea, pg_catalog.bytea) IS
	'Is this the signature of the message by the holder of the private key?';

CREATE FUNCTION medsync.ecdsa_signature_from_der(signature pg_catalog.bytea)
	RETURNS pg_catalog.bytea
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_ecdsa_signature_from_der';
COMMENT ON FUNCTION medsync.ecdsa_signature_from_der(pg_catalog.bytea) IS
	'The 64 bytes r || s of a P-256 signature in DER, as other programs write it';
