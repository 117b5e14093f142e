/*-------------------------------------------------------------------------
 *
 * subject_key.c
 *		Subjects' secrets: making, finding, opening and caching them.
 *
 * _subject_key has one row for each subject, each tracked table and the
 * ledger itself (the root secret, whose tag is all zero), found by a tag,
 * 16 bytes of an HMAC under a key that comes from the root secret, or by its
 * key id.  The secret is wrapped by a row of _key_encryption_key (kek.c), and
 * that by the master key (master_key.c).  docs/formats.md has the bytes.
 *
 * First touch.  Two transactions that meet a new subject must agree on one
 * secret, although neither may wait for the other to end.  So no unique
 * constraint guards the table.  Whoever does not have the key in its cache
 * takes a lock on (database, _subject_key, part of the tag), looks with
 * SnapshotDirty, and then
 *
 *		uses the row that is committed, or its own;
 *		or else inserts an identical copy of the row that another transaction
 *			has not committed yet, under its own xid, marked "duplicate";
 *		or else inserts a row of its own,
 *
 * and gives the lock up at once.  Whichever of them commit, every row of the
 * subject that stays has the same secret.  Rows are never updated, and rows
 * are made only under the lock.  Later the sealer removes a committed duplicate,
 * under the same lock, if an identical committed row stays; one
 * that stands alone, because its original was rolled back, first gets a
 * plain copy.
 *
 * Locks, in order: _subject_key (RowExclusiveLock by writers, kept to the
 * end of the transaction as for any written table; it conflicts with DDL
 * only), the subject's lock, _key_encryption_key and the indexes.  Nothing
 * under the subject's lock waits for a transaction.  No scan here takes a
 * predicate lock: SnapshotDirty and SnapshotSelf never do.
 *
 * Cache.  Opened keys stay in the backend, reached by a hash look-up.  An
 * entry whose row is our own and uncommitted carries its subtransaction: it
 * falls with it, becomes its parent's when it is released, and counts as
 * committed at commit.  PREPARE TRANSACTION drops it, since the row may
 * still fall.  Caches are flushed, and refilled as needed, when the relation
 * cache says that one of the two tables changed, which also covers DROP
 * EXTENSION; the flush is put off to the next call, so that a key handed out
 * stays valid until then.
 *
 * Errors and crashes: rows go the way of their transaction; a lock held by a
 * failing transaction is released by its abort.  On a standby only the key
 * readers work: they take AccessShareLock and write nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "common/wire.h"
#include "vault/kek.h"
#include "vault/quiet.h"
#include "vault/vault.h"
#include "vault/vault_internal.h"

#define SUBJECT_KEY_TABLE		"_subject_key"
#define SUBJECT_KEY_TAG_INDEX	"_subject_key_tag_idx"
#define SUBJECT_KEY_ID_INDEX	"_subject_key_id_idx"
#define SUBJECT_KEY_DUPLICATE_INDEX "_subject_key_duplicate_idx"

/* Columns of _subject_key */
#define ANUM_SUBJECT_TAG		1
#define ANUM_SUBJECT_KEY_ID		2
#define ANUM_SUBJECT_KEK		3
#define ANUM_SUBJECT_DUPLICATE	4
#define ANUM_SUBJECT_WRAPPED	5
#define NATTS_SUBJECT			5

#define SUBJECT_TAG_SIZE		16
#define KEY_ID_RANDOM_SIZE		(MEDSYNC_KEY_ID_SIZE - 6)

/* Associated data of a wrap; see docs/formats.md */
#define SUBJECT_AAD_PREFIX		"medsync subject key v1"
#define SUBJECT_AAD_PREFIX_SIZE (sizeof(SUBJECT_AAD_PREFIX) - 1)
#define SUBJECT_AAD_SIZE \
	(SUBJECT_AAD_PREFIX_SIZE + SUBJECT_TAG_SIZE + MEDSYNC_KEY_ID_SIZE + 4 + 1)

/* Memory that cached keys may take before all of them are dropped */
#define WRITER_CACHE_SIZE		(8 * 1024 * 1024)
#define READER_CACHE_SIZE		(64 * 1024 * 1024)

/* A cache's third kind of name, beside MedsyncSubjectKind: content is a key id */
#define NAMED_BY_ID				'i'

/* A row of _subject_key */
typedef struct SubjectRow
{
	uint8		tag[SUBJECT_TAG_SIZE];
	uint8		key_id[MEDSYNC_KEY_ID_SIZE];
	int32		kek_number;
	bool		duplicate;
	uint8		wrapped[MEDSYNC_WRAPPED_SIZE];
	bool		own;			/* inserted by this transaction */
	bool		pending;		/* inserted by another one, in progress */
	ItemPointerData tid;
} SubjectRow;

/* A key-encryption key, or why it cannot be had */
typedef struct Kek
{
	int32		number;
	MedsyncKeyStatus status;
	MedsyncGcm *gcm;			/* holds the key, if status is OK */
} Kek;

/*
 * The opened key-encryption keys and the root secret.  Writers share one;
 * each key reader has its own.
 */
typedef struct Keyring
{
	MemoryContext context;		/* where the list lives */
	List	   *keks;			/* of Kek */
	Kek		   *newest;			/* wraps new secrets; NULL: not looked up yet */
	bool		keep_failures;	/* remember key-encryption keys that fail */
	bool		has_root;
	uint8		root[MEDSYNC_KEY_SIZE];
	MedsyncHmacKey tag;			/* K_tag, if has_root */
	bool		uncommitted;	/* some of it is from our own new rows */
	int32		failed_number;	/* last key-encryption key that failed ... */
	MedsyncMasterKeyProblem problem;	/* ... and why, if the master key's */
} Keyring;

/* Name of a cached key; "content" points into its CacheEntry */
typedef struct SubjectName
{
	const uint8 *content;
	uint32		len;
	char		kind;
} SubjectName;

typedef struct CacheEntry
{
	MedsyncSubjectKey key;
	MedsyncKeyStatus status;	/* OK, except in readers */
	SubTransactionId subid;		/* invalid: the row is known to be committed */
	dlist_node	node;			/* in KeyCache.uncommitted, if subid is valid */
	SubjectName name;
	uint8		content[FLEXIBLE_ARRAY_MEMBER];
} CacheEntry;

typedef struct NameSlot
{
	SubjectName name;
	CacheEntry *entry;
	uint32		hash;
	char		status;			/* for simplehash */
} NameSlot;

/* Seed of the hash below, so that nobody can choose names that collide */
static uint64 name_seed = 0;

/* Hash a name; inlined into the look-up. */
static inline uint32
name_hash(const SubjectName *name)
{
	return (uint32) hash_bytes_extended(name->content, (int) name->len,
										name_seed ^ (uint8) name->kind);
}

/* Are two names the same? */
static inline bool
name_equal(const SubjectName *a, const SubjectName *b)
{
	return a->len == b->len && a->kind == b->kind &&
		memcmp(a->content, b->content, a->len) == 0;
}

#define SH_PREFIX			names
#define SH_ELEMENT_TYPE		NameSlot
#define SH_KEY_TYPE			SubjectName
#define SH_KEY				name
#define SH_HASH_KEY(tb, key)	name_hash(&(key))
#define SH_EQUAL(tb, a, b)	name_equal(&(a), &(b))
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a)	((a)->hash)
#define SH_SCOPE			static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Opened keys by name; everything in it lives in "context" */
typedef struct KeyCache
{
	MemoryContext context;		/* NULL: empty */
	names_hash *names;
	dlist_head	uncommitted;	/* latest first, hence by subtransaction */
	MemoryContextCallback wipe; /* overwrites the keys before they are freed */
	Size		limit;			/* bytes, before everything is dropped */
} KeyCache;

struct MedsyncKeyReader
{
	MemoryContext context;
	Keyring		ring;
	KeyCache	cache;
	MemoryContextCallback wipe;
};

/*---- Local variables ----*/

/* What writers use; see "Cache" in the banner */
static Keyring writer_ring;
static KeyCache writer_cache;

/* Set by the invalidation callback; looked at by each call */
static bool flush_pending = false;

/* The tables that the writers' caches were filled from */
static Oid	subject_key_relid = InvalidOid;
static Oid	kek_relid = InvalidOid;

static const uint8 root_tag[SUBJECT_TAG_SIZE] = {0};

/*---- Rows and their wraps ----*/

/* Read a row that "snapshot" just found; false if it is malformed. */
static bool
subject_row_read(SubjectRow *row, Relation heap, HeapTuple tuple,
				 Snapshot snapshot)
{
	Datum		kek_number;
	Datum		duplicate;

	if (!medsync_row_bytes(heap, tuple, ANUM_SUBJECT_TAG,
						   row->tag, sizeof(row->tag)) ||
		!medsync_row_bytes(heap, tuple, ANUM_SUBJECT_KEY_ID,
						   row->key_id, sizeof(row->key_id)) ||
		!medsync_row_column(heap, tuple, ANUM_SUBJECT_KEK, INT4OID,
							&kek_number) ||
		!medsync_row_column(heap, tuple, ANUM_SUBJECT_DUPLICATE, BOOLOID,
							&duplicate) ||
		!medsync_row_bytes(heap, tuple, ANUM_SUBJECT_WRAPPED,
						   row->wrapped, sizeof(row->wrapped)))
		return false;
	row->kek_number = DatumGetInt32(kek_number);
	row->duplicate = DatumGetBool(duplicate);
	row->own = medsync_row_is_own(tuple);
	row->pending = snapshot->snapshot_type == SNAPSHOT_DIRTY &&
		TransactionIdIsValid(snapshot->xmin);
	row->tid = tuple->t_self;
	return true;
}

/* Associated data of a secret's wrap. */
static void
subject_aad(const SubjectRow *row, uint8 *aad)
{
	memcpy(aad, SUBJECT_AAD_PREFIX, SUBJECT_AAD_PREFIX_SIZE);
	aad += SUBJECT_AAD_PREFIX_SIZE;
	memcpy(aad, row->tag, SUBJECT_TAG_SIZE);
	aad += SUBJECT_TAG_SIZE;
	memcpy(aad, row->key_id, MEDSYNC_KEY_ID_SIZE);
	aad += MEDSYNC_KEY_ID_SIZE;
	medsync_wire_store_u32(aad, (uint32) row->kek_number);
	aad[4] = row->duplicate ? 1 : 0;
}

/* Derive a key from a secret, for one use only. */
static void
derive(const uint8 *secret, const char *use, uint8 *key)
{
	const char *const parts[] = {"medsync ", use, " v1"};
	MedsyncHmacKey prk;
	char		info[64];
	size_t		len = 0;
	int			i;

	for (i = 0; i < (int) lengthof(parts); i++)
	{
		size_t		part_len = strlen(parts[i]);

		if (len + part_len > sizeof(info))
			elog(ERROR, "use of a key has too long a name: \"%s\"", use);
		memcpy(info + len, parts[i], part_len);
		len += part_len;
	}
	medsync_hmac_key(&prk, secret, MEDSYNC_KEY_SIZE);
	medsync_hkdf_expand(&prk, info, len, key);
	medsync_cleanse(&prk, sizeof(prk));
}

/* The same for a key that is used in HMACs. */
static void
derive_hmac_key(const uint8 *secret, const char *use, MedsyncHmacKey *hmac_key)
{
	uint8		key[MEDSYNC_KEY_SIZE];

	derive(secret, use, key);
	medsync_hmac_key(hmac_key, key, sizeof(key));
	medsync_cleanse(key, sizeof(key));
}

/* Fill in a subject's key. */
static void
fill_subject_key(const uint8 *secret, const uint8 *key_id,
				   MedsyncSubjectKey *key)
{
	memcpy(key->id, key_id, MEDSYNC_KEY_ID_SIZE);
	memcpy(key->secret, secret, MEDSYNC_KEY_SIZE);
	key->has_image = false;
	derive_hmac_key(secret, "commit", &key->commit);
}

/* The key under which keys of images are derived. */
const MedsyncHmacKey *
medsync_vault_image_key(const MedsyncSubjectKey *key)
{
	MedsyncSubjectKey *cached = unconstify(MedsyncSubjectKey *, key);

	if (!key->has_image)
	{
		derive_hmac_key(key->secret, "image", &cached->image);
		cached->has_image = true;
	}
	return &key->image;
}

/* The key of a table's row keys. */
void
medsync_vault_label_key(const MedsyncSubjectKey *key, MedsyncHmacKey *label)
{
	derive_hmac_key(key->secret, "label", label);
}

/* The key that wraps the data keys of the subject's records. */
void
medsync_vault_record_key(const MedsyncSubjectKey *key, uint8 *record_key)
{
	derive(key->secret, "record", record_key);
}

/*---- Key-encryption keys and the root secret ----*/

/* Open a key-encryption key with the master key, into kek->gcm. */
static MedsyncKeyStatus
kek_open(const MedsyncKekRow *row, Kek *kek, MedsyncMasterKeyProblem *problem)
{
	uint8		secret[MEDSYNC_KEY_SIZE];
	uint8		nothing[MEDSYNC_TAG_SIZE];
	MedsyncKeyStatus status = medsync_kek_unwrap(row, secret, problem);

	if (status != MEDSYNC_KEY_OK)
		return status;

	/* give the context its key, for good, by sealing nothing */
	kek->gcm = medsync_gcm_create();
	medsync_gcm_seal(kek->gcm, secret, row->wrapped, NULL, 0, NULL, 0, nothing);
	medsync_cleanse(secret, sizeof(secret));
	return MEDSYNC_KEY_OK;
}

/*
 * Open a key-encryption key and put it into the ring.  Nothing is put there
 * before it is opened: that can be cancelled, where a command has the master
 * key.
 */
static MedsyncKeyStatus
keyring_add(Keyring *ring, const MedsyncKekRow *row, Kek **result)
{
	MemoryContext old_context;
	Kek			opened = {0};

	opened.number = row->number;
	opened.status = kek_open(row, &opened, &ring->problem);
	if (opened.status == MEDSYNC_KEY_OK)
		ring->uncommitted |= row->own;
	else
	{
		ring->failed_number = row->number;
		if (!ring->keep_failures)
			return opened.status;
	}

	old_context = MemoryContextSwitchTo(ring->context);
	*result = palloc(sizeof(Kek));
	**result = opened;
	ring->keks = lappend(ring->keks, *result);
	MemoryContextSwitchTo(old_context);
	return opened.status;
}

/*
 * Get a key-encryption key, by number or (NULL) the newest.  *result is NULL
 * unless the status is OK, or a failure was remembered.
 */
static MedsyncKeyStatus
keyring_get(Keyring *ring, const int32 *number, Kek **result)
{
	ListCell   *cell;
	MedsyncKekRow row;
	Kek		   *kek;

	*result = number == NULL ? ring->newest : NULL;
	if (number != NULL)
	{
		foreach(cell, ring->keks)
		{
			kek = lfirst(cell);
			if (kek->number == *number)
				*result = kek;
		}
	}
	if (*result != NULL)
	{
		ring->failed_number = (*result)->number;
		return (*result)->status;
	}

	if (!medsync_kek_find(number, &row, &kek_relid))
	{
		ring->failed_number = number != NULL ? *number : 0;
		return MEDSYNC_KEY_NO_KEK;
	}
	if (number == NULL)
	{
		/* it may be there under its number */
		MedsyncKeyStatus status = keyring_get(ring, &row.number, result);

		if (status == MEDSYNC_KEY_OK)
			ring->newest = *result;
		return status;
	}

	return keyring_add(ring, &row, result);
}

/* Forget all keys of the ring. */
static void
keyring_clear(Keyring *ring)
{
	ListCell   *cell;

	foreach(cell, ring->keks)
		medsync_gcm_free(((Kek *) lfirst(cell))->gcm);
	list_free_deep(ring->keks);
	ring->keks = NIL;
	ring->newest = NULL;
	medsync_cleanse(&ring->tag, sizeof(ring->tag));
	medsync_cleanse(ring->root, sizeof(ring->root));
	ring->has_root = false;
	ring->uncommitted = false;
}

/* Open a row's secret. */
static MedsyncKeyStatus
subject_row_open(Keyring *ring, const SubjectRow *row, uint8 *secret)
{
	uint8		aad[SUBJECT_AAD_SIZE];
	MedsyncKeyStatus status;
	Kek		   *kek;

	status = keyring_get(ring, &row->kek_number, &kek);
	if (status != MEDSYNC_KEY_OK)
		return status;
	subject_aad(row, aad);
	if (!medsync_secret_unwrap(kek->gcm, NULL, aad, sizeof(aad), row->wrapped,
							   secret))
		return MEDSYNC_KEY_DAMAGED;
	return MEDSYNC_KEY_OK;
}

/* Fill in row->wrapped; the row's other columns are final. */
static void
subject_row_wrap(const Kek *kek, SubjectRow *row, const uint8 *secret)
{
	uint8		aad[SUBJECT_AAD_SIZE];

	row->kek_number = kek->number;
	subject_aad(row, aad);
	medsync_secret_wrap(kek->gcm, NULL, aad, sizeof(aad), secret,
						row->wrapped);
}

/*
 * Find the row of a tag or of a key id, as the index says, that opens:
 * rather one that is committed or our own than one that is pending.  If none
 * opens, the status is that of the failure that lies furthest from the row.
 */
static MedsyncKeyStatus
find_row(Relation heap, const char *index, const uint8 *value,
		 Snapshot snapshot, Keyring *ring, SubjectRow *found, uint8 *secret)
{
	MedsyncKeyStatus result = MEDSYNC_KEY_ABSENT;
	MedsyncScan scan;
	MedsyncStackBytea bytes;
	ScanKeyData key;
	HeapTuple	tuple;
	bool		have_one = false;

	StaticAssertStmt(SUBJECT_TAG_SIZE == MEDSYNC_KEY_ID_SIZE,
					 "one function looks both up");
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_BYTEAEQ,
				medsync_stack_bytea(&bytes, value, SUBJECT_TAG_SIZE));
	medsync_scan_begin(&scan, heap, index, snapshot, 1, &key);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncKeyStatus status = MEDSYNC_KEY_DAMAGED;
		SubjectRow	row;
		uint8		opened[MEDSYNC_KEY_SIZE];

		if (subject_row_read(&row, heap, tuple, snapshot))
		{
			if (have_one && row.pending)
				continue;
			status = subject_row_open(ring, &row, opened);
		}
		if (status != MEDSYNC_KEY_OK)
		{
			if (!have_one)
				result = Max(result, status);
			continue;
		}
		*found = row;
		memcpy(secret, opened, sizeof(opened));
		medsync_cleanse(opened, sizeof(opened));
		result = MEDSYNC_KEY_OK;
		have_one = true;
		if (!row.pending)
			break;
	}
	medsync_scan_end(&scan);
	return result;
}

/* Load the root secret into the ring, if it is not there yet. */
static MedsyncKeyStatus
keyring_load_root(Keyring *ring, Relation heap)
{
	MedsyncKeyStatus status;
	SubjectRow	row;
	uint8		secret[MEDSYNC_KEY_SIZE];

	if (ring->has_root)
		return MEDSYNC_KEY_OK;
	status = find_row(heap, SUBJECT_KEY_TAG_INDEX, root_tag, SnapshotSelf,
					  ring, &row, secret);
	if (status != MEDSYNC_KEY_OK)
		return status;

	derive_hmac_key(secret, "tag", &ring->tag);
	memcpy(ring->root, secret, sizeof(ring->root));
	medsync_cleanse(secret, sizeof(secret));
	ring->uncommitted |= row.own;
	ring->has_root = true;
	return MEDSYNC_KEY_OK;
}

/* The tag of a subject's rows; the ring has its root. */
static void
subject_tag(const Keyring *ring, const SubjectName *name, uint8 *tag)
{
	uint8		mac[MEDSYNC_HASH_SIZE];
	MedsyncHmac hmac;

	medsync_hmac_start(&hmac, &ring->tag);
	medsync_hmac_update(&hmac, &name->kind, 1);
	medsync_hmac_update(&hmac, name->content, name->len);
	medsync_hmac_finish(&hmac, mac);
	memcpy(tag, mac, SUBJECT_TAG_SIZE);
}

/*---- Cache of opened keys ----*/

/* Context callback: overwrite what is about to be freed. */
static void
cache_wipe(void *arg)
{
	KeyCache   *cache = arg;
	names_iterator iterator;
	NameSlot   *slot;

	names_start_iterate(cache->names, &iterator);
	while ((slot = names_iterate(cache->names, &iterator)) != NULL)
		medsync_cleanse(&slot->entry->key, sizeof(MedsyncSubjectKey));
}

/* Make an empty cache usable. */
static void
cache_create(KeyCache *cache, MemoryContext parent, Size limit)
{
	MemoryContext context;

	if (name_seed == 0)
		medsync_random(&name_seed, sizeof(name_seed));
	/* small blocks, so that what is allocated is close to what is used */
	context = AllocSetContextCreate(parent, "medsync subject keys",
									0, 8 * 1024, 256 * 1024);
	cache->names = names_create(context, 128, NULL);
	cache->limit = limit;
	dlist_init(&cache->uncommitted);
	cache->wipe.func = cache_wipe;
	cache->wipe.arg = cache;
	MemoryContextRegisterResetCallback(context, &cache->wipe);
	cache->context = context;
}

/* Drop everything. */
static void
cache_clear(KeyCache *cache)
{
	MemoryContext context = cache->context;

	if (context == NULL)
		return;
	cache->context = NULL;
	MemoryContextDelete(context);
	cache->names = NULL;
	dlist_init(&cache->uncommitted);
}

static inline CacheEntry *
cache_find(KeyCache *cache, const SubjectName *name)
{
	NameSlot   *slot = names_lookup(cache->names, *name);

	return slot != NULL ? slot->entry : NULL;
}

/*
 * Add an entry for a name that is not there; the caller fills in the key.
 * When the cache is full all of it goes first: what was ours and uncommitted
 * is found again in the table.
 */
static CacheEntry *
cache_add(KeyCache *cache, const SubjectName *name)
{
	CacheEntry *entry;
	NameSlot   *slot;
	bool		found;

	if (MemoryContextMemAllocated(cache->context, false) > cache->limit)
	{
		MemoryContext parent = MemoryContextGetParent(cache->context);
		Size		limit = cache->limit;

		cache_clear(cache);
		cache_create(cache, parent, limit);
	}

	entry = MemoryContextAllocZero(cache->context,
								   offsetof(CacheEntry, content) + name->len);
	memcpy(entry->content, name->content, name->len);
	entry->name.kind = name->kind;
	entry->name.len = name->len;
	entry->name.content = entry->content;
	entry->subid = InvalidSubTransactionId;
	slot = names_insert(cache->names, entry->name, &found);
	Assert(!found);
	slot->entry = entry;
	return entry;
}

/* Remove one entry. */
static void
cache_remove(KeyCache *cache, CacheEntry *entry)
{
	names_delete(cache->names, entry->name);
	medsync_cleanse(&entry->key, sizeof(entry->key));
	pfree(entry);
}

/*---- Writers ----*/

/* Drop all that writers have cached. */
static void
writer_flush(void)
{
	flush_pending = false;
	cache_clear(&writer_cache);
	keyring_clear(&writer_ring);
	subject_key_relid = InvalidOid;
	kek_relid = InvalidOid;
}

/* Relation cache callback: one of the tables changed, or all (InvalidOid). */
static void
vault_relcache_callback(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == subject_key_relid || relid == kek_relid)
		flush_pending = true;
}

/* Transaction callback: what was ours is committed now, or gone. */
static void
vault_xact_callback(XactEvent event, void *arg)
{
	dlist_mutable_iter iter;
	bool		commit = event == XACT_EVENT_COMMIT;

	if (!commit && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE &&
		event != XACT_EVENT_PARALLEL_COMMIT &&
		event != XACT_EVENT_PARALLEL_ABORT)
		return;

	if (writer_cache.context != NULL)
	{
		dlist_foreach_modify(iter, &writer_cache.uncommitted)
		{
			CacheEntry *entry = dlist_container(CacheEntry, node, iter.cur);

			dlist_delete(iter.cur);
			if (commit)
				entry->subid = InvalidSubTransactionId;
			else
				cache_remove(&writer_cache, entry);
		}
	}
	if (writer_ring.uncommitted)
	{
		if (commit)
			writer_ring.uncommitted = false;
		else
			keyring_clear(&writer_ring);
	}
	if (flush_pending)
		writer_flush();
}

/*
 * Subtransaction callback.  A subtransaction's entries stand together at the
 * head of the list: those of its parents were put in before it began.
 */
static void
vault_subxact_callback(SubXactEvent event, SubTransactionId subid,
					   SubTransactionId parent_subid, void *arg)
{
	dlist_mutable_iter iter;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;

	if (writer_cache.context != NULL)
	{
		dlist_foreach_modify(iter, &writer_cache.uncommitted)
		{
			CacheEntry *entry = dlist_container(CacheEntry, node, iter.cur);

			if (entry->subid != subid)
				break;
			if (event == SUBXACT_EVENT_COMMIT_SUB)
				entry->subid = parent_subid;
			else
			{
				dlist_delete(iter.cur);
				cache_remove(&writer_cache, entry);
			}
		}
	}

	/* rare: a transaction that makes the vault; what stays is read again */
	if (event == SUBXACT_EVENT_ABORT_SUB && writer_ring.uncommitted)
		keyring_clear(&writer_ring);
}

/* Set up the vault in this process; called once, from _PG_init. */
void
medsync_vault_init(void)
{
	medsync_master_key_init();
	medsync_quiet_init();
	writer_ring.context = TopMemoryContext;
	dlist_init(&writer_cache.uncommitted);
	RegisterXactCallback(vault_xact_callback, NULL);
	RegisterSubXactCallback(vault_subxact_callback, NULL);
	CacheRegisterRelcacheCallback(vault_relcache_callback, (Datum) 0);
}

/* Raise the error for a key that a writer needs and cannot have. */
static void
writer_fail(MedsyncKeyStatus status, const uint8 *tag)
{
	char		tag_text[2 * SUBJECT_TAG_SIZE + 1];

	switch (status)
	{
		case MEDSYNC_KEY_NO_MASTER:
			medsync_master_key_fail(&writer_ring.problem,
									writer_ring.failed_number);
			break;
		case MEDSYNC_KEY_NO_KEK:
			if (writer_ring.failed_number == 0)
				break;
			medsync_kek_fail(writer_ring.failed_number);
			break;
		case MEDSYNC_KEY_DAMAGED:
			hex_encode((const char *) tag, SUBJECT_TAG_SIZE, tag_text);
			tag_text[2 * SUBJECT_TAG_SIZE] = '\0';
			ereport(ERROR,
					(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
					 errmsg("key of a subject is damaged"),
					 errdetail("No row of medsync._subject_key with tag %s can be decrypted.",
							   tag_text),
					 errhint("Restore table medsync._subject_key from a backup.")));
			break;
		case MEDSYNC_KEY_ABSENT:
		case MEDSYNC_KEY_OK:
			break;
	}

	/* nothing but the root secret is looked for without being made */
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_KEY_UNAVAILABLE),
			 errmsg("root key of the ledger is missing"),
			 errdetail("Tables medsync._key_encryption_key and medsync._subject_key do not hold the keys that tracking the first table makes."),
			 errhint("Restore both tables from a backup.")));
}

/*
 * Open _subject_key for a writer.  Once its lock is held nobody can drop the
 * extension, so the caches are valid for the table at hand if no flush is
 * pending now.
 */
static Relation
writer_open(void)
{
	Relation	heap = medsync_open(SUBJECT_KEY_TABLE, RowExclusiveLock);

	if (flush_pending)
		writer_flush();
	subject_key_relid = RelationGetRelid(heap);
	return heap;
}

/* Load the root secret for a writer, or raise an error. */
static void
writer_load_root(Relation heap)
{
	MedsyncKeyStatus status = keyring_load_root(&writer_ring, heap);

	if (status != MEDSYNC_KEY_OK)
		writer_fail(status, root_tag);
}

/* Take the lock of a subject.  The caller releases it as soon as it can. */
static void
lock_subject(LOCKTAG *lock, Relation heap, const uint8 *tag)
{
	MedsyncReader reader;
	uint32		first;
	uint16		second;

	/* a tag is uniformly distributed, so that any part of it will do */
	medsync_wire_open(&reader, tag, SUBJECT_TAG_SIZE);
	first = medsync_wire_get_u32(&reader);
	second = medsync_wire_get_u16(&reader);
	SET_LOCKTAG_OBJECT(*lock, MyDatabaseId, RelationGetRelid(heap),
					   first, second);
	(void) LockAcquire(lock, ExclusiveLock, false, false);
}

static void
unlock_subject(const LOCKTAG *lock)
{
	(void) LockRelease(lock, ExclusiveLock, false);
}

static void
insert_subject_row(Relation heap, const SubjectRow *row)
{
	Datum		values[NATTS_SUBJECT];
	bool		nulls[NATTS_SUBJECT] = {0};
	MedsyncStackBytea tag;
	MedsyncStackBytea key_id;
	MedsyncStackBytea wrapped;
	HeapTuple	tuple;

	values[ANUM_SUBJECT_TAG - 1] =
		medsync_stack_bytea(&tag, row->tag, sizeof(row->tag));
	values[ANUM_SUBJECT_KEY_ID - 1] =
		medsync_stack_bytea(&key_id, row->key_id, sizeof(row->key_id));
	values[ANUM_SUBJECT_KEK - 1] = Int32GetDatum(row->kek_number);
	values[ANUM_SUBJECT_DUPLICATE - 1] = BoolGetDatum(row->duplicate);
	values[ANUM_SUBJECT_WRAPPED - 1] =
		medsync_stack_bytea(&wrapped, row->wrapped, sizeof(row->wrapped));
	tuple = heap_form_tuple(RelationGetDescr(heap), values, nulls);
	medsync_insert_quietly(heap, tuple, row->duplicate);
	heap_freetuple(tuple);
}

/*
 * A key id: the time in milliseconds (48 bits), then 80 random bits.  Ids
 * that grow with time keep their index from being written at random places.
 */
static void
make_key_id(uint8 *key_id, const uint8 *random)
{
	uint8		now[8];

	medsync_wire_store_u64(now, (uint64) (GetCurrentTimestamp() / 1000));
	memcpy(key_id, now + 2, 6);
	memcpy(key_id + 6, random, KEY_ID_RANDOM_SIZE);
}

/* Insert a row of our own for a subject that nobody else has met. */
static void
insert_fresh_row(Relation heap, Kek *kek, SubjectRow *row, uint8 *secret)
{
	uint8		random[MEDSYNC_KEY_SIZE + KEY_ID_RANDOM_SIZE];

	medsync_random(random, sizeof(random));
	memcpy(secret, random, MEDSYNC_KEY_SIZE);
	make_key_id(row->key_id, random + MEDSYNC_KEY_SIZE);
	medsync_cleanse(random, sizeof(random));
	row->duplicate = false;
	row->own = true;
	row->pending = false;
	subject_row_wrap(kek, row, secret);
	insert_subject_row(heap, row);
}

/*
 * Find the secret of a subject, or agree on one; see the banner.  "row" has
 * the tag; on return it is the row that is used.
 */
static void
find_or_make_row(Relation heap, SubjectRow *row, uint8 *secret)
{
	MedsyncKeyStatus status;
	SnapshotData dirty;
	LOCKTAG		lock;
	SubjectRow	found;
	Kek		   *kek;

	lock_subject(&lock, heap, row->tag);
	InitDirtySnapshot(dirty);
	status = find_row(heap, SUBJECT_KEY_TAG_INDEX, row->tag, &dirty,
					  &writer_ring, &found, secret);
	if (status == MEDSYNC_KEY_ABSENT ||
		(status == MEDSYNC_KEY_OK && found.pending))
	{
		MedsyncKeyStatus kek_status = keyring_get(&writer_ring, NULL, &kek);

		if (kek_status != MEDSYNC_KEY_OK)
			writer_fail(kek_status, row->tag);
		medsync_check_columns(heap, NATTS_SUBJECT, BYTEAOID);
	}
	if (status == MEDSYNC_KEY_ABSENT)
	{
		insert_fresh_row(heap, kek, row, secret);
		status = MEDSYNC_KEY_OK;
	}
	else if (status == MEDSYNC_KEY_OK)
	{
		*row = found;
		if (found.pending)
		{
			row->duplicate = true;
			row->own = true;
			row->pending = false;
			subject_row_wrap(kek, row, secret);
			insert_subject_row(heap, row);
		}
	}
	unlock_subject(&lock);
	if (status != MEDSYNC_KEY_OK)
		writer_fail(status, row->tag);
}

/* Find or make the key of a name that is not in the cache. */
static CacheEntry *
writer_fill(const SubjectName *name)
{
	Relation	heap = writer_open();
	SubjectRow	row;
	uint8		secret[MEDSYNC_KEY_SIZE];
	CacheEntry *entry;

	writer_load_root(heap);
	subject_tag(&writer_ring, name, row.tag);
	find_or_make_row(heap, &row, secret);
	table_close(heap, NoLock);

	if (writer_cache.context == NULL)
		cache_create(&writer_cache, TopMemoryContext, WRITER_CACHE_SIZE);
	entry = cache_add(&writer_cache, name);
	fill_subject_key(secret, row.key_id, &entry->key);
	medsync_cleanse(secret, sizeof(secret));
	if (row.own)
	{
		/*
		 * Our row may be older than the current subtransaction, if it was
		 * read back; then the entry falls earlier than it has to.
		 */
		entry->subid = GetCurrentSubTransactionId();
		dlist_push_head(&writer_cache.uncommitted, &entry->node);
	}
	return entry;
}

/*
 * The key of a subject, for a writer; made at first touch.  Valid until the
 * next call or the end of the subtransaction.
 */
const MedsyncSubjectKey *
medsync_vault_subject_key(MedsyncSubjectKind kind, const void *content,
						  size_t len)
{
	SubjectName name;
	CacheEntry *entry;

	name.kind = (char) kind;
	name.content = content;
	name.len = (uint32) len;

	if (unlikely(flush_pending))
		writer_flush();
	if (likely(writer_cache.context != NULL))
	{
		entry = cache_find(&writer_cache, &name);
		if (likely(entry != NULL))
			return &entry->key;
	}
	return &writer_fill(&name)->key;
}

/* A key for a use of the whole ledger, from the root secret. */
void
medsync_vault_root_key(const char *use, uint8 *key)
{
	if (flush_pending || !writer_ring.has_root)
	{
		Relation	heap = writer_open();

		writer_load_root(heap);
		table_close(heap, NoLock);
	}
	derive(writer_ring.root, use, key);
}

/* Does the table have any row that we see? */
static bool
has_row(Relation heap)
{
	MedsyncScan scan;
	bool		result;

	medsync_scan_begin(&scan, heap, NULL, SnapshotSelf, 0, NULL);
	result = medsync_scan_next(&scan) != NULL;
	medsync_scan_end(&scan);
	return result;
}

/*
 * Make the first key-encryption key and the root secret, if this database
 * has neither.  The caller holds, to the end of its transaction, a lock that
 * keeps out other callers.  Where only a part of the keys is there, somebody
 * removed the rest, and new ones would hide that: an error.
 */
void
medsync_vault_create(void)
{
	Relation	kek_heap = medsync_open(MEDSYNC_KEK_TABLE, RowExclusiveLock);
	Relation	heap = writer_open();

	if (!has_row(kek_heap) && !has_row(heap))
	{
		MedsyncKeyStatus status;
		SubjectRow	root;
		uint8		secret[MEDSYNC_KEY_SIZE];
		Kek		   *kek;

		medsync_check_columns(kek_heap, Natts_kek, BYTEAOID);
		medsync_check_columns(heap, NATTS_SUBJECT, BYTEAOID);
		keyring_clear(&writer_ring);
		medsync_kek_make_first(kek_heap);
		status = keyring_get(&writer_ring, NULL, &kek);
		if (status != MEDSYNC_KEY_OK)
			writer_fail(status, root_tag);

		memset(&root, 0, sizeof(root));
		memcpy(root.tag, root_tag, sizeof(root.tag));
		medsync_random(root.key_id, sizeof(root.key_id));
		medsync_random(secret, sizeof(secret));
		subject_row_wrap(kek, &root, secret);
		medsync_cleanse(secret, sizeof(secret));
		insert_subject_row(heap, &root);
	}
	writer_load_root(heap);
	table_close(heap, NoLock);
	table_close(kek_heap, NoLock);
}

/*---- Removal of duplicates, for the sealer ----*/

/*
 * Delete a committed duplicate if an identical committed row stays; true if
 * it went.  Both must open: a spare copy of a damaged row is worth keeping.
 * The deletion waits for nobody; a row that somebody else has locked stays
 * for next time.
 *
 * A duplicate whose original was rolled back stands alone.  It gets a plain
 * copy now and goes next time, when that is committed: were both done in one
 * transaction, a reader could come too early for the one and too late for
 * the other.
 */
static bool
remove_duplicate(Relation heap, SubjectRow *duplicate)
{
	MedsyncScan scan;
	SnapshotData dirty;
	MedsyncStackBytea bytes;
	ScanKeyData key;
	HeapTuple	tuple;
	LOCKTAG		lock;
	uint8		secret[MEDSYNC_KEY_SIZE];
	uint8		other_secret[MEDSYNC_KEY_SIZE];
	bool		there = false;	/* still there, and nobody deletes it */
	bool		stays = false;	/* another one is committed */
	bool		alone = true;	/* there is no other one at all */
	bool		removed = false;
	Kek		   *kek;

	if (keyring_get(&writer_ring, NULL, &kek) != MEDSYNC_KEY_OK ||
		subject_row_open(&writer_ring, duplicate, secret) != MEDSYNC_KEY_OK)
		return false;

	lock_subject(&lock, heap, duplicate->tag);
	InitDirtySnapshot(dirty);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_BYTEAEQ,
				medsync_stack_bytea(&bytes, duplicate->tag,
									sizeof(duplicate->tag)));
	medsync_scan_begin(&scan, heap, SUBJECT_KEY_TAG_INDEX, &dirty, 1, &key);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		SubjectRow	row;
		bool		same;

		if (!subject_row_read(&row, heap, tuple, &dirty))
		{
			alone = false;
			continue;
		}
		same = ItemPointerEquals(&row.tid, &duplicate->tid);
		if (!same)
			alone = false;
		if (row.own || row.pending || TransactionIdIsValid(dirty.xmax))
			continue;
		if (same)
			there = memcmp(row.wrapped, duplicate->wrapped,
						   sizeof(row.wrapped)) == 0;
		else if (memcmp(row.key_id, duplicate->key_id,
						sizeof(row.key_id)) == 0 &&
				 subject_row_open(&writer_ring, &row,
								  other_secret) == MEDSYNC_KEY_OK)
			stays |= memcmp(other_secret, secret, sizeof(secret)) == 0;
	}
	medsync_scan_end(&scan);
	if (there && stays)
	{
		TM_FailureData failure;

		removed = heap_delete(heap, &duplicate->tid,
							  GetCurrentCommandId(true), InvalidSnapshot,
							  false, &failure, false) == TM_Ok;
	}
	else if (there && alone)
	{
		SubjectRow	plain = *duplicate;

		plain.duplicate = false;
		subject_row_wrap(kek, &plain, secret);
		insert_subject_row(heap, &plain);
	}
	unlock_subject(&lock);
	medsync_cleanse(secret, sizeof(secret));
	medsync_cleanse(other_secret, sizeof(other_secret));
	return removed;
}

/*
 * Remove committed duplicates; called by the sealer in its transaction.
 * Returns how many went.  Raises no error for keys that do not open.
 */
int
medsync_vault_remove_duplicates(void)
{
	Relation	heap;
	List	   *duplicates = NIL;
	ListCell   *cell;
	MedsyncScan scan;
	HeapTuple	tuple;
	int			removed = 0;

	heap = writer_open();
	medsync_check_columns(heap, NATTS_SUBJECT, BYTEAOID);
	medsync_scan_begin(&scan, heap, SUBJECT_KEY_DUPLICATE_INDEX, SnapshotSelf,
					   0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		SubjectRow	row;

		if (!subject_row_read(&row, heap, tuple, SnapshotSelf) || row.own)
			continue;
		duplicates = lappend(duplicates, memcpy(palloc(sizeof(row)), &row,
												sizeof(row)));
	}
	medsync_scan_end(&scan);

	foreach(cell, duplicates)
	{
		CHECK_FOR_INTERRUPTS();
		if (remove_duplicate(heap, lfirst(cell)))
			removed++;
	}
	list_free_deep(duplicates);
	table_close(heap, NoLock);
	return removed;
}

/*---- Key readers ----*/

/* Context callback: overwrite and free what the context does not own. */
static void
reader_wipe(void *arg)
{
	MedsyncKeyReader *reader = arg;

	keyring_clear(&reader->ring);
}

/* Make a reader in a context; deleting that context frees it as well. */
MedsyncKeyReader *
medsync_key_reader_create(MemoryContext parent)
{
	MemoryContext context;
	MedsyncKeyReader *reader;

	context = AllocSetContextCreate(parent, "medsync key reader",
									ALLOCSET_SMALL_SIZES);
	reader = MemoryContextAllocZero(context, sizeof(MedsyncKeyReader));
	reader->context = context;
	reader->ring.context = context;
	reader->ring.keep_failures = true;
	reader->wipe.func = reader_wipe;
	reader->wipe.arg = reader;
	MemoryContextRegisterResetCallback(context, &reader->wipe);
	cache_create(&reader->cache, context, READER_CACHE_SIZE);
	return reader;
}

void
medsync_key_reader_free(MedsyncKeyReader *reader)
{
	MemoryContextDelete(reader->context);
}

/* Find, open and remember a key; what fails is remembered as well. */
static CacheEntry *
reader_fill(MedsyncKeyReader *reader, const SubjectName *name)
{
	Relation	heap = medsync_open(SUBJECT_KEY_TABLE, AccessShareLock);
	MedsyncKeyStatus status;
	SubjectRow	row;
	uint8		tag[SUBJECT_TAG_SIZE];
	uint8		secret[MEDSYNC_KEY_SIZE];
	CacheEntry *entry;

	if (name->kind == NAMED_BY_ID)
		status = find_row(heap, SUBJECT_KEY_ID_INDEX, name->content,
						  SnapshotSelf, &reader->ring, &row, secret);
	else
	{
		status = keyring_load_root(&reader->ring, heap);
		if (status == MEDSYNC_KEY_OK)
		{
			subject_tag(&reader->ring, name, tag);
			status = find_row(heap, SUBJECT_KEY_TAG_INDEX, tag,
							  SnapshotSelf, &reader->ring, &row, secret);
		}
	}
	table_close(heap, NoLock);

	entry = cache_add(&reader->cache, name);
	entry->status = status;
	if (status == MEDSYNC_KEY_OK)
	{
		fill_subject_key(secret, row.key_id, &entry->key);
		medsync_cleanse(secret, sizeof(secret));
	}
	return entry;
}

static MedsyncKeyStatus
reader_get(MedsyncKeyReader *reader, const SubjectName *name,
		   const MedsyncSubjectKey **key)
{
	CacheEntry *entry = cache_find(&reader->cache, name);

	if (entry == NULL)
		entry = reader_fill(reader, name);
	*key = entry->status == MEDSYNC_KEY_OK ? &entry->key : NULL;
	return entry->status;
}

/* The key of an id, from any row of it that opens; valid until the next call. */
MedsyncKeyStatus
medsync_key_reader_by_id(MedsyncKeyReader *reader, const uint8 *id,
						 const MedsyncSubjectKey **key)
{
	SubjectName name;

	name.kind = NAMED_BY_ID;
	name.content = id;
	name.len = MEDSYNC_KEY_ID_SIZE;
	return reader_get(reader, &name, key);
}

/* The key of a subject; valid until the next call. */
MedsyncKeyStatus
medsync_key_reader_by_subject(MedsyncKeyReader *reader,
							  MedsyncSubjectKind kind,
							  const void *content, size_t len,
							  const MedsyncSubjectKey **key)
{
	SubjectName name;

	name.kind = (char) kind;
	name.content = content;
	name.len = (uint32) len;
	return reader_get(reader, &name, key);
}

/* A key for a use of the whole ledger, from the root secret. */
MedsyncKeyStatus
medsync_key_reader_root_key(MedsyncKeyReader *reader, const char *use,
							uint8 *key)
{
	MedsyncKeyStatus status = MEDSYNC_KEY_OK;

	if (!reader->ring.has_root)
	{
		Relation	heap = medsync_open(SUBJECT_KEY_TABLE, AccessShareLock);

		status = keyring_load_root(&reader->ring, heap);
		table_close(heap, NoLock);
	}
	if (status == MEDSYNC_KEY_OK)
		derive(reader->ring.root, use, key);
	return status;
}

/* Hexadecimal text of a tag or a key id, palloc'd. */
static char *
id_text(const uint8 *id)
{
	char	   *text = palloc0(2 * MEDSYNC_KEY_ID_SIZE + 1);

	hex_encode((const char *) id, MEDSYNC_KEY_ID_SIZE, text);
	return text;
}

/* Report each key-encryption key that does not open.  Returns their number. */
static int
check_keks(MedsyncKeyReader *reader, MedsyncKeyReport report, void *arg)
{
	Relation	heap = medsync_open(MEDSYNC_KEK_TABLE, AccessShareLock);
	MedsyncScan scan;
	HeapTuple	tuple;
	int			count = 0;

	medsync_scan_begin(&scan, heap, NULL, SnapshotSelf, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncKeyStatus status = MEDSYNC_KEY_NO_KEK;
		MedsyncKekRow row;
		Kek		   *kek;

		count++;
		if (!medsync_kek_row_read(&row, heap, tuple))
			report(arg, status, "key-encryption key without a number");
		else
		{
			status = keyring_get(&reader->ring, &row.number, &kek);
			if (status != MEDSYNC_KEY_OK)
				report(arg, status,
					   psprintf("key-encryption key %d", row.number));
		}
	}
	medsync_scan_end(&scan);
	table_close(heap, NoLock);
	return count;
}

/*
 * Report each row of _subject_key that does not open.  A key-encryption key
 * that is there and does not open has been reported; one that is not there
 * is reported once for each run of rows that name it.
 */
static int64
check_subject_rows(MedsyncKeyReader *reader, Relation heap,
				   MedsyncKeyReport report, void *arg)
{
	MedsyncScan scan;
	HeapTuple	tuple;
	int64		count = 0;
	bool		some_absent = false;
	int32		last_absent = 0;

	medsync_scan_begin(&scan, heap, NULL, SnapshotSelf, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		MedsyncKeyStatus status;
		SubjectRow	row;
		uint8		secret[MEDSYNC_KEY_SIZE];
		Kek		   *kek;

		CHECK_FOR_INTERRUPTS();
		count++;
		if (!subject_row_read(&row, heap, tuple, SnapshotSelf))
		{
			report(arg, MEDSYNC_KEY_DAMAGED,
				   psprintf("subject key in row (%u,%u)",
							ItemPointerGetBlockNumber(&tuple->t_self),
							ItemPointerGetOffsetNumber(&tuple->t_self)));
			continue;
		}
		status = subject_row_open(&reader->ring, &row, secret);
		if (status == MEDSYNC_KEY_OK)
		{
			medsync_cleanse(secret, sizeof(secret));
			continue;
		}
		if (status == MEDSYNC_KEY_NO_KEK || status == MEDSYNC_KEY_NO_MASTER)
		{
			(void) keyring_get(&reader->ring, &row.kek_number, &kek);
			if (kek != NULL)
				continue;
			if (some_absent && last_absent == row.kek_number)
				continue;
			some_absent = true;
			last_absent = row.kek_number;
			report(arg, status,
				   psprintf("key-encryption key %d", row.kek_number));
			continue;
		}
		report(arg, status, psprintf("subject key %s", id_text(row.key_id)));
	}
	medsync_scan_end(&scan);
	return count;
}

/* Do two rows of one tag hold the same key?  Rows that do not open do. */
static bool
same_key(Keyring *ring, const SubjectRow *a, const SubjectRow *b)
{
	uint8		secret_a[MEDSYNC_KEY_SIZE];
	uint8		secret_b[MEDSYNC_KEY_SIZE];
	bool		same = true;

	if (subject_row_open(ring, a, secret_a) == MEDSYNC_KEY_OK &&
		subject_row_open(ring, b, secret_b) == MEDSYNC_KEY_OK)
		same = memcmp(a->key_id, b->key_id, sizeof(a->key_id)) == 0 &&
			memcmp(secret_a, secret_b, sizeof(secret_a)) == 0;
	medsync_cleanse(secret_a, sizeof(secret_a));
	medsync_cleanse(secret_b, sizeof(secret_b));
	return same;
}

/*
 * Walk the rows in the order of an index and compare neighbours: rows of one
 * tag must hold the same key, rows of one key id must have the same tag.
 */
static void
check_neighbours(MedsyncKeyReader *reader, Relation heap, bool by_tag,
				 MedsyncKeyReport report, void *arg)
{
	MedsyncScan scan;
	HeapTuple	tuple;
	SubjectRow	previous;
	bool		have_previous = false;

	medsync_scan_begin(&scan, heap,
					   by_tag ? SUBJECT_KEY_TAG_INDEX : SUBJECT_KEY_ID_INDEX,
					   SnapshotSelf, 0, NULL);
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		SubjectRow	row;
		bool		same_tag;
		bool		same_id;

		CHECK_FOR_INTERRUPTS();
		if (!subject_row_read(&row, heap, tuple, SnapshotSelf))
			continue;
		if (have_previous)
		{
			same_tag = memcmp(row.tag, previous.tag, sizeof(row.tag)) == 0;
			same_id = memcmp(row.key_id, previous.key_id,
							 sizeof(row.key_id)) == 0;
			if (by_tag && same_tag &&
				!same_key(&reader->ring, &previous, &row))
				report(arg, MEDSYNC_KEY_DAMAGED,
					   psprintf("two different keys of one subject, %s and %s",
								id_text(previous.key_id),
								id_text(row.key_id)));
			if (!by_tag && same_id && !same_tag)
				report(arg, MEDSYNC_KEY_DAMAGED,
					   psprintf("subject key %s of two subjects",
								id_text(row.key_id)));
		}
		previous = row;
		have_previous = true;
	}
	medsync_scan_end(&scan);
}

/*
 * Walk both tables and report each row that does not open or contradicts
 * another one.  "what" is valid during the call of "report" only.
 */
void
medsync_key_reader_check_all(MedsyncKeyReader *reader,
							 MedsyncKeyReport report, void *arg)
{
	Relation	heap = medsync_open(SUBJECT_KEY_TABLE, AccessShareLock);
	MedsyncKeyStatus status;
	int64		count;

	count = check_keks(reader, report, arg);
	count += check_subject_rows(reader, heap, report, arg);
	if (count > 0)
	{
		status = keyring_load_root(&reader->ring, heap);
		if (status == MEDSYNC_KEY_ABSENT)
			report(arg, status, "root key of the ledger");
	}
	check_neighbours(reader, heap, true, report, arg);
	check_neighbours(reader, heap, false, report, arg);
	table_close(heap, NoLock);
}

/* Why a key cannot be had, for people. */
const char *
medsync_vault_status_text(MedsyncKeyStatus status)
{
	switch (status)
	{
		case MEDSYNC_KEY_OK:
			return "key is available";
		case MEDSYNC_KEY_ABSENT:
			return "key is missing";
		case MEDSYNC_KEY_DAMAGED:
			return "key is damaged";
		case MEDSYNC_KEY_NO_KEK:
			return "key-encryption key is missing or damaged";
		case MEDSYNC_KEY_NO_MASTER:
			return "master key is missing, unreadable or another one";
	}
	return "unknown status of a key";
}
