/*-------------------------------------------------------------------------
 *
 * primitives.c
 *		The vault's algorithms as SQL functions.
 *
 * Pure computation: stores nothing, takes no locks, works on a standby and
 * in parallel workers.  Everybody may call them: who has no key can do
 * nothing with them.
 *
 * Arguments are often secret, so no error repeats one, and every error hides
 * the statement and the context from the server log; what else fails in such
 * a statement is quiet.c's to hide.  What does not open is
 * one error with one text, whatever the cause.
 *
 * Reading an asymmetric key costs as much as using it.  So the last key of a
 * call is kept for the calls that come after it in the same execution of a
 * statement, and freed, with a private one wiped, when that ends.  What a
 * context of AES has of a key is overwritten after each call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "vault/public_key.h"
#include "vault/quiet.h"

#define FORMAT_VERSION		0x01
#define HEADER_SIZE			(1 + MEDSYNC_NONCE_SIZE)
#define ENCRYPTED_OVERHEAD	(HEADER_SIZE + MEDSYNC_TAG_SIZE)
#define PLAINTEXT_MAX		(MaxAllocSize - VARHDRSZ - ENCRYPTED_OVERHEAD)
#define LABEL_MAX			65535

/* Every error of this file */
#define hide_secrets()		errhidestmt(true), errhidecontext(true)

/* A key that was read for this call of a function, and may serve the next */
typedef struct KeptKey
{
	MemoryContextCallback callback;
	uint8		digest[MEDSYNC_HASH_SIZE];	/* of its DER */
	MedsyncPublicKey *public_key;
	MedsyncPrivateKey *private_key;
} KeptKey;

PG_FUNCTION_INFO_V1(medsync_generate_key);
PG_FUNCTION_INFO_V1(medsync_encrypt);
PG_FUNCTION_INFO_V1(medsync_decrypt);
PG_FUNCTION_INFO_V1(medsync_generate_key_pair);
PG_FUNCTION_INFO_V1(medsync_public_key);
PG_FUNCTION_INFO_V1(medsync_rsa_encrypt);
PG_FUNCTION_INFO_V1(medsync_rsa_decrypt);
PG_FUNCTION_INFO_V1(medsync_wrap_key);
PG_FUNCTION_INFO_V1(medsync_unwrap_key);
PG_FUNCTION_INFO_V1(medsync_sign);
PG_FUNCTION_INFO_V1(medsync_check_signature);
PG_FUNCTION_INFO_V1(medsync_ecdsa_signature_from_der);

/*---- What goes wrong ----*/

static void
could_not_decrypt(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_DECRYPTION_FAILED),
			 errmsg("could not decrypt"),
			 hide_secrets()));
}

static void
too_long(const char *what, size_t limit)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("%s is too long", what),
			 errdetail("At most %zu bytes are possible.", limit),
			 hide_secrets()));
}

static void
bad_key(bool is_private)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 is_private ? errmsg("private key is malformed or not of an offered kind") :
			 errmsg("public key is malformed or not of an offered kind"),
			 is_private ? errhint("Private keys are PKCS#8 in DER: ed25519, p-256, rsa-2048, rsa-3072, rsa-4096 or x25519. \"openssl pkcs8 -topk8 -nocrypt -outform DER\" writes them.") :
			 errhint("Public keys are SubjectPublicKeyInfo in DER: ed25519, p-256, rsa-2048, rsa-3072, rsa-4096 or x25519. \"openssl pkey -pubout -outform DER\" writes them."),
			 hide_secrets()));
}

/* A key that is sound but for something else; "what" is what it cannot do. */
static void
unsuitable_key(MedsyncKeyAlgorithm algorithm, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("a key of algorithm %s does not %s",
					medsync_algorithm_name(algorithm), what),
			 hide_secrets()));
}

/*---- AES-256-GCM ----*/

/* One context for the life of the process. */
static MedsyncGcm *
gcm_context(void)
{
	static MedsyncGcm *gcm = NULL;

	if (gcm == NULL)
		gcm = medsync_gcm_create();
	return gcm;
}

static const uint8 *
secret_key_argument(bytea *key)
{
	medsync_quiet_statement();
	if (VARSIZE_ANY_EXHDR(key) != MEDSYNC_KEY_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key must be %d bytes long", MEDSYNC_KEY_SIZE),
				 hide_secrets()));
	return (const uint8 *) VARDATA_ANY(key);
}

/* generate_key() -> bytea */
Datum
medsync_generate_key(PG_FUNCTION_ARGS)
{
	bytea	   *key = palloc(VARHDRSZ + MEDSYNC_KEY_SIZE);

	medsync_quiet_statement();
	SET_VARSIZE(key, VARHDRSZ + MEDSYNC_KEY_SIZE);
	medsync_random(VARDATA(key), MEDSYNC_KEY_SIZE);
	PG_RETURN_BYTEA_P(key);
}

/* encrypt(plaintext, key, aad) -> bytea */
Datum
medsync_encrypt(PG_FUNCTION_ARGS)
{
	bytea	   *plain = PG_GETARG_BYTEA_PP(0);
	const uint8 *key = secret_key_argument(PG_GETARG_BYTEA_PP(1));
	bytea	   *aad = PG_GETARG_BYTEA_PP(2);
	MedsyncGcm *gcm = gcm_context();
	Size		len = VARSIZE_ANY_EXHDR(plain);
	bytea	   *result;
	uint8	   *out;

	if (len > PLAINTEXT_MAX)
		too_long("plaintext", PLAINTEXT_MAX);
	result = palloc(VARHDRSZ + ENCRYPTED_OVERHEAD + len);
	SET_VARSIZE(result, VARHDRSZ + ENCRYPTED_OVERHEAD + len);
	out = (uint8 *) VARDATA(result);
	out[0] = FORMAT_VERSION;
	medsync_random(out + 1, MEDSYNC_NONCE_SIZE);
	medsync_gcm_seal(gcm, key, out + 1, VARDATA_ANY(aad),
					 VARSIZE_ANY_EXHDR(aad), VARDATA_ANY(plain), len,
					 out + HEADER_SIZE);
	medsync_gcm_forget(gcm);
	PG_RETURN_BYTEA_P(result);
}

/* decrypt(ciphertext, key, aad) -> bytea */
Datum
medsync_decrypt(PG_FUNCTION_ARGS)
{
	bytea	   *sealed = PG_GETARG_BYTEA_PP(0);
	const uint8 *key = secret_key_argument(PG_GETARG_BYTEA_PP(1));
	bytea	   *aad = PG_GETARG_BYTEA_PP(2);
	const uint8 *in = (const uint8 *) VARDATA_ANY(sealed);
	Size		len = VARSIZE_ANY_EXHDR(sealed);
	MedsyncGcm *gcm = gcm_context();
	bytea	   *result;
	bool		opened;

	if (len < ENCRYPTED_OVERHEAD || in[0] != FORMAT_VERSION)
		could_not_decrypt();
	result = palloc(VARHDRSZ + len - ENCRYPTED_OVERHEAD);
	SET_VARSIZE(result, VARHDRSZ + len - ENCRYPTED_OVERHEAD);
	opened = medsync_gcm_open(gcm, key, in + 1, VARDATA_ANY(aad),
							  VARSIZE_ANY_EXHDR(aad), in + HEADER_SIZE,
							  len - HEADER_SIZE, (uint8 *) VARDATA(result));
	medsync_gcm_forget(gcm);
	if (!opened)
		could_not_decrypt();
	PG_RETURN_BYTEA_P(result);
}

/*---- Keys of arguments ----*/

static void
free_kept_key(void *arg)
{
	KeptKey    *kept = arg;

	medsync_public_key_free(kept->public_key);
	kept->public_key = NULL;
	medsync_private_key_free(kept->private_key);
	kept->private_key = NULL;
}

/*
 * What an earlier call has kept, if it is the key with this DER; otherwise
 * an empty one to be filled in.
 */
static KeptKey *
kept_key(FunctionCallInfo fcinfo, bytea *der)
{
	KeptKey    *kept = fcinfo->flinfo->fn_extra;
	uint8		digest[MEDSYNC_HASH_SIZE];

	medsync_sha256(VARDATA_ANY(der), VARSIZE_ANY_EXHDR(der), digest);
	if (kept == NULL)
	{
		kept = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(KeptKey));
		kept->callback.func = free_kept_key;
		kept->callback.arg = kept;
		MemoryContextRegisterResetCallback(fcinfo->flinfo->fn_mcxt,
										   &kept->callback);
		fcinfo->flinfo->fn_extra = kept;
	}
	else if (memcmp(kept->digest, digest, sizeof(digest)) == 0)
		return kept;
	free_kept_key(kept);
	memcpy(kept->digest, digest, sizeof(digest));
	return kept;
}

static MedsyncPublicKey *
public_key_argument(FunctionCallInfo fcinfo, int argument)
{
	bytea	   *der = PG_GETARG_BYTEA_PP(argument);
	KeptKey    *kept;

	medsync_quiet_statement();
	if (VARSIZE_ANY_EXHDR(der) > MEDSYNC_PUBLIC_KEY_MAX)
		bad_key(false);
	kept = kept_key(fcinfo, der);
	if (kept->public_key == NULL)
		kept->public_key = medsync_public_key_read(VARDATA_ANY(der),
												   VARSIZE_ANY_EXHDR(der));
	if (kept->public_key == NULL)
		bad_key(false);
	return kept->public_key;
}

static MedsyncPrivateKey *
private_key_argument(FunctionCallInfo fcinfo, int argument)
{
	bytea	   *der = PG_GETARG_BYTEA_PP(argument);
	KeptKey    *kept;

	medsync_quiet_statement();
	if (VARSIZE_ANY_EXHDR(der) > MEDSYNC_PRIVATE_KEY_MAX)
		bad_key(true);
	kept = kept_key(fcinfo, der);
	if (kept->private_key == NULL)
		kept->private_key = medsync_private_key_read(VARDATA_ANY(der),
													 VARSIZE_ANY_EXHDR(der));
	if (kept->private_key == NULL)
		bad_key(true);
	return kept->private_key;
}

/* Bytes of a secret as a value; the caller's copy is wiped. */
static bytea *
take_secret(void *secret, size_t len)
{
	bytea	   *result = medsync_make_bytea(secret, len);

	medsync_cleanse(secret, len);
	return result;
}

static MedsyncKeyAlgorithm
algorithm_argument(text *argument)
{
	char	   *name = text_to_cstring(argument);
	MedsyncKeyAlgorithm algorithm = medsync_algorithm_by_name(name);

	if (algorithm == MEDSYNC_ALGORITHM_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown key algorithm"),
				 errhint("The algorithms are ed25519, p-256, rsa-2048, rsa-3072, rsa-4096 and x25519."),
				 hide_secrets()));
	return algorithm;
}

/* generate_key_pair(algorithm) -> (public_key, private_key) */
Datum
medsync_generate_key_pair(PG_FUNCTION_ARGS)
{
	MedsyncKeyAlgorithm algorithm = algorithm_argument(PG_GETARG_TEXT_PP(0));
	StringInfoData public_der;
	StringInfoData private_der;
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	medsync_quiet_statement();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	initStringInfo(&public_der);
	initStringInfo(&private_der);
	medsync_key_pair_generate(algorithm, &public_der, &private_der);
	values[0] = PointerGetDatum(medsync_make_bytea(public_der.data,
												   public_der.len));
	values[1] = PointerGetDatum(take_secret(private_der.data,
											private_der.len));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/* public_key(private_key) -> bytea */
Datum
medsync_public_key(PG_FUNCTION_ARGS)
{
	MedsyncPrivateKey *key = private_key_argument(fcinfo, 0);
	StringInfoData der;

	initStringInfo(&der);
	medsync_private_key_public(key, &der);
	PG_RETURN_BYTEA_P(medsync_make_bytea(der.data, der.len));
}

/*---- RSA-OAEP, and keys wrapped for others ----*/

static void
check_label(bytea *label)
{
	if (VARSIZE_ANY_EXHDR(label) > LABEL_MAX)
		too_long("label", LABEL_MAX);
}

static void
check_is_rsa(MedsyncKeyAlgorithm algorithm)
{
	if (medsync_oaep_max(algorithm) == 0)
		unsuitable_key(algorithm, "encrypt with RSA");
}

/* rsa_encrypt(plaintext, public_key, label) -> bytea */
Datum
medsync_rsa_encrypt(PG_FUNCTION_ARGS)
{
	bytea	   *plain = PG_GETARG_BYTEA_PP(0);
	MedsyncPublicKey *key = public_key_argument(fcinfo, 1);
	bytea	   *label = PG_GETARG_BYTEA_PP(2);
	uint8		out[MEDSYNC_WRAP_MAX];
	int			out_len;

	check_is_rsa(medsync_public_key_algorithm(key));
	check_label(label);
	if (!medsync_oaep_encrypt(key, VARDATA_ANY(plain),
							  VARSIZE_ANY_EXHDR(plain), VARDATA_ANY(label),
							  VARSIZE_ANY_EXHDR(label), out, &out_len))
		too_long("plaintext",
				 medsync_oaep_max(medsync_public_key_algorithm(key)));
	PG_RETURN_BYTEA_P(medsync_make_bytea(out, out_len));
}

/* rsa_decrypt(ciphertext, private_key, label) -> bytea */
Datum
medsync_rsa_decrypt(PG_FUNCTION_ARGS)
{
	bytea	   *sealed = PG_GETARG_BYTEA_PP(0);
	MedsyncPrivateKey *key = private_key_argument(fcinfo, 1);
	bytea	   *label = PG_GETARG_BYTEA_PP(2);
	uint8		out[MEDSYNC_WRAP_MAX];
	int			out_len;

	check_is_rsa(medsync_private_key_algorithm(key));
	check_label(label);
	if (!medsync_oaep_decrypt(key, VARDATA_ANY(sealed),
							  VARSIZE_ANY_EXHDR(sealed), VARDATA_ANY(label),
							  VARSIZE_ANY_EXHDR(label), out, &out_len))
		could_not_decrypt();
	PG_RETURN_BYTEA_P(take_secret(out, out_len));
}

/* wrap_key(key, public_key) -> bytea */
Datum
medsync_wrap_key(PG_FUNCTION_ARGS)
{
	bytea	   *secret = PG_GETARG_BYTEA_PP(0);
	MedsyncPublicKey *key = public_key_argument(fcinfo, 1);
	uint8		out[MEDSYNC_WRAP_MAX];
	int			out_len;

	if (!medsync_algorithm_wraps(medsync_public_key_algorithm(key)))
		unsuitable_key(medsync_public_key_algorithm(key), "wrap keys");
	if (VARSIZE_ANY_EXHDR(secret) < 1 ||
		VARSIZE_ANY_EXHDR(secret) > MEDSYNC_WRAPPED_KEY_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key must be 1 to %d bytes long", MEDSYNC_WRAPPED_KEY_MAX),
				 hide_secrets()));
	if (!medsync_key_wrap(key, VARDATA_ANY(secret), VARSIZE_ANY_EXHDR(secret),
						  out, &out_len))
		medsync_crypto_fail();
	PG_RETURN_BYTEA_P(medsync_make_bytea(out, out_len));
}

/* unwrap_key(wrapped, private_key) -> bytea */
Datum
medsync_unwrap_key(PG_FUNCTION_ARGS)
{
	bytea	   *wrapped = PG_GETARG_BYTEA_PP(0);
	MedsyncPrivateKey *key = private_key_argument(fcinfo, 1);
	uint8		out[MEDSYNC_WRAP_MAX];
	int			out_len;

	if (!medsync_algorithm_wraps(medsync_private_key_algorithm(key)))
		unsuitable_key(medsync_private_key_algorithm(key), "unwrap keys");
	if (!medsync_key_unwrap(key, VARDATA_ANY(wrapped),
							VARSIZE_ANY_EXHDR(wrapped), out, &out_len))
		could_not_decrypt();
	PG_RETURN_BYTEA_P(take_secret(out, out_len));
}

/*---- Signatures ----*/

/* sign(message, private_key) -> bytea */
Datum
medsync_sign(PG_FUNCTION_ARGS)
{
	bytea	   *message = PG_GETARG_BYTEA_PP(0);
	MedsyncPrivateKey *key = private_key_argument(fcinfo, 1);
	uint8		signature[MEDSYNC_SIGNATURE_MAX];
	int			signature_len;

	if (!medsync_algorithm_signs(medsync_private_key_algorithm(key)))
		unsuitable_key(medsync_private_key_algorithm(key), "sign");
	if (!medsync_signature_make(key, VARDATA_ANY(message),
								VARSIZE_ANY_EXHDR(message), signature,
								&signature_len))
		bad_key(true);
	PG_RETURN_BYTEA_P(medsync_make_bytea(signature, signature_len));
}

/* check_signature(message, signature, public_key) -> bool */
Datum
medsync_check_signature(PG_FUNCTION_ARGS)
{
	bytea	   *message = PG_GETARG_BYTEA_PP(0);
	bytea	   *signature = PG_GETARG_BYTEA_PP(1);
	MedsyncPublicKey *key = public_key_argument(fcinfo, 2);

	if (!medsync_algorithm_signs(medsync_public_key_algorithm(key)))
		unsuitable_key(medsync_public_key_algorithm(key), "sign");
	PG_RETURN_BOOL(medsync_signature_verify(key, VARDATA_ANY(message),
											VARSIZE_ANY_EXHDR(message),
											(const uint8 *) VARDATA_ANY(signature),
											VARSIZE_ANY_EXHDR(signature)));
}

/* ecdsa_signature_from_der(signature) -> bytea */
Datum
medsync_ecdsa_signature_from_der(PG_FUNCTION_ARGS)
{
	bytea	   *der = PG_GETARG_BYTEA_PP(0);
	uint8		signature[MEDSYNC_SIGNATURE_MAX];

	if (!medsync_signature_from_der(VARDATA_ANY(der), VARSIZE_ANY_EXHDR(der),
									signature))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ECDSA signature is malformed"),
				 errdetail("It must be the DER of two numbers of at most 256 bits."),
				 hide_secrets()));
	PG_RETURN_BYTEA_P(medsync_make_bytea(signature,
										 medsync_signature_size(MEDSYNC_P256)));
}
