/*-------------------------------------------------------------------------
 *
 * image.c
 *		Encrypted row images.
 *
 * A row image is the canonical row, sealed with AES-256-GCM under
 * HKDF(K_image of the subject, 32 random bytes).  A small one travels in the
 * packed row: its random bytes are the transaction's, its nonce the ordinal,
 * which never repeats in a transaction.  A larger one is stored at once in
 * _image, in chunks of 1 MiB under random bytes of its own, in the
 * subtransaction that made the change.  An image proves nothing by itself:
 * it counts only if its recomputed commitment is the entry's.
 *
 * No locks but those of an insert.  On a standby images are only read.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "common/catalog.h"
#include "ledger/image.h"
#include "ledger/journal.h"

#define IMAGE_CHUNK		(1024 * 1024)

/* attributes of _image */
enum
{
	Anum_image_id = 1,
	Anum_image_chunk,
	Anum_image_body,
	Natts_image = 3
};

static void
inline_nonce(uint64 ordinal, uint8 *nonce)
{
	memset(nonce, 0, MEDSYNC_NONCE_SIZE);
	medsync_wire_store_u64(nonce + 4, ordinal);
}

static void
chunk_nonce(uint32 chunk, bool last, uint8 *nonce)
{
	memset(nonce, 0, MEDSYNC_NONCE_SIZE);
	medsync_wire_store_u32(nonce + 7, chunk);
	nonce[11] = last ? 1 : 0;
}

/* Associated data: the place of the entry, and of a large image the length. */
static size_t
place_of_image(uint64 xid, uint64 ordinal, const uint64 *length, uint8 *aad)
{
	medsync_wire_store_u64(aad, xid);
	medsync_wire_store_u64(aad + 8, ordinal);
	if (length == NULL)
		return 16;
	medsync_wire_store_u64(aad + 16, *length);
	return 24;
}

/* Under which id the chunks of a large image are stored. */
static bytea *
image_id(const uint8 *seed)
{
	bytea	   *id = palloc(VARHDRSZ + MEDSYNC_ID_SIZE);
	uint8		digest[MEDSYNC_HASH_SIZE];

	medsync_sha256(seed, MEDSYNC_IMAGE_SEED_SIZE, digest);
	SET_VARSIZE(id, VARHDRSZ + MEDSYNC_ID_SIZE);
	memcpy(VARDATA(id), digest, MEDSYNC_ID_SIZE);
	return id;
}

/* Does the context of keyed_context() hold the key of the last pair? */
static bool keyed = false;

/*
 * Make the context hold the key of (subject, seed).  The last pair is
 * remembered: bulk work on one patient derives its key once.
 */
static MedsyncGcm *
keyed_context(const MedsyncSubjectKey *subject, const uint8 *seed,
			  uint8 *key, const uint8 **key_to_set)
{
	static MedsyncGcm *gcm = NULL;
	static MedsyncHmacKey last_image_key;
	static uint8 last_seed[MEDSYNC_IMAGE_SEED_SIZE];
	const MedsyncHmacKey *image_key = medsync_vault_image_key(subject);

	if (gcm == NULL)
		gcm = medsync_gcm_create();
	if (keyed &&
		memcmp(&last_image_key, image_key, sizeof(last_image_key)) == 0 &&
		memcmp(last_seed, seed, MEDSYNC_IMAGE_SEED_SIZE) == 0)
	{
		*key_to_set = NULL;
		return gcm;
	}
	medsync_hkdf_expand(image_key, seed, MEDSYNC_IMAGE_SEED_SIZE, key);
	last_image_key = *image_key;
	memcpy(last_seed, seed, MEDSYNC_IMAGE_SEED_SIZE);
	keyed = true;
	*key_to_set = key;
	return gcm;
}

/* Store a large image as a side object; the entry keeps its seed. */
static void
store_large_image(MedsyncEntry *entry, const MedsyncSubjectKey *subject,
				  const char *row, uint64 len, uint8 *seed)
{
	Relation	heap = medsync_open("_image", RowExclusiveLock);
	bytea	   *body = palloc(VARHDRSZ + Min(len, IMAGE_CHUNK) +
							  MEDSYNC_TAG_SIZE);
	uint8		key[MEDSYNC_KEY_SIZE];
	uint8		aad[24];
	size_t		aad_len;
	const uint8 *key_to_set;
	MedsyncGcm *gcm;
	bytea	   *id;
	uint64		done = 0;
	uint32		chunk = 0;

	medsync_random(seed, MEDSYNC_IMAGE_SEED_SIZE);
	id = image_id(seed);
	gcm = keyed_context(subject, seed, key, &key_to_set);
	aad_len = place_of_image(U64FromFullTransactionId(GetTopFullTransactionId()),
							 medsync_journal_next_ordinal(), &len, aad);
	do
	{
		uint64		part = Min(len - done, IMAGE_CHUNK);
		uint8		nonce[MEDSYNC_NONCE_SIZE];
		Datum		values[Natts_image];
		bool		isnull[Natts_image] = {0};
		HeapTuple	tuple;

		chunk_nonce(chunk, done + part == len, nonce);
		medsync_gcm_seal(gcm, chunk == 0 ? key_to_set : NULL, nonce, aad,
						 aad_len, row + done, part, (uint8 *) VARDATA(body));
		SET_VARSIZE(body, VARHDRSZ + part + MEDSYNC_TAG_SIZE);
		values[Anum_image_id - 1] = PointerGetDatum(id);
		values[Anum_image_chunk - 1] = Int32GetDatum(chunk);
		values[Anum_image_body - 1] = PointerGetDatum(body);
		tuple = heap_form_tuple(RelationGetDescr(heap), values, isnull);
		medsync_insert_quietly(heap, tuple, false);
		heap_freetuple(tuple);
		done += part;
		chunk++;
	} while (done < len);
	medsync_cleanse(key, sizeof(key));
	pfree(body);
	pfree(id);
	table_close(heap, NoLock);
	entry->fields |= MEDSYNC_HAS_LARGE_IMAGE;
	entry->image = seed;
	entry->image_len = len;
}

/*
 * Seal a row image for the entry that the journal gets next; room must live
 * until it has it.
 */
void
medsync_image_seal(MedsyncEntry *entry, const MedsyncSubjectKey *subject,
				   const char *row, uint64 len, MedsyncImageRoom *room)
{
	uint64		ordinal = medsync_journal_next_ordinal();
	uint8		key[MEDSYNC_KEY_SIZE];
	uint8		nonce[MEDSYNC_NONCE_SIZE];
	uint8		aad[24];
	size_t		aad_len;
	const uint8 *key_to_set;
	MedsyncGcm *gcm;

	if (len > MEDSYNC_INLINE_IMAGE_MAX)
	{
		store_large_image(entry, subject, row, len, room->seed);
		return;
	}
	gcm = keyed_context(subject, medsync_journal_image_seed(), key,
						&key_to_set);
	inline_nonce(ordinal, nonce);
	aad_len = place_of_image(U64FromFullTransactionId(GetTopFullTransactionId()),
							 ordinal, NULL, aad);
	medsync_gcm_seal(gcm, key_to_set, nonce, aad, aad_len, row, len,
					 room->sealed);
	medsync_cleanse(key, sizeof(key));
	entry->fields |= MEDSYNC_HAS_IMAGE;
	entry->image = room->sealed;
	entry->image_len = len + MEDSYNC_TAG_SIZE;
}

/* Read the chunks of a large image; false when one is missing or altered. */
static bool
open_large_image(const MedsyncPackedHeader *header, const MedsyncEntry *entry,
				 const MedsyncSubjectKey *subject, Snapshot snapshot,
				 StringInfo row, int64 *chunks)
{
	Relation	heap = medsync_open("_image", AccessShareLock);
	uint64		len = entry->image_len;
	bool		intact = len < MaxAllocSize - 1;
	uint8		key[MEDSYNC_KEY_SIZE];
	uint8		aad[24];
	size_t		aad_len;
	const uint8 *key_to_set;
	MedsyncGcm *gcm;
	MedsyncScan scan;
	ScanKeyData scan_key;
	HeapTuple	tuple;
	uint64		done = 0;
	uint32		chunk = 0;

	gcm = keyed_context(subject, entry->image, key, &key_to_set);
	aad_len = place_of_image(header->xid, entry->ordinal, &len, aad);
	ScanKeyInit(&scan_key, 1, BTEqualStrategyNumber, F_BYTEAEQ,
				PointerGetDatum(image_id(entry->image)));
	medsync_scan_begin(&scan, heap, "_image_pkey", snapshot, 1, &scan_key);
	scan.own_changes = true;
	if (intact)
		enlargeStringInfo(row, (int) len);
	while (intact && done < len && (tuple = medsync_scan_next(&scan)) != NULL)
	{
		uint64		part = Min(len - done, IMAGE_CHUNK);
		uint8		nonce[MEDSYNC_NONCE_SIZE];
		Datum		values[Natts_image];
		bool		isnull[Natts_image];
		bytea	   *body;

		heap_deform_tuple(tuple, RelationGetDescr(heap), values, isnull);
		body = isnull[Anum_image_body - 1] ? NULL :
			DatumGetByteaPP(values[Anum_image_body - 1]);
		chunk_nonce(chunk, done + part == len, nonce);
		intact = body != NULL && !isnull[Anum_image_chunk - 1] &&
			DatumGetInt32(values[Anum_image_chunk - 1]) == (int32) chunk &&
			VARSIZE_ANY_EXHDR(body) == part + MEDSYNC_TAG_SIZE;
		chunk++;
		if (!intact)
			break;
		intact = medsync_gcm_open(gcm, key_to_set, nonce, aad, aad_len,
								  VARDATA_ANY(body), part + MEDSYNC_TAG_SIZE,
								  (uint8 *) row->data + done);
		key_to_set = NULL;
		done += part;
	}
	medsync_scan_end(&scan);
	if (key_to_set != NULL)
		keyed = false;			/* no chunk was opened with it */
	medsync_cleanse(key, sizeof(key));
	table_close(heap, AccessShareLock);
	*chunks += chunk;
	if (!intact || done < len)
		return false;
	row->len = (int) len;
	row->data[len] = '\0';
	return true;
}

/*
 * Open an entry's image into row.  False when it was altered, or a part of
 * it is missing.  chunks counts the rows of _image that were read.
 */
bool
medsync_image_open(const MedsyncPackedHeader *header,
				   const MedsyncEntry *entry,
				   const MedsyncSubjectKey *subject, Snapshot snapshot,
				   StringInfo row, int64 *chunks)
{
	uint8		key[MEDSYNC_KEY_SIZE];
	uint8		nonce[MEDSYNC_NONCE_SIZE];
	uint8		aad[24];
	size_t		aad_len;
	const uint8 *key_to_set;
	MedsyncGcm *gcm;

	resetStringInfo(row);
	if (entry->fields & MEDSYNC_HAS_LARGE_IMAGE)
		return open_large_image(header, entry, subject, snapshot, row, chunks);
	if (header->image_seed == NULL || entry->image_len < MEDSYNC_TAG_SIZE)
		return false;
	enlargeStringInfo(row, (int) entry->image_len);
	gcm = keyed_context(subject, header->image_seed, key, &key_to_set);
	inline_nonce(entry->ordinal, nonce);
	aad_len = place_of_image(header->xid, entry->ordinal, NULL, aad);
	if (!medsync_gcm_open(gcm, key_to_set, nonce, aad, aad_len, entry->image,
						  entry->image_len, (uint8 *) row->data))
		return false;
	row->len = (int) (entry->image_len - MEDSYNC_TAG_SIZE);
	row->data[row->len] = '\0';
	return true;
}
