/*-------------------------------------------------------------------------
 *
 * rotate.c
 *		medsync.rotate_master_key(), and what is left of older master keys.
 *
 * A rotation wraps the key-encryption keys of this database anew, under
 * another master key.  The keys themselves stay, and so does everything that
 * they wrap: no secret of a subject is touched, and sessions that have a
 * key-encryption key open go on with it.
 *
 * If all of them are under the current master key, a new one is made first:
 * the file is replaced, as master_key.c says.  That is not transactional.
 * If they are not, a rotation was rolled back or interrupted, or another
 * database of the server has rotated: then what is left is the wrapping.  So
 * the function is called again until it succeeds, and once in each database.
 * Where a command has the key, its store makes the new one.
 *
 * Locks, in order: RowExclusiveLock on _key_encryption_key; a lock of our
 * own on the same table, to the end of the transaction, so that one at a time
 * rotates in a database and sees what the one before has committed; flock on
 * <file>.lock, while this function runs, since databases share the file.
 * Readers and writers take none of the latter two: at each moment a row names
 * a master key that they find in <file> or in <file>.<id>.
 *
 * Error, crash: rows are as they were, and what became of the file is used
 * next time.  On a standby there is no rotation; it needs the files before
 * the rows arrive.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/types.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "vault/kek.h"

#define ID_DIGITS	(2 * MEDSYNC_MASTER_KEY_ID_SIZE)

PG_FUNCTION_INFO_V1(medsync_rotate_master_key);

/* Keep other rotations out of this database until the transaction ends. */
static void
lock_database(Relation heap)
{
	LOCKTAG		lock;

	SET_LOCKTAG_OBJECT(lock, MyDatabaseId, RelationGetRelid(heap), 0, 0);
	(void) LockAcquire(&lock, ExclusiveLock, false, false);
}

/* Read the current master key, or raise an error. */
static void
read_current(MedsyncMasterKey *current)
{
	MedsyncMasterKeyProblem problem;

	if (!medsync_master_key_read(NULL, current, &problem))
		medsync_master_key_fail(&problem, 0);
}

/* Open a key-encryption key, or raise an error. */
static void
open_kek(const MedsyncKekRow *row, uint8 *secret)
{
	MedsyncMasterKeyProblem problem;

	switch (medsync_kek_unwrap(row, secret, &problem))
	{
		case MEDSYNC_KEY_OK:
			break;
		case MEDSYNC_KEY_NO_MASTER:
			medsync_master_key_fail(&problem, row->number);
			break;
		default:
			medsync_kek_fail(row->number);
	}
}

static bool
is_under(const MedsyncKekRow *row, const uint8 *master_key_id)
{
	return row->intact && memcmp(row->master_key_id, master_key_id,
								 MEDSYNC_MASTER_KEY_ID_SIZE) == 0;
}

static bool
all_under(List *rows, const uint8 *master_key_id)
{
	ListCell   *cell;

	foreach(cell, rows)
	{
		if (!is_under(lfirst(cell), master_key_id))
			return false;
	}
	return true;
}

/*
 * Make a new master key if the rows are all under the current one.  They are
 * opened first: nothing is replaced that is still needed to find out what is
 * wrong with them.
 */
static void
new_master_key(List *rows, MedsyncMasterKey *current)
{
	ListCell   *cell;

	foreach(cell, rows)
	{
		uint8		secret[MEDSYNC_KEY_SIZE];

		open_kek(lfirst(cell), secret);
		medsync_cleanse(secret, sizeof(secret));
	}
	medsync_master_key_replace(current);
	medsync_cleanse(current, sizeof(MedsyncMasterKey));
	read_current(current);
}

/* The distinct ids of the master keys that rows name, but for the current one. */
static List *
older_ids(List *rows, const uint8 *current_id)
{
	List	   *ids = NIL;
	ListCell   *cell;
	ListCell   *id_cell;

	foreach(cell, rows)
	{
		MedsyncKekRow *row = lfirst(cell);
		bool		known = false;

		if (!row->intact || is_under(row, current_id))
			continue;
		foreach(id_cell, ids)
			known |= is_under(row, lfirst(id_cell));
		if (!known)
			ids = lappend(ids, row->master_key_id);
	}
	return ids;
}

/* Names of older master keys, for people; NULL if there are none. */
static char *
names_of(List *ids)
{
	StringInfoData names;
	ListCell   *cell;

	if (ids == NIL)
		return NULL;
	initStringInfo(&names);
	foreach(cell, ids)
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
						 medsync_master_key_name(lfirst(cell)));
	return names.data;
}

/* Wrap anew what is under an older master key; returns how many rows. */
static int
rewrap(Relation heap, List *rows, const MedsyncMasterKey *current)
{
	ListCell   *cell;
	int			count = 0;

	foreach(cell, rows)
	{
		MedsyncKekRow row = *(MedsyncKekRow *) lfirst(cell);
		uint8		secret[MEDSYNC_KEY_SIZE];

		if (is_under(&row, current->id))
			continue;
		open_kek(&row, secret);
		medsync_kek_wrap(&row, current, secret);
		medsync_cleanse(secret, sizeof(secret));
		medsync_kek_update(heap, &row);
		count++;
	}
	if (count > 0)
		CommandCounterIncrement();
	return count;
}

/* Do all of it; returns how many rows, and the names of the keys they were under. */
static int
rotate(Relation heap, List *rows, char **old_names)
{
	MedsyncMasterKey current;
	int			lock = -1;
	int			count;

	if (!medsync_master_key_by_command())
		lock = medsync_master_key_lock();
	read_current(&current);
	if (lock >= 0 && all_under(rows, current.id))
		new_master_key(rows, &current);
	*old_names = names_of(older_ids(rows, current.id));
	count = rewrap(heap, rows, &current);
	medsync_cleanse(&current, sizeof(current));
	if (lock >= 0)
		medsync_master_key_unlock(lock);
	else if (count == 0)
		ereport(NOTICE,
				(errmsg("all key-encryption keys are under the current master key"),
				 errhint("To rotate, first make another key the current one of the command.")));
	return count;
}

/* medsync.rotate_master_key() */
Datum
medsync_rotate_master_key(PG_FUNCTION_ARGS)
{
	Relation	heap;
	List	   *rows;
	TupleDesc	desc;
	char	   *old_names;
	Datum		values[2];
	bool		nulls[2] = {0};

	PreventCommandIfReadOnly("medsync.rotate_master_key()");
	PreventCommandIfParallelMode("medsync.rotate_master_key()");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	heap = medsync_open(MEDSYNC_KEK_TABLE, RowExclusiveLock);
	medsync_check_columns(heap, Natts_kek, BYTEAOID);
	lock_database(heap);
	rows = medsync_kek_rows(heap);
	if (rows == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no ledger yet"),
				 errhint("Call medsync.track() to enter a first table.")));
	values[0] = Int32GetDatum(rotate(heap, rows, &old_names));
	table_close(heap, NoLock);

	nulls[1] = old_names == NULL;
	values[1] = nulls[1] ? (Datum) 0 : CStringGetTextDatum(old_names);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc),
													  values, nulls)));
}

/*---- For the status view ----*/

/* All rows, as they are at this moment. */
static List *
rows_now(void)
{
	Relation	heap = medsync_open(MEDSYNC_KEK_TABLE, AccessShareLock);
	List	   *rows = medsync_kek_rows(heap);

	table_close(heap, NoLock);
	return rows;
}

/*
 * What is wrong with the master key, palloc'd, or NULL: the current one, or
 * one that a key-encryption key is still under.  The file may well be missing
 * as long as this database has no key that depends on it.
 */
const char *
medsync_vault_master_key_problem(void)
{
	List	   *rows = rows_now();
	MedsyncMasterKeyProblem problem;
	MedsyncMasterKey master;
	ListCell   *cell;

	if (!medsync_master_key_read(NULL, &master, &problem))
	{
		if (rows == NIL && !problem.by_command &&
			problem.file.fault == MEDSYNC_KEY_FILE_MISSING)
			return NULL;
		return medsync_master_key_text(&problem);
	}
	foreach(cell, older_ids(rows, master.id))
	{
		if (!medsync_master_key_read(lfirst(cell), &master, &problem))
			return medsync_master_key_text(&problem);
	}
	medsync_cleanse(&master, sizeof(master));
	return NULL;
}

/* Is this the name of an older key's file, given the name of the current one? */
static bool
is_old_name(const char *name, const char *current)
{
	size_t		len = strlen(current);

	return strncmp(name, current, len) == 0 && name[len] == '.' &&
		strlen(name) == len + 1 + ID_DIGITS &&
		strspn(name + len + 1, "0123456789abcdef") == ID_DIGITS;
}

/* Is a file one of those whose ids are listed? */
static bool
is_listed(const char *path, List *ids)
{
	ListCell   *cell;

	foreach(cell, ids)
	{
		if (strcmp(path, medsync_master_key_old_path(lfirst(cell))) == 0)
			return true;
	}
	return false;
}

/* Older keys' files that are there and not in the list, for people, or NULL. */
static char *
files_besides(List *ids)
{
	char	   *path = medsync_master_key_real_path();
	char	   *directory = pstrdup(path);
	const char *name = last_dir_separator(path) + 1;
	StringInfoData names;
	struct dirent *entry;
	DIR		   *dir;

	initStringInfo(&names);
	get_parent_directory(directory);
	dir = AllocateDir(directory);
	while ((entry = ReadDirExtended(dir, directory, DEBUG1)) != NULL)
	{
		char	   *found = psprintf("%s/%s", directory, entry->d_name);

		if (is_old_name(entry->d_name, name) && !is_listed(found, ids))
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", found);
	}
	if (dir != NULL)
		FreeDir(dir);
	return names.len > 0 ? names.data : NULL;
}

/*
 * Which older master keys the rows of this database still need, and which
 * files of such keys are there and not needed by it; NULL: none.
 */
void
medsync_vault_old_master_keys(const char **needed, const char **spare)
{
	List	   *rows = rows_now();
	MedsyncMasterKeyProblem problem;
	MedsyncMasterKey current;
	List	   *ids;

	*needed = NULL;
	*spare = NULL;
	if (rows == NIL || !medsync_master_key_read(NULL, &current, &problem))
		return;
	ids = older_ids(rows, current.id);
	medsync_cleanse(&current, sizeof(current));
	*needed = names_of(ids);
	if (!medsync_master_key_by_command())
		*spare = files_besides(ids);
}
