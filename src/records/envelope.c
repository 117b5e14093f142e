/*-------------------------------------------------------------------------
 *
 * envelope.c
 *		Data keys, their wraps, chunks, and the vault's statements.
 *
 * Each version of a record has a random data key of its own, and gets another
 * one when somebody's access is revoked; content is encrypted under it in
 * chunks.  The data key is wrapped once by the server, under a key that comes
 * from the patient's secret, and once for each holder who has a key.  The
 * vault signs a statement of all that: whose, what, by whom, for whom, and
 * the digest of the ciphertext.  docs/formats.md, "Records", has the bytes.
 *
 * A chunk's nonce is its number and whether it is the last, so that chunks
 * can neither be moved, dropped nor added; no nonce repeats, since a data
 * key encrypts one content only.  The associated data binds it to record,
 * version, patient, key and length.
 *
 * Keys and plaintext live in the call's own memory context, and are wiped
 * when that goes, also after an error.  Nothing here decides who may, and
 * nothing says why something did not open.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "common/wire.h"
#include "compat.h"
#include "ledger/ledger.h"
#include "records/records.h"

#define RECORD_NAME			"medsync record v1"
#define STATEMENT_NAME		"medsync record statement v1\n"
#define HEAD_NAME			"medsync record state v1\n"
#define SIGNER_USE			"record signer"

/*---- A call's secrets ----*/

/* Context callback: overwrite what must not stay in freed memory. */
static void
wipe_call(void *arg)
{
	MedsyncRecordCall *call = arg;

	medsync_cleanse(call->record_key, sizeof(call->record_key));
	medsync_cleanse(call->data_key, sizeof(call->data_key));
	medsync_cleanse(call->old_key, sizeof(call->old_key));
	if (call->plain != NULL)
		medsync_cleanse(call->plain, MEDSYNC_RECORD_CHUNK);
	call->plain = NULL;
	medsync_gcm_free(call->gcm);
	call->gcm = NULL;
}

/* Prepare a zeroed call; its secrets go with its context. */
void
medsync_record_call_init(MedsyncRecordCall *call)
{
	call->wipe.func = wipe_call;
	call->wipe.arg = call;
	MemoryContextRegisterResetCallback(call->context, &call->wipe);
	call->gcm = medsync_gcm_create();
	initStringInfo(&call->aad);
}

pg_noreturn static void
key_unavailable(const char *what, MedsyncKeyStatus status)
{
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
			 errmsg("the %s cannot be had", what),
			 errdetail("Its state is: %s.", medsync_vault_status_text(status)),
			 hide_statement()));
}

/*
 * K_record of the record's patient.  That of an existing record is looked for
 * and never made: a new one would open nothing.
 */
static const uint8 *
record_key(MedsyncRecordCall *call)
{
	const char *patient = call->record->patient;
	MedsyncKeyReader *reader = NULL;
	const MedsyncSubjectKey *key;
	MedsyncKeyStatus status = MEDSYNC_KEY_OK;

	if (call->has_record_key)
		return call->record_key;
	if (call->is_new)
		key = medsync_vault_subject_key(MEDSYNC_SUBJECT_PERSON, patient,
										strlen(patient));
	else
	{
		reader = medsync_key_reader_create(call->context);
		status = medsync_key_reader_by_subject(reader, MEDSYNC_SUBJECT_PERSON,
											   patient, strlen(patient), &key);
	}
	if (status != MEDSYNC_KEY_OK)
		key_unavailable("key of the record's patient", status);
	medsync_vault_record_key(key, call->record_key);
	call->has_record_key = true;
	if (reader != NULL)
		medsync_key_reader_free(reader);
	return call->record_key;
}

/*---- Data keys ----*/

/* Chunks of a content; the empty one has one, too. */
int32
medsync_record_chunk_count(int64 length)
{
	return length == 0 ? 1 :
		(int32) ((length + MEDSYNC_RECORD_CHUNK - 1) / MEDSYNC_RECORD_CHUNK);
}

/* Bytes of content in a chunk. */
static size_t
chunk_length(const MedsyncRecordVersion *version, int32 chunk)
{
	return chunk < version->chunks - 1 ? MEDSYNC_RECORD_CHUNK :
		(size_t) (version->length - (int64) chunk * MEDSYNC_RECORD_CHUNK);
}

/* Associated data of a version's chunks and of the server's wrap. */
static void
set_aad(MedsyncRecordCall *call, const MedsyncRecordVersion *version)
{
	const char *patient = call->record->patient;
	StringInfo	aad = &call->aad;

	resetStringInfo(aad);
	appendStringInfoString(aad, RECORD_NAME);
	medsync_wire_put_bytes(aad, call->record->id, MEDSYNC_ID_SIZE);
	medsync_wire_put_u32(aad, (uint32) version->number);
	medsync_wire_put_bytes(aad, version->key_id, MEDSYNC_KEY_ID_SIZE);
	medsync_wire_put_u32(aad, (uint32) strlen(patient));
	appendStringInfoString(aad, patient);
	medsync_wire_put_u64(aad, (uint64) version->length);
}

/* A new data key for a version, with its id and the server's wrap. */
void
medsync_data_key_make(MedsyncRecordCall *call, MedsyncRecordVersion *version)
{
	const uint8 *wrapping_key = record_key(call);
	uint8	   *nonce = version->server_wrap;

	medsync_random(version->key_id, sizeof(version->key_id));
	medsync_random(call->data_key, sizeof(call->data_key));
	medsync_random(nonce, MEDSYNC_NONCE_SIZE);
	set_aad(call, version);
	medsync_gcm_seal(call->gcm, wrapping_key, nonce, call->aad.data,
					 call->aad.len, call->data_key, sizeof(call->data_key),
					 nonce + MEDSYNC_NONCE_SIZE);
}

/* The data key from the server's wrap; false if it does not open. */
bool
medsync_data_key_open(MedsyncRecordCall *call,
					  const MedsyncRecordVersion *version)
{
	const uint8 *wrapping_key = record_key(call);
	const uint8 *nonce = version->server_wrap;

	set_aad(call, version);
	return medsync_gcm_open(call->gcm, wrapping_key, nonce, call->aad.data,
							call->aad.len, nonce + MEDSYNC_NONCE_SIZE,
							MEDSYNC_SERVER_WRAP_SIZE - MEDSYNC_NONCE_SIZE,
							call->data_key);
}

/*
 * The data key from the caller's own wrap.  False, whatever the cause, if
 * the private key does not open it.
 */
bool
medsync_data_key_unwrap(MedsyncRecordCall *call,
						const MedsyncRecordVersion *version,
						bytea *private_key)
{
	const MedsyncHolder *holder = medsync_holder_find(version, call->actor);
	uint8		opened[MEDSYNC_WRAP_MAX];
	int			len = 0;
	bool		fits = false;
	MedsyncPrivateKey *key;

	key = medsync_private_key_read(VARDATA_ANY(private_key),
								   VARSIZE_ANY_EXHDR(private_key));
	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("private key is malformed or not of an offered kind"),
				 errhint("A private key is PKCS#8 in DER, of an algorithm that medsync offers. \"openssl pkcs8 -topk8 -nocrypt -outform DER\" writes it."),
				 hide_statement()));
	set_aad(call, version);
	if (holder != NULL && holder->algorithm != MEDSYNC_ALGORITHM_NONE)
		fits = medsync_key_unwrap(key, holder->wrapped,
								  (size_t) holder->wrapped_len, opened, &len) &&
			len == MEDSYNC_KEY_SIZE;
	medsync_private_key_free(key);
	if (fits)
		memcpy(call->data_key, opened, MEDSYNC_KEY_SIZE);
	medsync_cleanse(opened, sizeof(opened));
	return fits;
}

/*
 * Wrap the data key for a holder's newest key.  Who is not active or has no
 * such key now stays a holder, and reads by the server's wrap.
 */
void
medsync_holder_wrap(MedsyncRecordCall *call, MedsyncHolder *holder)
{
	const MedsyncPerson *person = medsync_person_find(holder->person);
	const MedsyncPersonKey *key = NULL;

	if (person != NULL && person->active)
		key = medsync_person_wrapping_key(holder->person);
	holder->algorithm = MEDSYNC_ALGORITHM_NONE;
	memset(holder->key, 0, sizeof(holder->key));
	holder->wrapped_len = 0;
	if (key != NULL && key->key != NULL &&
		medsync_key_wrap(key->key, call->data_key, sizeof(call->data_key),
						 holder->wrapped, &holder->wrapped_len))
	{
		holder->algorithm = key->algorithm;
		memcpy(holder->key, key->id, sizeof(holder->key));
	}
}

/*---- Statements ----*/

/* The public key by which statements are checked. */
MedsyncKeyStatus
medsync_statement_key_read(MedsyncKeyReader *reader, uint8 *public_key)
{
	uint8		seed[MEDSYNC_KEY_SIZE];
	MedsyncKeyStatus status = medsync_key_reader_root_key(reader, SIGNER_USE,
														  seed);

	if (status == MEDSYNC_KEY_OK)
		medsync_ed25519_public_key(seed, public_key);
	medsync_cleanse(seed, sizeof(seed));
	return status;
}

/* The same from the session's own keys, or an error; on a standby there are none. */
void
medsync_statement_key(uint8 *public_key)
{
	uint8		seed[MEDSYNC_KEY_SIZE];

	if (RecoveryInProgress())
	{
		MedsyncKeyReader *reader = medsync_key_reader_create(CurrentMemoryContext);
		MedsyncKeyStatus status = medsync_statement_key_read(reader,
															 public_key);

		medsync_key_reader_free(reader);
		if (status != MEDSYNC_KEY_OK)
			key_unavailable("root key of the ledger", status);
		return;
	}
	medsync_vault_root_key(SIGNER_USE, seed);
	medsync_ed25519_public_key(seed, public_key);
	medsync_cleanse(seed, sizeof(seed));
}

static void
put_counted(StringInfo buf, const void *data, size_t len)
{
	medsync_wire_put_u32(buf, (uint32) len);
	medsync_wire_put_bytes(buf, data, (int) len);
}

static void
put_holder(StringInfo buf, const MedsyncHolder *holder)
{
	medsync_wire_put_bytes(buf, holder->person, MEDSYNC_ID_SIZE);
	medsync_wire_put_bytes(buf, holder->key, MEDSYNC_ID_SIZE);
	appendStringInfoChar(buf, (char) holder->algorithm);
	medsync_wire_put_u16(buf, (uint16) holder->wrapped_len);
	medsync_wire_put_bytes(buf, holder->wrapped, holder->wrapped_len);
	medsync_wire_put_u64(buf, (uint64) holder->granted_at);
	medsync_wire_put_bytes(buf, holder->granted_by, MEDSYNC_ID_SIZE);
}

/* What the vault signs of a version. */
static void
put_statement(StringInfo buf, const uint8 *ledger_id,
			  const MedsyncRecord *record,
			  const MedsyncRecordVersion *version)
{
	ListCell   *cell;

	appendStringInfoString(buf, STATEMENT_NAME);
	medsync_wire_put_bytes(buf, ledger_id, MEDSYNC_ID_SIZE);
	medsync_wire_put_bytes(buf, record->id, MEDSYNC_ID_SIZE);
	medsync_wire_put_bytes(buf, record->author, MEDSYNC_ID_SIZE);
	medsync_wire_put_u32(buf, (uint32) version->number);
	put_counted(buf, record->patient, strlen(record->patient));
	put_counted(buf, version->media_type, strlen(version->media_type));
	medsync_wire_put_u64(buf, (uint64) version->length);
	medsync_wire_put_bytes(buf, version->key_id, MEDSYNC_KEY_ID_SIZE);
	medsync_wire_put_bytes(buf, version->digest, MEDSYNC_HASH_SIZE);
	medsync_wire_put_bytes(buf, version->author, MEDSYNC_ID_SIZE);
	medsync_wire_put_u64(buf, (uint64) version->created_at);
	medsync_wire_put_u32(buf, (uint32) list_length(version->holders));
	foreach(cell, version->holders)
		put_holder(buf, lfirst(cell));
}

/* Does the vault's signature hold on an intact version? */
bool
medsync_statement_holds(const uint8 *ledger_id, const uint8 *public_key,
						const MedsyncRecord *record,
						const MedsyncRecordVersion *version)
{
	StringInfoData buf;
	bool		holds;

	initStringInfo(&buf);
	put_statement(&buf, ledger_id, record, version);
	holds = medsync_ed25519_verify(public_key, buf.data, (size_t) buf.len,
								   version->signature);
	pfree(buf.data);
	return holds;
}

void
medsync_statement_sign(const MedsyncRecord *record,
					   MedsyncRecordVersion *version)
{
	uint8		seed[MEDSYNC_KEY_SIZE];
	StringInfoData buf;

	initStringInfo(&buf);
	put_statement(&buf, medsync_ledger_id(), record, version);
	medsync_vault_root_key(SIGNER_USE, seed);
	medsync_ed25519_sign(seed, buf.data, (size_t) buf.len, version->signature);
	medsync_cleanse(seed, sizeof(seed));
	pfree(buf.data);
}

/*
 * What the vault signs of a record's newest state: which versions there are,
 * by their signatures.  An older one among them, or one less, shows.
 */
static void
put_head(StringInfo buf, const uint8 *ledger_id, const MedsyncRecord *record,
		 const MedsyncRecordHead *head, const uint8 *digest)
{
	appendStringInfoString(buf, HEAD_NAME);
	medsync_wire_put_bytes(buf, ledger_id, MEDSYNC_ID_SIZE);
	medsync_wire_put_bytes(buf, record->id, MEDSYNC_ID_SIZE);
	medsync_wire_put_u32(buf, (uint32) head->version);
	medsync_wire_put_u64(buf, (uint64) head->revision);
	medsync_wire_put_bytes(buf, digest, MEDSYNC_HASH_SIZE);
}

/* Is the record, as the snapshot sees it, in the state that the vault signed last? */
bool
medsync_head_holds(const uint8 *ledger_id, const uint8 *public_key,
				   const MedsyncRecord *record, const MedsyncRecordHead *head,
				   Snapshot snapshot)
{
	uint8		digest[MEDSYNC_HASH_SIZE];
	StringInfoData buf;
	bool		holds;

	if (head == NULL || !head->intact ||
		medsync_versions_digest(record, snapshot, digest) != head->version)
		return false;
	initStringInfo(&buf);
	put_head(&buf, ledger_id, record, head, digest);
	holds = medsync_ed25519_verify(public_key, buf.data, (size_t) buf.len,
								   head->signature);
	pfree(buf.data);
	return holds;
}

/* Sign the state that a snapshot sees: fills in newest version and signature. */
void
medsync_head_sign(const MedsyncRecord *record, MedsyncRecordHead *head,
				  Snapshot snapshot)
{
	uint8		digest[MEDSYNC_HASH_SIZE];
	uint8		seed[MEDSYNC_KEY_SIZE];
	StringInfoData buf;

	head->version = medsync_versions_digest(record, snapshot, digest);
	initStringInfo(&buf);
	put_head(&buf, medsync_ledger_id(), record, head, digest);
	medsync_vault_root_key(SIGNER_USE, seed);
	medsync_ed25519_sign(seed, buf.data, (size_t) buf.len, head->signature);
	medsync_cleanse(seed, sizeof(seed));
	pfree(buf.data);
}

/*---- Chunks ----*/

/* 7 zero bytes, the number, and whether it is the last one. */
static void
chunk_nonce(const MedsyncRecordVersion *version, int32 chunk, uint8 *nonce)
{
	memset(nonce, 0, MEDSYNC_NONCE_SIZE);
	medsync_wire_store_u32(nonce + 7, (uint32) chunk);
	nonce[11] = chunk == version->chunks - 1 ? 1 : 0;
}

/* Encrypt a chunk into a bytea that has room for it. */
static void
seal_chunk(MedsyncRecordCall *call, const MedsyncRecordVersion *version,
		   int32 chunk, const uint8 *plain, bytea *body)
{
	size_t		len = chunk_length(version, chunk);
	uint8		nonce[MEDSYNC_NONCE_SIZE];

	chunk_nonce(version, chunk, nonce);
	SET_VARSIZE(body, VARHDRSZ + len + MEDSYNC_TAG_SIZE);
	medsync_gcm_seal(call->gcm, call->data_key, nonce, call->aad.data,
					 call->aad.len, plain, len, (uint8 *) VARDATA(body));
}

/* Encrypt and store the content of a version, and note its digest. */
void
medsync_content_seal(MedsyncRecordCall *call, MedsyncRecordVersion *version,
					 const uint8 *content)
{
	bytea	   *body = palloc(VARHDRSZ + chunk_length(version, 0) +
							  MEDSYNC_TAG_SIZE);
	MedsyncSha256 sha;
	int32		chunk;

	medsync_sha256_start(&sha);
	for (chunk = 0; chunk < version->chunks; chunk++)
	{
		CHECK_FOR_INTERRUPTS();
		seal_chunk(call, version, chunk,
				   content + (size_t) chunk * MEDSYNC_RECORD_CHUNK, body);
		medsync_sha256_update(&sha, VARDATA(body), VARSIZE(body) - VARHDRSZ);
		medsync_chunk_insert(call->record, version->number, chunk, body);
	}
	medsync_sha256_finish(&sha, version->digest);
	pfree(body);
}

/* One pass over the chunks of a version */
typedef struct ChunkPass
{
	MedsyncRecordCall *call;	/* not used where nothing is opened */
	const MedsyncRecordVersion *version;
	int32		next;			/* number of the chunk to come */
	MedsyncSha256 sha;			/* over what is or was stored */
	uint8	   *content;		/* where to open them; NULL: one by one */
	StringInfo	old_aad;		/* to seal anew: what they are bound to now */
	bytea	   *body;			/* the new one */
} ChunkPass;

/* Is it the chunk that must come now, of its size? */
static bool
chunk_in_place(const ChunkPass *pass, const MedsyncStoredChunk *chunk)
{
	return chunk->number == pass->next &&
		chunk->number < pass->version->chunks &&
		chunk->len == chunk_length(pass->version, chunk->number) +
		MEDSYNC_TAG_SIZE;
}

static bool
digest_chunk(void *arg, const MedsyncStoredChunk *chunk)
{
	ChunkPass  *pass = arg;

	if (!chunk_in_place(pass, chunk))
		return false;
	medsync_sha256_update(&pass->sha, chunk->body, chunk->len);
	pass->next++;
	return true;
}

/* Are all chunks of an intact version there, and what their digest says? */
MedsyncRecordReason
medsync_chunks_check(const MedsyncRecord *record,
					 const MedsyncRecordVersion *version, Snapshot snapshot)
{
	ChunkPass	pass = {.version = version};
	uint8		digest[MEDSYNC_HASH_SIZE];

	medsync_sha256_start(&pass.sha);
	if (!medsync_chunks_walk(record, version->number, snapshot, digest_chunk,
							 &pass) ||
		pass.next != version->chunks)
		return MEDSYNC_REASON_CHUNKS;
	medsync_sha256_finish(&pass.sha, digest);
	return memcmp(digest, version->digest, sizeof(digest)) == 0 ?
		MEDSYNC_REASON_NONE : MEDSYNC_REASON_DIGEST;
}

/* Room for a chunk of content; it is wiped with the call. */
static uint8 *
plain_chunk(MedsyncRecordCall *call)
{
	if (call->plain == NULL)
		call->plain = MemoryContextAlloc(call->context, MEDSYNC_RECORD_CHUNK);
	return call->plain;
}

/* Decrypt a chunk; false if it does not open. */
static bool
open_chunk(MedsyncRecordCall *call, const MedsyncRecordVersion *version,
		   const uint8 *key, const StringInfoData *aad,
		   const MedsyncStoredChunk *chunk, uint8 *plain)
{
	uint8		nonce[MEDSYNC_NONCE_SIZE];

	chunk_nonce(version, chunk->number, nonce);
	return medsync_gcm_open(call->gcm, key, nonce, aad->data, aad->len,
							chunk->body, chunk->len, plain);
}

static bool
open_into_content(void *arg, const MedsyncStoredChunk *chunk)
{
	ChunkPass  *pass = arg;
	MedsyncRecordCall *call = pass->call;

	if (!chunk_in_place(pass, chunk) ||
		!open_chunk(call, pass->version, call->data_key, &call->aad, chunk,
					pass->content == NULL ? plain_chunk(call) :
					pass->content +
					(size_t) chunk->number * MEDSYNC_RECORD_CHUNK))
		return false;
	pass->next++;
	return true;
}

/*
 * Decrypt the content of a version; on failure the caller wipes it.  NULL:
 * only see whether it opens.
 */
MedsyncRecordReason
medsync_content_open(MedsyncRecordCall *call,
					 const MedsyncRecordVersion *version, uint8 *content)
{
	ChunkPass	pass = {.call = call,.version = version,.content = content};

	return medsync_chunks_walk(call->record, version->number, call->snapshot,
							   open_into_content, &pass) &&
		pass.next == version->chunks ?
		MEDSYNC_REASON_NONE : MEDSYNC_REASON_CONTENT;
}

/* Decrypt a chunk under the old key, and put one under the new in its place. */
static bool
reseal_chunk(void *arg, const MedsyncStoredChunk *chunk)
{
	ChunkPass  *pass = arg;
	MedsyncRecordCall *call = pass->call;

	if (!chunk_in_place(pass, chunk) ||
		!open_chunk(call, pass->version, call->old_key, pass->old_aad, chunk,
					plain_chunk(call)))
		return false;
	seal_chunk(call, pass->version, chunk->number, call->plain, pass->body);
	medsync_sha256_update(&pass->sha, VARDATA(pass->body),
						  VARSIZE(pass->body) - VARHDRSZ);
	medsync_chunk_delete(&chunk->tid);
	medsync_chunk_insert(call->record, pass->version->number, chunk->number,
						 pass->body);
	pass->next++;
	return true;
}

/*
 * Give a version, whose data key is open, another data key: its chunks are
 * encrypted anew one by one, its key id, digest and server's wrap are set.
 */
MedsyncRecordReason
medsync_content_reseal(MedsyncRecordCall *call, MedsyncRecordVersion *version)
{
	ChunkPass	pass = {.call = call,.version = version};
	StringInfoData old_aad;
	bool		all;

	initStringInfo(&old_aad);
	appendBinaryStringInfo(&old_aad, call->aad.data, call->aad.len);
	memcpy(call->old_key, call->data_key, sizeof(call->old_key));
	medsync_data_key_make(call, version);

	pass.old_aad = &old_aad;
	pass.body = palloc(VARHDRSZ + chunk_length(version, 0) + MEDSYNC_TAG_SIZE);
	medsync_sha256_start(&pass.sha);
	all = medsync_chunks_walk(call->record, version->number, call->snapshot,
							  reseal_chunk, &pass) &&
		pass.next == version->chunks;
	pfree(pass.body);
	pfree(old_aad.data);
	if (!all)
		return MEDSYNC_REASON_CONTENT;
	medsync_sha256_finish(&pass.sha, version->digest);
	return MEDSYNC_REASON_NONE;
}
