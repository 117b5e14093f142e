/*-------------------------------------------------------------------------
 *
 * proofs.c
 *		Inclusion and consistency proofs; the room's init.
 *
 * Proofs are read from tiles, O(log n) hashes of at most three tiles.  A
 * proof can be asked for any size that the ledger ever had, signed or not.
 * Nothing is stored and no lock is taken.  Works on a standby.  Checking a
 * proof asks no table at all.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/order.h"
#include "proofs/checkpoint.h"
#include "proofs/tiles.h"
#include "proofs/witness.h"

PG_FUNCTION_INFO_V1(medsync_leaf);
PG_FUNCTION_INFO_V1(medsync_prove_inclusion);
PG_FUNCTION_INFO_V1(medsync_prove_consistency);
PG_FUNCTION_INFO_V1(medsync_verify_inclusion);
PG_FUNCTION_INFO_V1(medsync_verify_consistency);

/* The columns of the room's tables */
static const MedsyncShape proofs_shapes[] = {
	{"_signer_key", false, 3, {INT4OID, TEXTOID, XID8OID}},
	{"_checkpoint", false, 2, {INT8OID, TEXTOID}},
	{"_cosignature", false, 3, {INT8OID, TEXTOID, TEXTOID}},
	{"_witness", false, 3, {TEXTOID, TEXTOID, TEXTOID}},
	{NULL}
};

void
medsync_proofs_init(void)
{
	medsync_shapes_register(proofs_shapes);
	medsync_signer_init();
	medsync_signer_key_init();
	medsync_checkpoint_init();
	medsync_audit_init();
	medsync_witness_init();
}

/* How many entries are sealed, as this statement sees it. */
static int64
sealed_size(void)
{
	MedsyncBlock *last = medsync_block_last(medsync_walk_snapshot());

	return last ? last->first_index + last->entry_count : 0;
}

/* A size that the caller gave, or the ledger's own. */
static int64
size_argument(FunctionCallInfo fcinfo, int argument, int64 sealed)
{
	int64		size = PG_ARGISNULL(argument) ? sealed :
		PG_GETARG_INT64(argument);

	if (size < 0 || size > sealed)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("size " INT64_FORMAT " is out of range", size),
				 errdetail("The ledger has " INT64_FORMAT " sealed entries.",
						   sealed)));
	return size;
}

/* An entry's index that the caller gave. */
static int64
index_argument(FunctionCallInfo fcinfo, int argument, int64 size)
{
	int64		index;

	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("entry index must not be null")));
	index = PG_GETARG_INT64(argument);
	if (index < 0 || index >= size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("entry index " INT64_FORMAT " is out of range", index),
				 errdetail("The tree has " INT64_FORMAT " entries, the first with index 0.",
						   size)));
	return index;
}

/* Hashes as bytea[]. */
static ArrayType *
proof_array(const uint8 (*hashes)[MEDSYNC_HASH_SIZE], int count)
{
	Datum		elements[MEDSYNC_PROOF_MAX];
	int			i;

	for (i = 0; i < count; i++)
		elements[i] = PointerGetDatum(medsync_make_bytea(hashes[i],
												 MEDSYNC_HASH_SIZE));
	return construct_array(elements, count, BYTEAOID, -1, false, TYPALIGN_INT);
}

/*
 * Hashes of a caller's bytea[].  False for what can be no proof: too many, a
 * null, another length.
 */
static bool
proof_argument(ArrayType *array, uint8 (*hashes)[MEDSYNC_HASH_SIZE],
			   int *count)
{
	Datum	   *elements;
	bool	   *isnull;
	int			i;

	deconstruct_array(array, BYTEAOID, -1, false, TYPALIGN_INT, &elements,
					  &isnull, count);
	if (*count > MEDSYNC_PROOF_MAX)
		return false;
	for (i = 0; i < *count; i++)
	{
		bytea	   *hash;

		if (isnull[i])
			return false;
		hash = DatumGetByteaPP(elements[i]);
		if (VARSIZE_ANY_EXHDR(hash) != MEDSYNC_HASH_SIZE)
			return false;
		memcpy(hashes[i], VARDATA_ANY(hash), MEDSYNC_HASH_SIZE);
	}
	return true;
}

/* A hash or root of a caller; false if it is not 32 bytes long. */
static bool
hash_argument(bytea *argument, uint8 *hash)
{
	if (VARSIZE_ANY_EXHDR(argument) != MEDSYNC_HASH_SIZE)
		return false;
	memcpy(hash, VARDATA_ANY(argument), MEDSYNC_HASH_SIZE);
	return true;
}

/* Where leaf() puts what it finds */
typedef struct LeafOf
{
	StringInfoData scratch;
	uint8		leaf[MEDSYNC_LEAF_SIZE];
} LeafOf;

static void
leaf_of_entry(void *arg, const MedsyncWalkEntry *item)
{
	LeafOf	   *result = arg;

	medsync_entry_leaf(&result->scratch, item->xact->era->id, item->header,
					   item->entry, result->leaf);
}

/* medsync.leaf(entry_index) */
Datum
medsync_leaf(PG_FUNCTION_ARGS)
{
	Snapshot	snapshot = RegisterSnapshot(medsync_walk_snapshot());
	int64		index = index_argument(fcinfo, 0, sealed_size());
	MedsyncWalk walk;
	LeafOf		result;
	bool		found;

	initStringInfo(&result.scratch);
	medsync_walk_open(&walk, snapshot);
	found = medsync_order_read(&walk, index, 1, leaf_of_entry, &result);
	medsync_walk_close(&walk);
	UnregisterSnapshot(snapshot);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("entry " INT64_FORMAT " of the ledger is missing",
						index),
				 errhint("Run medsync.verify() to see what was changed.")));
	PG_RETURN_BYTEA_P(medsync_make_bytea(result.leaf, MEDSYNC_LEAF_SIZE));
}

/* medsync.prove_inclusion(entry_index, size) */
Datum
medsync_prove_inclusion(PG_FUNCTION_ARGS)
{
	int64		sealed = sealed_size();
	int64		size = size_argument(fcinfo, 1, sealed);
	int64		index = index_argument(fcinfo, 0, size);
	uint8		proof[MEDSYNC_PROOF_MAX][MEDSYNC_HASH_SIZE];
	MedsyncStoredTree *tree;
	int			count;

	tree = medsync_stored_tree_open(sealed, medsync_walk_snapshot());
	count = medsync_tiles_inclusion(&tree->tiles, index, size, proof);
	medsync_stored_tree_close(tree);
	if (count < 0)
		medsync_stored_tree_damaged();
	PG_RETURN_ARRAYTYPE_P(proof_array((const uint8 (*)[MEDSYNC_HASH_SIZE]) proof,
									  count));
}

/* medsync.prove_consistency(old_size, new_size) */
Datum
medsync_prove_consistency(PG_FUNCTION_ARGS)
{
	int64		sealed = sealed_size();
	int64		new_size = size_argument(fcinfo, 1, sealed);
	int64		old_size;
	uint8		proof[MEDSYNC_PROOF_MAX][MEDSYNC_HASH_SIZE];
	MedsyncStoredTree *tree;
	int			count = 0;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("old size must not be null")));
	old_size = PG_GETARG_INT64(0);
	if (old_size < 0 || old_size > new_size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("old size " INT64_FORMAT " is out of range", old_size),
				 errdetail("The new size is " INT64_FORMAT ".", new_size)));
	/* the empty tree is consistent with every tree: there is nothing to show */
	if (old_size > 0)
	{
		tree = medsync_stored_tree_open(sealed, medsync_walk_snapshot());
		count = medsync_tiles_consistency(&tree->tiles, old_size, new_size,
										  proof);
		medsync_stored_tree_close(tree);
		if (count < 0)
			medsync_stored_tree_damaged();
	}
	PG_RETURN_ARRAYTYPE_P(proof_array((const uint8 (*)[MEDSYNC_HASH_SIZE]) proof,
									  count));
}

/* medsync.verify_inclusion(leaf_hash, entry_index, size, proof, root) */
Datum
medsync_verify_inclusion(PG_FUNCTION_ARGS)
{
	int64		index = PG_GETARG_INT64(1);
	int64		size = PG_GETARG_INT64(2);
	uint8		proof[MEDSYNC_PROOF_MAX][MEDSYNC_HASH_SIZE];
	uint8		leaf_hash[MEDSYNC_HASH_SIZE];
	uint8		root[MEDSYNC_HASH_SIZE];
	int			count;

	PG_RETURN_BOOL(index >= 0 && size > 0 &&
				   hash_argument(PG_GETARG_BYTEA_PP(0), leaf_hash) &&
				   proof_argument(PG_GETARG_ARRAYTYPE_P(3), proof, &count) &&
				   hash_argument(PG_GETARG_BYTEA_PP(4), root) &&
				   medsync_merkle_verify_inclusion(leaf_hash, index, size,
												   (const uint8 (*)[MEDSYNC_HASH_SIZE]) proof,
												   count, root));
}

/* medsync.verify_consistency(old_size, old_root, new_size, new_root, proof) */
Datum
medsync_verify_consistency(PG_FUNCTION_ARGS)
{
	int64		old_size = PG_GETARG_INT64(0);
	int64		new_size = PG_GETARG_INT64(2);
	uint8		proof[MEDSYNC_PROOF_MAX][MEDSYNC_HASH_SIZE];
	uint8		old_root[MEDSYNC_HASH_SIZE];
	uint8		new_root[MEDSYNC_HASH_SIZE];
	int			count;

	PG_RETURN_BOOL(old_size >= 0 && new_size >= 0 &&
				   hash_argument(PG_GETARG_BYTEA_PP(1), old_root) &&
				   hash_argument(PG_GETARG_BYTEA_PP(3), new_root) &&
				   proof_argument(PG_GETARG_ARRAYTYPE_P(4), proof, &count) &&
				   medsync_merkle_verify_consistency(old_size, old_root,
													 new_size, new_root,
													 (const uint8 (*)[MEDSYNC_HASH_SIZE]) proof,
													 count));
}
