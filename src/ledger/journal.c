/*-------------------------------------------------------------------------
 *
 * journal.c
 *		The transaction's buffer of entries, and the packed rows they become.
 *
 * Stored is _journal: packed rows, each of at most 8,000 bytes, written by
 * the transaction that made the changes and never touched again.
 *
 * Entries are collected in memory and written at PRE_COMMIT or
 * PRE_PREPARE.  From then on every entry is written at once, because other
 * extensions may still change rows in callbacks of their own: a non-empty
 * buffer never reaches COMMIT.
 *
 * The buffer is one logical byte string.  A mark is kept for each
 * subtransaction that appended to it; ROLLBACK TO cuts the string back to
 * the mark, and the ordinals that are lost are never used again.  Past
 * 256 kB the tail that belongs to the current subtransaction is written, so
 * that its rows live and die with it (what follows then starts a packed row
 * of its own, so that sorting rows by ordinal sorts entries too); where that
 * tail is short, because very many savepoints are open, the buffer moves to a
 * temporary file instead.
 *
 * An error while writing aborts the transaction: what cannot be recorded
 * does not commit.  No lock is held but the RowExclusiveLock of an insert.
 * On a standby the buffer is always empty.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "storage/buffile.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/journal.h"
#include "ledger/ledger.h"
#include "vault/vault.h"

#define BUFFER_LIMIT		(256 * 1024)
#define WORTH_FLUSHING		(64 * 1024)

/* One entry as the buffer holds it; image and detail bytes follow */
typedef struct BufferedEntry
{
	MedsyncEntry entry;
	Oid			session_role;
	Oid			role;
	bool		starts_row;		/* entries between it and the one before are written */
	uint32		image_len;		/* bytes that follow for the image */
	uint32		detail_len;
} BufferedEntry;

#define BUFFERED_SIZE(buffered) \
	MAXALIGN(sizeof(BufferedEntry) + (uint64) (buffered)->image_len + \
			 (buffered)->detail_len)

/* Where a subtransaction's entries begin */
typedef struct BufferMark
{
	int			nest_level;
	uint64		offset;
} BufferMark;

static struct
{
	char	   *memory;			/* the part of the string from memory_start on */
	uint64		memory_start;
	uint64		memory_len;
	uint64		capacity;
	BufFile    *file;			/* the part before, if any */
	BufferMark *marks;			/* ascending nest levels */
	int			mark_count;
	int			mark_capacity;
	uint64		next_ordinal;
	bool		overflowed;		/* a child's tail was written before its parents' */
	bool		start_row;		/* the next entry must start a packed row */
	bool		write_through;	/* past PRE_COMMIT */
	int			sealed_level;	/* nest level that sealed, 0: none */
	bool		image_seed_valid;
	uint8		image_seed[MEDSYNC_IMAGE_SEED_SIZE];
} buffer;

static MedsyncActorSource actor_source = NULL;

/* Called for each finished packed row */
typedef void (*PackedRowSink) (void *arg, uint64 xid, uint64 ordinal,
							   StringInfo body);

/* Building packed rows from buffered entries */
typedef struct Packer
{
	MedsyncPackedHeader header;
	MedsyncEntry previous;
	StringInfoData entries;
	StringInfoData body;
	Oid			session_role;	/* of the packed row */
	Oid			role;			/* of the entry before */
	char	   *role_name;
	uint8		detail[MEDSYNC_DETAIL_MAX]; /* of the entry before */
	PackedRowSink sink;
	void	   *arg;
} Packer;

static uint64
buffer_end(void)
{
	return buffer.memory_start + buffer.memory_len;
}

/* Forget everything from an offset on. */
static void
truncate_buffer(uint64 offset)
{
	if (offset >= buffer.memory_start)
		buffer.memory_len = offset - buffer.memory_start;
	else
	{
		buffer.memory_start = offset;
		buffer.memory_len = 0;
	}
}

/* Start a new transaction. */
static void
reset_buffer(void)
{
	if (buffer.capacity > 2 * BUFFER_LIMIT)
	{
		pfree(buffer.memory);
		buffer.memory = NULL;
		buffer.capacity = 0;
	}
	if (buffer.mark_capacity > 1024)
	{
		pfree(buffer.marks);
		buffer.marks = NULL;
		buffer.mark_capacity = 0;
	}
	buffer.memory_start = buffer.memory_len = 0;
	buffer.file = NULL;			/* PRE_COMMIT or the abort closed it */
	buffer.mark_count = 0;
	buffer.next_ordinal = 0;
	buffer.overflowed = buffer.start_row = false;
	buffer.write_through = false;
	buffer.sealed_level = 0;
	if (buffer.image_seed_valid)
		medsync_cleanse(buffer.image_seed, sizeof(buffer.image_seed));
	buffer.image_seed_valid = false;
}

/* Move what is in memory to the temporary file. */
static void
spill_buffer(void)
{
	if (buffer.file == NULL)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(TopTransactionContext);
		ResourceOwner oldowner = CurrentResourceOwner;

		CurrentResourceOwner = TopTransactionResourceOwner;
		buffer.file = BufFileCreateTemp(false);
		CurrentResourceOwner = oldowner;
		MemoryContextSwitchTo(oldcontext);
	}
	/* segments of a BufFile are 1 GB; it takes the pair (segment, offset) */
	if (BufFileSeek(buffer.file,
					(int) (buffer.memory_start / (1024 * 1024 * 1024)),
					(off_t) (buffer.memory_start % (1024 * 1024 * 1024)),
					SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not position temporary file of the journal: %m")));
	BufFileWrite(buffer.file, buffer.memory, buffer.memory_len);
	buffer.memory_start += buffer.memory_len;
	buffer.memory_len = 0;
}

/* Read from the part of the string that was moved to the file. */
static void
read_file(uint64 offset, void *dst, size_t len)
{
	if (BufFileSeek(buffer.file, (int) (offset / (1024 * 1024 * 1024)),
					(off_t) (offset % (1024 * 1024 * 1024)), SEEK_SET) != 0 ||
		BufFileRead(buffer.file, dst, len) != len)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read temporary file of the journal: %m")));
}

/*
 * The entry at an offset, in place if it is in memory, else read into room
 * (whose data is NULL at first).
 */
static BufferedEntry *
buffered_entry(uint64 offset, StringInfo room)
{
	BufferedEntry head;
	uint64		size;

	if (offset >= buffer.memory_start)
		return (BufferedEntry *) (buffer.memory +
								  (offset - buffer.memory_start));
	read_file(offset, &head, sizeof(head));
	size = BUFFERED_SIZE(&head);
	if (room->data == NULL)
		initStringInfo(room);
	resetStringInfo(room);
	enlargeStringInfo(room, (int) size);
	memcpy(room->data, &head, sizeof(head));
	if (size > sizeof(head))
		read_file(offset + sizeof(head), room->data + sizeof(head),
				  size - sizeof(head));
	return (BufferedEntry *) room->data;
}

/* A role's name, remembered until pg_authid changes */
typedef struct RoleName
{
	Oid			role;			/* InvalidOid: nothing is remembered */
	NameData	name;
} RoleName;

/* As a rule the session's role is the one that acts too */
static RoleName role_names[4];

static void
forget_role_names(Datum arg, int cacheid, uint32 hashvalue)
{
	memset(role_names, 0, sizeof(role_names));
}

/* The name of a role, palloc'd: what is remembered may change at any time. */
static char *
role_name(Oid role)
{
	RoleName   *place = &role_names[role % lengthof(role_names)];

	if (place->role != role)
	{
		char	   *name = GetUserNameFromId(role, true);

		/* a role that is gone is told by its number */
		if (name != NULL)
			namestrcpy(&place->name, name);
		else
			snprintf(NameStr(place->name), NAMEDATALEN, "%u", role);
		place->role = role;
	}
	return pstrdup(NameStr(place->name));
}

static void
start_packed_row(Packer *packer, const BufferedEntry *buffered)
{
	MedsyncPackedHeader *header = &packer->header;

	header->ordinal = buffered->entry.ordinal;
	packer->session_role = buffered->session_role;
	header->session_role = role_name(buffered->session_role);
	header->session_role_len = strlen(header->session_role);
	header->entry_count = 0;
	resetStringInfo(&packer->entries);
	medsync_packed_first(&packer->previous, header);
}

/* Put header and entries together and hand the row to the sink. */
static void
finish_packed_row(Packer *packer)
{
	StringInfo	body = &packer->body;

	if (packer->header.entry_count == 0)
		return;
	resetStringInfo(body);
	medsync_packed_begin(body, &packer->header);
	medsync_wire_put_bytes(body, packer->entries.data, packer->entries.len);
	medsync_packed_seed(medsync_ledger_seed_key(), medsync_ledger_id(),
						packer->header.xid, packer->header.ordinal,
						(uint8 *) body->data, body->len,
						(uint8 *) body->data + 1);
	packer->sink(packer->arg, packer->header.xid, packer->header.ordinal,
				 body);
	packer->header.entry_count = 0;
}

/* Bytes of a packed row's header; an upper bound. */
static int
packed_header_size(const MedsyncPackedHeader *header)
{
	return 64 + header->session_role_len + MEDSYNC_IMAGE_SEED_SIZE;
}

/* Add an entry to the packed row; its own bytes may be gone with the next one. */
static void
add_entry(Packer *packer, const MedsyncEntry *entry)
{
	medsync_packed_add(&packer->entries, &packer->previous, entry);
	if (entry->fields & MEDSYNC_HAS_DETAIL)
	{
		memcpy(packer->detail, entry->detail, entry->detail_len);
		packer->previous.detail = packer->detail;
	}
}

static void
pack_entry(Packer *packer, BufferedEntry *buffered)
{
	MedsyncEntry *entry = &buffered->entry;
	MedsyncEntry before;
	int			len = packer->entries.len;
	bool		may_overflow;

	if (packer->role_name == NULL || packer->role != buffered->role)
	{
		packer->role_name = role_name(buffered->role);
		packer->role = buffered->role;
	}
	entry->role = packer->role_name;
	entry->role_len = strlen(entry->role);
	if (packer->header.entry_count > 0 &&
		(buffered->starts_row ||
		 buffered->session_role != packer->session_role))
		finish_packed_row(packer);
	may_overflow = packed_header_size(&packer->header) + len +
		MEDSYNC_PACKED_ENTRY_MAX + entry->role_len +
		(int) (buffered->image_len + buffered->detail_len) > MEDSYNC_PACKED_MAX;
	if (packer->header.entry_count > 0)
	{
		if (may_overflow)
			before = packer->previous;
		add_entry(packer, entry);
		if (!may_overflow ||
			packed_header_size(&packer->header) + packer->entries.len <=
			MEDSYNC_PACKED_MAX)
		{
			packer->header.entry_count++;
			return;
		}
		packer->entries.len = len;
		packer->previous = before;
		finish_packed_row(packer);
	}
	start_packed_row(packer, buffered);
	add_entry(packer, entry);
	packer->header.entry_count = 1;
}

/* Fill in what a flush says once: era, WAL position, time. */
static void
stamp_header(MedsyncPackedHeader *header)
{
	memset(header, 0, sizeof(*header));
	header->xid = U64FromFullTransactionId(GetTopFullTransactionId());
	medsync_era_for_writer(header);
	header->flush_position = GetXLogInsertRecPtr();
	header->flush_time = GetCurrentTimestamp();
	if (buffer.image_seed_valid)
		header->image_seed = buffer.image_seed;
}

/* Make packed rows of the buffer from an offset to its end. */
static void
pack_buffer(uint64 from, PackedRowSink sink, void *arg)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "medsync packed rows",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	Packer		packer = {.sink = sink,.arg = arg};
	StringInfoData room;
	uint64		end = buffer_end();

	stamp_header(&packer.header);
	room.data = NULL;
	initStringInfo(&packer.entries);
	initStringInfo(&packer.body);
	while (from < end)
	{
		BufferedEntry *buffered = buffered_entry(from, &room);

		from += BUFFERED_SIZE(buffered);
		buffered->entry.image = (uint8 *) (buffered + 1);
		buffered->entry.detail = buffered->entry.image + buffered->image_len;
		buffered->entry.detail_len = buffered->detail_len;
		pack_entry(&packer, buffered);
	}
	finish_packed_row(&packer);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
}

/* Insert one packed row into the journal. */
static void
insert_packed_row(void *arg, uint64 xid, uint64 ordinal, StringInfo body)
{
	Relation	heap = (Relation) arg;
	Datum		values[Natts_journal];
	bool		isnull[Natts_journal] = {0};
	bytea	   *stored = medsync_make_bytea(body->data, body->len);
	HeapTuple	tuple;

	values[Anum_journal_xid - 1] =
		FullTransactionIdGetDatum(FullTransactionIdFromU64(xid));
	values[Anum_journal_ordinal - 1] = Int64GetDatum((int64) ordinal);
	isnull[Anum_journal_ordinal - 1] = (ordinal == 0);
	values[Anum_journal_body - 1] = PointerGetDatum(stored);
	tuple = heap_form_tuple(RelationGetDescr(heap), values, isnull);
	/* the partial index is on rows that have an ordinal */
	medsync_insert_quietly(heap, tuple, ordinal != 0);
	heap_freetuple(tuple);
	pfree(stored);
}

/* Write the buffer from an offset to its end, and forget it. */
static void
flush_buffer(uint64 from)
{
	Relation	heap;

	if (from >= buffer_end())
		return;
	heap = medsync_open("_journal", RowExclusiveLock);
	pack_buffer(from, insert_packed_row, heap);
	table_close(heap, NoLock);
	truncate_buffer(from);
}

/* Where the current subtransaction's entries begin. */
static uint64
current_tail(void)
{
	int			level = GetCurrentTransactionNestLevel();

	if (level == 1)
		return 0;
	if (buffer.mark_count > 0 &&
		buffer.marks[buffer.mark_count - 1].nest_level == level)
		return buffer.marks[buffer.mark_count - 1].offset;
	return buffer_end();
}

/* The buffer is full: write what may be written, or else move it away. */
static void
relieve_buffer(void)
{
	uint64		tail = current_tail();

	if (buffer_end() - tail >= WORTH_FLUSHING)
	{
		flush_buffer(tail);
		buffer.overflowed = buffer.start_row = true;
	}
	else
		spill_buffer();
}

/* Remember where the current subtransaction begins, at its first entry. */
static void
mark_subtransaction(void)
{
	int			level = GetCurrentTransactionNestLevel();

	if (level == 1 ||
		(buffer.mark_count > 0 &&
		 buffer.marks[buffer.mark_count - 1].nest_level >= level))
		return;
	if (buffer.mark_count == buffer.mark_capacity)
	{
		int			capacity = Max(64, buffer.mark_capacity * 2);

		if (buffer.marks == NULL)
			buffer.marks = MemoryContextAlloc(TopMemoryContext,
											  capacity * sizeof(BufferMark));
		else
			buffer.marks = repalloc(buffer.marks,
									capacity * sizeof(BufferMark));
		buffer.mark_capacity = capacity;
	}
	buffer.marks[buffer.mark_count].nest_level = level;
	buffer.marks[buffer.mark_count].offset = buffer_end();
	buffer.mark_count++;
}

/* Room for len more bytes at the end of the string. */
static void *
extend_buffer(uint64 len)
{
	void	   *result;

	if (buffer.memory_len + len > buffer.capacity)
	{
		uint64		capacity = Max(16 * 1024, buffer.capacity * 2);

		while (capacity < buffer.memory_len + len)
			capacity *= 2;
		if (buffer.memory == NULL)
			buffer.memory = MemoryContextAlloc(TopMemoryContext, capacity);
		else
			buffer.memory = repalloc(buffer.memory, capacity);
		buffer.capacity = capacity;
	}
	result = buffer.memory + buffer.memory_len;
	buffer.memory_len += len;
	return result;
}

/* The ordinal that the next entry of this transaction will have. */
uint64
medsync_journal_next_ordinal(void)
{
	return buffer.next_ordinal;
}

/*
 * The random seed of this transaction's image keys.  Together with ordinals
 * that are never reused it makes every (key, nonce) pair unique.
 */
const uint8 *
medsync_journal_image_seed(void)
{
	if (!buffer.image_seed_valid)
	{
		medsync_random(buffer.image_seed, sizeof(buffer.image_seed));
		buffer.image_seed_valid = true;
	}
	return buffer.image_seed;
}

/* A later room knows who acts. */
void
medsync_journal_set_actor_source(MedsyncActorSource source)
{
	actor_source = source;
}

/* Put an entry into the ledger.  Fills in its ordinal, times, roles and person. */
void
medsync_journal_add(MedsyncEntry *entry)
{
	BufferedEntry head;
	BufferedEntry *buffered;

	if (buffer.sealed_level > 0)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot change a tracked table in a transaction that has sealed"),
				 errhint("Commit after medsync.seal(), then go on.")));

	entry->ordinal = buffer.next_ordinal++;
	entry->statement_time = GetCurrentStatementStartTimestamp();
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA ||
		IsLogicalWorker())
		entry->fields |= MEDSYNC_HAS_REPLICA;
	if (actor_source != NULL && actor_source(entry->person))
		entry->fields |= MEDSYNC_HAS_PERSON;

	head.image_len = 0;
	if (entry->fields & MEDSYNC_HAS_IMAGE)
		head.image_len = (uint32) entry->image_len;
	else if (entry->fields & MEDSYNC_HAS_LARGE_IMAGE)
		head.image_len = MEDSYNC_IMAGE_SEED_SIZE;
	head.detail_len = (entry->fields & MEDSYNC_HAS_DETAIL) ?
		entry->detail_len : 0;

	mark_subtransaction();
	buffered = extend_buffer(BUFFERED_SIZE(&head));
	buffered->entry = *entry;
	buffered->session_role = GetSessionUserId();
	buffered->role = GetOuterUserId();
	buffered->starts_row = buffer.start_row;
	buffered->image_len = head.image_len;
	buffered->detail_len = head.detail_len;
	buffer.start_row = false;
	if (head.image_len > 0)
		memcpy(buffered + 1, entry->image, head.image_len);
	if (head.detail_len > 0)
		memcpy((char *) (buffered + 1) + head.image_len, entry->detail,
			   head.detail_len);

	if (buffer.write_through)
		flush_buffer(0);
	else if (buffer.memory_len > BUFFER_LIMIT)
		relieve_buffer();
}

/* Announce a manifest: what a table number stands for from here on. */
void
medsync_journal_add_ddl(uint32 table, uint32 manifest, const uint8 *digest)
{
	MedsyncEntry entry = {0};
	uint8		number[4];

	entry.operation = MEDSYNC_OP_DDL;
	entry.table = table;
	entry.manifest = manifest;
	entry.command = GetCurrentCommandId(true);
	entry.fields = MEDSYNC_HAS_OBJECT | MEDSYNC_HAS_KEY_ID;
	memcpy(entry.object, digest, MEDSYNC_HASH_SIZE);
	/* the table's own key is bound even if no row is ever under it */
	medsync_wire_store_u32(number, table);
	memcpy(entry.key_id,
		   medsync_vault_subject_key(MEDSYNC_SUBJECT_TABLE, number,
									 sizeof(number))->id,
		   MEDSYNC_ID_SIZE);
	medsync_journal_add(&entry);
}

static void
collect_packed_row(void *arg, uint64 xid, uint64 ordinal, StringInfo body)
{
	List	  **rows = (List **) arg;
	MemoryContext oldcontext;
	MedsyncPackedRow *row;

	/* the packer's own context is about to go */
	oldcontext = MemoryContextSwitchTo(GetMemoryChunkContext(*rows));
	row = palloc(sizeof(MedsyncPackedRow));
	row->xid = xid;
	row->ordinal = ordinal;
	row->len = body->len;
	row->body = palloc(body->len);
	memcpy(row->body, body->data, body->len);
	*rows = lappend(*rows, row);
	MemoryContextSwitchTo(oldcontext);
}

/*
 * What our own transaction has not written yet, as the packed rows it would
 * become.  The first member of the list is NULL.
 */
List *
medsync_journal_pending(void)
{
	List	   *rows = list_make1(NULL);

	if (buffer_end() > 0)
		pack_buffer(0, collect_packed_row, &rows);
	return rows;
}

/*
 * Write one entry at once as a packed row of its own, past the buffer: the
 * sealer's own entries.  Era and position are the caller's; the header comes
 * back with its seed.
 */
void
medsync_journal_write_now(MedsyncEntry *entry, MedsyncPackedHeader *header)
{
	Relation	heap = medsync_open("_journal", RowExclusiveLock);
	MedsyncEntry previous;
	StringInfoData body;

	entry->ordinal = buffer.next_ordinal++;
	header->ordinal = entry->ordinal;
	header->entry_count = 1;
	initStringInfo(&body);
	medsync_packed_begin(&body, header);
	medsync_packed_first(&previous, header);
	medsync_packed_add(&body, &previous, entry);
	medsync_packed_seed(medsync_ledger_seed_key(), medsync_ledger_id(),
						header->xid, header->ordinal, (uint8 *) body.data,
						body.len, header->seed);
	memcpy(body.data + 1, header->seed, MEDSYNC_SEED_SIZE);
	insert_packed_row(heap, header->xid, header->ordinal, &body);
	table_close(heap, NoLock);
}

/* A transaction that has written cannot seal: it would never see itself. */
void
medsync_journal_check_sealable(void)
{
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()) || buffer_end() > 0)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot seal in a transaction that has written"),
				 errdetail("A block holds what other transactions have committed."),
				 errhint("Commit first, then call medsync.seal() in a transaction of its own.")));
}

/* From here on this transaction may not change tracked tables. */
void
medsync_journal_note_seal(void)
{
	buffer.sealed_level = GetCurrentTransactionNestLevel();
}

/* Has this transaction sealed? */
bool
medsync_journal_has_sealed(void)
{
	return buffer.sealed_level > 0;
}

static void
journal_xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			if (buffer.sealed_level > 0)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot prepare a transaction that has sealed")));
			/* FALLTHROUGH */
		case XACT_EVENT_PRE_COMMIT:
			flush_buffer(0);
			if (buffer.file != NULL)
				BufFileClose(buffer.file);
			buffer.file = NULL;
			buffer.write_through = true;
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			reset_buffer();
			break;
		default:
			break;
	}
}

static void
journal_subxact_callback(SubXactEvent event, SubTransactionId subid,
						 SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (buffer.mark_count > 0 &&
			   buffer.marks[buffer.mark_count - 1].nest_level >= level)
		{
			truncate_buffer(buffer.marks[--buffer.mark_count].offset);
			buffer.start_row = buffer.overflowed;
		}
		if (buffer.sealed_level >= level)
			buffer.sealed_level = 0;
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		BufferMark *top = buffer.mark_count > 0 ?
			&buffer.marks[buffer.mark_count - 1] : NULL;

		if (top != NULL && top->nest_level == level)
		{
			/* what was the child's is the parent's now */
			if (level - 1 == 1 ||
				(buffer.mark_count > 1 && top[-1].nest_level == level - 1))
				buffer.mark_count--;
			else
				top->nest_level = level - 1;
		}
		if (buffer.sealed_level == level)
			buffer.sealed_level = level - 1;
	}
}

void
medsync_journal_init(void)
{
	CacheRegisterSyscacheCallback(AUTHOID, forget_role_names, (Datum) 0);
	RegisterXactCallback(journal_xact_callback, NULL);
	RegisterSubXactCallback(journal_subxact_callback, NULL);
}
