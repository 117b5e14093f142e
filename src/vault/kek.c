/*-------------------------------------------------------------------------
 *
 * kek.c
 *		Key-encryption keys: the rows of _key_encryption_key, and how the
 *		master key opens them.
 *
 * The table has a handful of rows, each a key that wraps subjects' secrets,
 * itself wrapped by the master key that its column master_key_id names.
 * The first is made with the ledger.  Nothing but the rotation of the master
 * key (rotate.c) ever updates a row, and what changes then is how the key is
 * wrapped, never the key: whoever has it open keeps it.
 *
 * Locks: readers take AccessShareLock and no predicate lock.  Nothing of the
 * key is kept here; subject_key.c caches it.  On a standby reading works.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "common/wire.h"
#include "vault/kek.h"

/* Associated data of a wrap; see docs/formats.md */
#define KEK_AAD_PREFIX			"medsync kek v1"
#define KEK_AAD_PREFIX_SIZE		(sizeof(KEK_AAD_PREFIX) - 1)
#define KEK_AAD_SIZE	(KEK_AAD_PREFIX_SIZE + 4 + 8 + MEDSYNC_MASTER_KEY_ID_SIZE)

/* How often a row is looked for that ought to be there */
#define FIND_TRIES				5

/*---- Rows of the vault's tables ----*/

/*
 * Fetch a column that must be of the given type and not null.  A superuser
 * may have changed rows and even the table, hence the checks.
 */
bool
medsync_row_column(Relation heap, HeapTuple tuple, int attnum, Oid type,
				   Datum *value)
{
	TupleDesc	desc = RelationGetDescr(heap);
	bool		isnull;

	if (attnum > desc->natts ||
		TupleDescAttr(desc, attnum - 1)->attisdropped ||
		TupleDescAttr(desc, attnum - 1)->atttypid != type)
		return false;
	*value = heap_getattr(tuple, attnum, desc, &isnull);
	return !isnull;
}

/* Copy a bytea column that must have exactly this size. */
bool
medsync_row_bytes(Relation heap, HeapTuple tuple, int attnum, uint8 *dst,
				  size_t len)
{
	Datum		value;
	struct varlena *bytes;

	if (!medsync_row_column(heap, tuple, attnum, BYTEAOID, &value))
		return false;
	bytes = (struct varlena *) DatumGetPointer(value);
	/* what we write is never compressed or out of line */
	if (VARATT_IS_EXTERNAL(bytes) || VARATT_IS_COMPRESSED(bytes))
		return false;
	if (VARSIZE_ANY_EXHDR(bytes) != len)
		return false;
	memcpy(dst, VARDATA_ANY(bytes), len);
	return true;
}

/* Did this transaction write the row? */
bool
medsync_row_is_own(HeapTuple tuple)
{
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
}

/* Make a bytea datum in the caller's buffer. */
Datum
medsync_stack_bytea(MedsyncStackBytea *buf, const uint8 *data, size_t len)
{
	Assert(len <= MEDSYNC_WRAPPED_SIZE);
	SET_VARSIZE(buf->bytes, VARHDRSZ + len);
	memcpy(VARDATA(buf->bytes), data, len);
	return PointerGetDatum(buf->bytes);
}

/*
 * Check that the tables' columns are ours before writing by number; a
 * superuser can have altered them.
 */
void
medsync_check_columns(Relation heap, int natts, Oid last_type)
{
	TupleDesc	desc = RelationGetDescr(heap);

	if (desc->natts != natts ||
		TupleDescAttr(desc, natts - 1)->atttypid != last_type)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("table \"%s.%s\" does not have its original columns",
						MEDSYNC_SCHEMA, RelationGetRelationName(heap))));
}

/* Wrap 32 secret bytes under a fresh nonce; key NULL: the context's own. */
void
medsync_secret_wrap(MedsyncGcm *gcm, const uint8 *key,
					const uint8 *aad, size_t aadlen,
					const uint8 *secret, uint8 *wrapped)
{
	medsync_random(wrapped, MEDSYNC_NONCE_SIZE);
	medsync_gcm_seal(gcm, key, wrapped, aad, aadlen,
					 secret, MEDSYNC_KEY_SIZE, wrapped + MEDSYNC_NONCE_SIZE);
}

/* Undo medsync_secret_wrap(); false if anything does not fit. */
bool
medsync_secret_unwrap(MedsyncGcm *gcm, const uint8 *key,
					  const uint8 *aad, size_t aadlen,
					  const uint8 *wrapped, uint8 *secret)
{
	return medsync_gcm_open(gcm, key, wrapped, aad, aadlen,
							wrapped + MEDSYNC_NONCE_SIZE,
							MEDSYNC_WRAPPED_SIZE - MEDSYNC_NONCE_SIZE, secret);
}

/*---- Key-encryption keys ----*/

/* Read a row; false if not even its number can be read. */
bool
medsync_kek_row_read(MedsyncKekRow *row, Relation heap, HeapTuple tuple)
{
	Datum		value;

	if (!medsync_row_column(heap, tuple, Anum_kek_number, INT4OID, &value))
		return false;
	row->number = DatumGetInt32(value);
	row->own = medsync_row_is_own(tuple);
	row->tid = tuple->t_self;
	row->intact =
		medsync_row_column(heap, tuple, Anum_kek_created_at, TIMESTAMPTZOID,
						   &value) &&
		medsync_row_bytes(heap, tuple, Anum_kek_master_key_id,
						  row->master_key_id, sizeof(row->master_key_id)) &&
		medsync_row_bytes(heap, tuple, Anum_kek_wrapped,
						  row->wrapped, sizeof(row->wrapped));
	if (row->intact)
		row->created_at = DatumGetTimestampTz(value);
	return true;
}

/* Look once for the row of a number, or (NULL) of the highest. */
static bool
find_once(Relation heap, const int32 *number, MedsyncKekRow *found)
{
	MedsyncScan scan;
	HeapTuple	tuple;
	MedsyncKekRow row;
	bool		result = false;

	medsync_scan_begin(&scan, heap, NULL, SnapshotSelf, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		if (!medsync_kek_row_read(&row, heap, tuple))
			continue;
		if (number != NULL ? row.number != *number :
			result && row.number < found->number)
			continue;
		*found = row;
		result = true;
	}
	medsync_scan_end(&scan);
	return result;
}

/*
 * Find the row of a key-encryption key, by number or (NULL) the newest.
 * The table is small, so it is read without an index.
 *
 * The scan is not under an MVCC snapshot, so that a rotation which commits
 * while it runs can hide both versions of a row, the new one passed too early
 * and the old one met too late.  A row that seems to be missing is therefore
 * looked for again.
 */
bool
medsync_kek_find(const int32 *number, MedsyncKekRow *found, Oid *relid)
{
	Relation	heap = medsync_open(MEDSYNC_KEK_TABLE, AccessShareLock);
	bool		result = false;
	int			i;

	*relid = RelationGetRelid(heap);
	for (i = 0; i < FIND_TRIES && !result; i++)
		result = find_once(heap, number, found);
	table_close(heap, NoLock);
	return result;
}

/* All rows, of MedsyncKekRow, for whoever keeps others from changing them. */
List *
medsync_kek_rows(Relation heap)
{
	List	   *rows = NIL;
	MedsyncScan scan;
	HeapTuple	tuple;

	medsync_scan_begin(&scan, heap, NULL, SnapshotSelf, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncKekRow *row = palloc0(sizeof(MedsyncKekRow));

		if (medsync_kek_row_read(row, heap, tuple))
			rows = lappend(rows, row);
	}
	medsync_scan_end(&scan);
	return rows;
}

/* Associated data of a key-encryption key's wrap. */
static void
kek_aad(const MedsyncKekRow *row, uint8 *aad)
{
	memcpy(aad, KEK_AAD_PREFIX, KEK_AAD_PREFIX_SIZE);
	aad += KEK_AAD_PREFIX_SIZE;
	medsync_wire_store_u32(aad, (uint32) row->number);
	medsync_wire_store_u64(aad + 4, (uint64) row->created_at);
	memcpy(aad + 12, row->master_key_id, MEDSYNC_MASTER_KEY_ID_SIZE);
}

/*
 * Open a key-encryption key with the master key that its row names.  Raises
 * no error for what it finds; *problem says what is wrong with the master
 * key, where it is that.  The caller wipes the secret.
 */
MedsyncKeyStatus
medsync_kek_unwrap(const MedsyncKekRow *row, uint8 *secret,
				   MedsyncMasterKeyProblem *problem)
{
	MedsyncMasterKey master;
	uint8		aad[KEK_AAD_SIZE];
	MedsyncGcm *gcm;
	bool		opened;

	if (!row->intact)
		return MEDSYNC_KEY_NO_KEK;
	if (!medsync_master_key_read(row->master_key_id, &master, problem))
		return MEDSYNC_KEY_NO_MASTER;

	kek_aad(row, aad);
	gcm = medsync_gcm_create();
	opened = medsync_secret_unwrap(gcm, master.wrap, aad, sizeof(aad),
								   row->wrapped, secret);
	medsync_gcm_free(gcm);
	medsync_cleanse(&master, sizeof(master));
	return opened ? MEDSYNC_KEY_OK : MEDSYNC_KEY_NO_KEK;
}

/* Wrap a key-encryption key; the row's number and time are final. */
void
medsync_kek_wrap(MedsyncKekRow *row, const MedsyncMasterKey *master,
				 const uint8 *secret)
{
	MedsyncGcm *gcm = medsync_gcm_create();
	uint8		aad[KEK_AAD_SIZE];

	memcpy(row->master_key_id, master->id, sizeof(row->master_key_id));
	kek_aad(row, aad);
	medsync_secret_wrap(gcm, master->wrap, aad, sizeof(aad), secret,
						row->wrapped);
	medsync_gcm_free(gcm);
}

static HeapTuple
form_row(Relation heap, const MedsyncKekRow *row)
{
	Datum		values[Natts_kek];
	bool		nulls[Natts_kek] = {0};
	MedsyncStackBytea master_key_id;
	MedsyncStackBytea wrapped;

	values[Anum_kek_number - 1] = Int32GetDatum(row->number);
	values[Anum_kek_created_at - 1] = TimestampTzGetDatum(row->created_at);
	values[Anum_kek_master_key_id - 1] =
		medsync_stack_bytea(&master_key_id, row->master_key_id,
							sizeof(row->master_key_id));
	values[Anum_kek_wrapped - 1] =
		medsync_stack_bytea(&wrapped, row->wrapped, sizeof(row->wrapped));
	return heap_form_tuple(RelationGetDescr(heap), values, nulls);
}

/* Insert key-encryption key 1, wrapped by the master key. */
void
medsync_kek_make_first(Relation heap)
{
	MedsyncMasterKeyProblem problem;
	MedsyncMasterKey master;
	MedsyncKekRow row;
	HeapTuple	tuple;
	uint8		secret[MEDSYNC_KEY_SIZE];

	medsync_master_key_create();
	if (!medsync_master_key_read(NULL, &master, &problem))
		medsync_master_key_fail(&problem, 0);

	row.number = 1;
	row.created_at = GetCurrentTimestamp();
	medsync_random(secret, sizeof(secret));
	medsync_kek_wrap(&row, &master, secret);
	medsync_cleanse(secret, sizeof(secret));
	medsync_cleanse(&master, sizeof(master));
	tuple = form_row(heap, &row);
	medsync_insert_quietly(heap, tuple, false);
	heap_freetuple(tuple);
}

/* Store how a key-encryption key is wrapped now. */
void
medsync_kek_update(Relation heap, const MedsyncKekRow *row)
{
	HeapTuple	tuple = form_row(heap, row);
	ItemPointerData tid = row->tid;

	CatalogTupleUpdate(heap, &tid, tuple);
	heap_freetuple(tuple);
}

/* Raise the error for a key-encryption key that cannot be had. */
void
medsync_kek_fail(int32 number)
{
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
			 errmsg("key-encryption key %d is missing or damaged", number),
			 errhint("Restore table medsync._key_encryption_key from a backup.")));
}
