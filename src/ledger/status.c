/*-------------------------------------------------------------------------
 *
 * status.c
 *		View medsync.status: what an operator should know of the ledger.
 *
 * Each item has a value, a state (ok, notice, warning or error) and, where
 * something can be done, one sentence of advice.  Nothing is stored and
 * nothing is verified: this is what a monitor asks every minute.  The cost
 * is that of reading the last block and of finding what is not sealed yet.
 *
 * Damage that is met on the way is an item, not an error.  No locks but
 * AccessShareLock on the ledger's tables.  Works on a standby, on a ledger
 * without a block and before the first track().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "catalog/pg_event_trigger.h"
#include "commands/dbcommands.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "ledger/manifest.h"
#include "ledger/status.h"
#include "ledger/walk.h"
#include "ledger/worker.h"
#include "vault/key_file.h"
#include "vault/quiet.h"
#include "vault/vault.h"

#define MAX_LATER_PARTS		4
#define VERIFY_ADVICE "Run medsync.verify() to see what was changed."

/* Where the rows go, and what several of them need */
struct MedsyncStatusReport
{
	ReturnSetInfo *result;
	bool		in_recovery;
	bool		has_ledger;
	uint8		ledger_id[MEDSYNC_ID_SIZE];
	TimestampTz created_at;
	int			tracked;		/* tables, partitions included */
	bool		last_damaged;	/* a last block is there, but makes no sense */
	MedsyncBlock *last;
};
typedef struct MedsyncStatusReport Report;

/* What is not sealed yet */
typedef struct Unsealed
{
	int64		transactions;
	int64		rows;
	int64		oldest;			/* flush time */
	int64		damaged;		/* journal rows that cannot be read */
} Unsealed;

/*---- GUC variables ----*/

/*
 * How long a committed change may wait for its block before status and
 * verify() warn.  An attacker who can stop the sealer gains time to change
 * what no checkpoint covers; this setting says when it is noticed.
 */
int			medsync_stale_after = 24 * 60 * 60;

/*---- Local variables ----*/

/* What later rooms add */
static void (*later_parts[MAX_LATER_PARTS]) (MedsyncStatusReport *report);
static int	later_part_count = 0;

PG_FUNCTION_INFO_V1(medsync_status);

void
medsync_status_register(void (*part) (MedsyncStatusReport *report))
{
	if (later_part_count == MAX_LATER_PARTS)
		elog(ERROR, "too many parts of the status");
	later_parts[later_part_count++] = part;
}

void
medsync_status_init(void)
{
	DefineCustomIntVariable("medsync.stale_after",
							"Sets the age at which an unsealed change is reported as stale.",
							NULL,
							&medsync_stale_after,
							24 * 60 * 60, 1, INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL, NULL, NULL);
}

/* Add an item: its state is one of MEDSYNC_STATUS_..., advice may be NULL. */
void
medsync_status_add(Report *report, const char *item, const char *value,
				   const char *state, const char *advice)
{
	Datum		values[4];
	bool		isnull[4] = {false, false, false, advice == NULL};

	values[0] = CStringGetTextDatum(item);
	values[1] = CStringGetTextDatum(value);
	values[2] = CStringGetTextDatum(state);
	values[3] = advice ? CStringGetTextDatum(advice) : (Datum) 0;
	tuplestore_putvalues(report->result->setResult, report->result->setDesc,
						 values, isnull);
}

static char *
hex_id(const uint8 *id)
{
	char	   *text = palloc(2 * MEDSYNC_ID_SIZE + 1);

	hex_encode((const char *) id, MEDSYNC_ID_SIZE, text);
	text[2 * MEDSYNC_ID_SIZE] = '\0';
	return text;
}

/* Seconds since then; none if the clock was set back. */
static int64
age_of(TimestampTz then)
{
	TimestampTz now = GetCurrentTimestamp();

	return now > then ? (now - then) / USECS_PER_SEC : 0;
}

/* An age for people: two units are too many for a glance. */
char *
medsync_status_age(int64 seconds)
{
	if (seconds < 2 * SECS_PER_MINUTE)
		return psprintf(INT64_FORMAT " s", seconds);
	if (seconds < 2 * SECS_PER_HOUR)
		return psprintf(INT64_FORMAT " min", seconds / SECS_PER_MINUTE);
	if (seconds < 2 * SECS_PER_DAY)
		return psprintf(INT64_FORMAT " h", seconds / SECS_PER_HOUR);
	return psprintf(INT64_FORMAT " days", seconds / SECS_PER_DAY);
}

/* Read what several items need. */
static void
read_ledger(Report *report)
{
	Relation	heap;
	MedsyncScan scan;
	HeapTuple	tuple;
	ListCell   *cell;

	report->in_recovery = RecoveryInProgress();
	report->has_ledger = medsync_ledger_read(report->ledger_id,
											 &report->created_at);
	foreach(cell, medsync_tables(GetActiveSnapshot(), NULL))
		if (((MedsyncTable *) lfirst(cell))->tracked)
			report->tracked++;

	heap = medsync_open("_block", AccessShareLock);
	medsync_scan_begin(&scan, heap, "_block_pkey", GetActiveSnapshot(), 0,
					   NULL);
	scan.direction = BackwardScanDirection;
	tuple = medsync_scan_next(&scan);
	if (tuple != NULL)
	{
		report->last = palloc(sizeof(MedsyncBlock));
		report->last_damaged = !medsync_block_read(tuple,
												   RelationGetDescr(heap),
												   report->last);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
}

static void
report_ledger(Report *report)
{
	if (report->has_ledger)
		medsync_status_add(report, "ledger",
				 psprintf("%s, created %s", hex_id(report->ledger_id),
						  timestamptz_to_str(report->created_at)),
				 MEDSYNC_STATUS_OK, NULL);
	else if (report->last != NULL || report->tracked > 0)
		medsync_status_add(report, "ledger", "without identity",
				 MEDSYNC_STATUS_ERROR, VERIFY_ADVICE);
	else
		medsync_status_add(report, "ledger", "none yet", MEDSYNC_STATUS_NOTICE,
				 "Call medsync.track() to enter a first table.");
}

static void
report_blocks(Report *report)
{
	MedsyncBlock *last = report->last;

	if (last == NULL)
	{
		medsync_status_add(report, "entries", "0", MEDSYNC_STATUS_OK, NULL);
		medsync_status_add(report, "last_block", "none yet", MEDSYNC_STATUS_OK, NULL);
		return;
	}
	if (report->last_damaged)
	{
		medsync_status_add(report, "entries", "unknown", MEDSYNC_STATUS_ERROR, VERIFY_ADVICE);
		medsync_status_add(report, "last_block", "malformed",
				 MEDSYNC_STATUS_ERROR, VERIFY_ADVICE);
		return;
	}
	medsync_status_add(report, "entries",
			 psprintf(INT64_FORMAT, last->first_index + last->entry_count),
			 MEDSYNC_STATUS_OK, NULL);
	medsync_status_add(report, "last_block",
			 psprintf("height " INT64_FORMAT ", size " INT64_FORMAT ", sealed %s, %s ago",
					  last->height, last->first_index + last->entry_count,
					  timestamptz_to_str(last->sealed_at),
					  medsync_status_age(age_of(last->sealed_at))),
			 MEDSYNC_STATUS_OK, NULL);
}

static void
note_damage(void *arg, uint64 xid, const char *what)
{
	((Unsealed *) arg)->damaged++;
}

/* Count what is committed and in no block; entries are not looked at. */
static void
find_unsealed(Report *report, Unsealed *unsealed)
{
	MedsyncWalk walk;
	MedsyncEra	current;
	int64		i;

	medsync_walk_open(&walk, GetActiveSnapshot());
	walk.damage = note_damage;
	walk.damage_arg = unsealed;
	medsync_era_current(report->ledger_id, &current);
	medsync_walk_gather_unsealed(&walk, medsync_lines(&walk, &current),
								 &current);
	unsealed->transactions = walk.xact_count;
	for (i = 0; i < walk.xact_count; i++)
	{
		unsealed->rows += walk.xacts[i].rows;
		if (i == 0 || walk.xacts[i].time < unsealed->oldest)
			unsealed->oldest = walk.xacts[i].time;
	}
	medsync_walk_close(&walk);
}

static void
report_unsealed(Report *report)
{
	Unsealed	unsealed = {0};
	int64		age;
	const char *state = MEDSYNC_STATUS_OK;
	const char *advice = NULL;

	if (report->has_ledger)
		find_unsealed(report, &unsealed);
	if (unsealed.damaged > 0)
		medsync_status_add(report, "journal",
				 psprintf(INT64_FORMAT " rows cannot be read",
						  unsealed.damaged),
				 MEDSYNC_STATUS_ERROR, VERIFY_ADVICE);
	if (unsealed.transactions == 0)
	{
		medsync_status_add(report, "unsealed", "0", MEDSYNC_STATUS_OK, NULL);
		return;
	}
	age = age_of(unsealed.oldest);
	if (age > medsync_stale_after)
	{
		state = MEDSYNC_STATUS_WARNING;
		advice = report->in_recovery ?
			"Find out why the primary does not seal, or does not send." :
			"Call medsync.seal(), and find out why nobody did.";
	}
	medsync_status_add(report, "unsealed",
			 psprintf("transactions: " INT64_FORMAT ", journal rows: " INT64_FORMAT ", oldest: %s",
					  unsealed.transactions, unsealed.rows, medsync_status_age(age)),
			 state, advice);
}

static void
report_tracked(Report *report)
{
	medsync_status_add(report, "tracked_tables", psprintf("%d", report->tracked),
			 MEDSYNC_STATUS_OK, NULL);
}

static void
report_era(Report *report)
{
	MedsyncEra	current;
	MedsyncEra *stored;

	if (report->in_recovery)
	{
		medsync_status_add(report, "era", "in recovery", MEDSYNC_STATUS_OK, NULL);
		return;
	}
	if (!report->has_ledger)
	{
		medsync_status_add(report, "era", "none yet", MEDSYNC_STATUS_OK, NULL);
		return;
	}
	medsync_era_current(report->ledger_id, &current);
	stored = medsync_era_find(medsync_eras(), current.id);
	if (stored != NULL)
		medsync_status_add(report, "era",
				 psprintf("%d, %s", stored->number, hex_id(stored->id)),
				 MEDSYNC_STATUS_OK, NULL);
	else
		medsync_status_add(report, "era",
				 psprintf("new, %s", hex_id(current.id)), MEDSYNC_STATUS_NOTICE,
				 "The next block with changes made here begins it.");
}

/*
 * Who seals this database: process id, and what it says it does.  False when
 * nobody does.  Asked as the extension's owner, since sessions of others are
 * hidden from ordinary roles.
 */
static bool
find_sealer(char **pid, char **activity)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			save_userid;
	int			save_sec_context;
	bool		found;

	medsync_act_as_extension_owner(&save_userid, &save_sec_context);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(psprintf("SELECT pid, query FROM pg_catalog.pg_stat_activity"
							 " WHERE backend_type OPERATOR(pg_catalog.=) '%s'"
							 " AND datid OPERATOR(pg_catalog.=) %u::pg_catalog.oid",
							 MEDSYNC_WORKER_TYPE, MyDatabaseId),
					true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read pg_stat_activity");
	found = SPI_processed > 0;
	if (found)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		char	   *text = SPI_getvalue(tuple, SPI_tuptable->tupdesc, 2);

		*pid = MemoryContextStrdup(context,
								   SPI_getvalue(tuple, SPI_tuptable->tupdesc, 1));
		*activity = MemoryContextStrdup(context, text ? text : "");
	}
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	SetUserIdAndSecContext(save_userid, save_sec_context);
	return found;
}

static void
report_running_sealer(Report *report, const char *pid, const char *activity)
{
	if (strcmp(activity, MEDSYNC_SEALING_FAILED) == 0)
		medsync_status_add(report, "sealer", psprintf("failing, process %s", pid),
				 MEDSYNC_STATUS_ERROR,
				 "The server's log says why; the next try is within a minute.");
	else if (report->tracked > 0 &&
			 strcmp(activity, MEDSYNC_SEALER_WAITS) == 0)
		medsync_status_add(report, "sealer", psprintf("waiting, process %s", pid),
				 MEDSYNC_STATUS_WARNING,
				 "No tracked table has its trigger: unless a dump is being restored, run medsync.verify().");
	else
		medsync_status_add(report, "sealer", psprintf("running, process %s", pid),
				 MEDSYNC_STATUS_OK, NULL);
}

static void
report_sealer(Report *report)
{
	char	   *pid;
	char	   *activity;

	if (!medsync_worker_preloaded())
		medsync_status_add(report, "sealer", "not preloaded", MEDSYNC_STATUS_NOTICE,
				 "Add medsync to shared_preload_libraries and restart, or have medsync.seal() called regularly.");
	else if (report->in_recovery)
		medsync_status_add(report, "sealer", "in recovery", MEDSYNC_STATUS_OK, NULL);
	else if (find_sealer(&pid, &activity))
		report_running_sealer(report, pid, activity);
	else if (!medsync_worker_wanted(get_database_name(MyDatabaseId)))
		medsync_status_add(report, "sealer", "not wanted", MEDSYNC_STATUS_NOTICE,
				 "Add this database to medsync.databases, or have medsync.seal() called regularly.");
	else if (report->tracked == 0)
		medsync_status_add(report, "sealer", "not needed", MEDSYNC_STATUS_OK, NULL);
	else
		medsync_status_add(report, "sealer", "not running", MEDSYNC_STATUS_WARNING,
				 "One starts within a minute; if not, see the server's log and max_worker_processes.");
}

/*
 * What is known only once the library is loaded: settings, and the hook that
 * keeps secrets out of the log.
 */
static void
report_library(Report *report)
{
	if (medsync_quiet_from_start())
		medsync_status_add(report, "library", "preloaded", MEDSYNC_STATUS_OK,
						   NULL);
	else
		medsync_status_add(report, "library", "loaded by a statement",
						   MEDSYNC_STATUS_NOTICE,
						   "Preload medsync (shared_preload_libraries, or session_preload_libraries for the database): a statement with secrets that fails before the library is loaded is logged.");
}

static void
report_master_key(Report *report)
{
	const char *path = medsync_vault_master_key_path();
	const char *problem = medsync_vault_master_key_problem();

	if (problem != NULL)
		medsync_status_add(report, "master_key_file", problem, MEDSYNC_STATUS_ERROR,
				 path == NULL ?
				 "Run the command of medsync.master_key_command by hand as the server's user; its standard error is in the server's log." :
				 "Bring the file back from its backup, or set medsync.master_key_file to its place and reload the configuration.");
	else if (path == NULL)
		medsync_status_add(report, "master_key_file", "medsync.master_key_command",
				 MEDSYNC_STATUS_OK, NULL);
	else if (medsync_key_file_in_data_directory(path))
		medsync_status_add(report, "master_key_file", path, MEDSYNC_STATUS_NOTICE,
				 "Move it out of the data directory and set medsync.master_key_file, so that base backups do not carry it.");
	else
		medsync_status_add(report, "master_key_file", path, MEDSYNC_STATUS_OK, NULL);
}

/* Older master keys: there only after a rotation. */
static void
report_old_master_keys(Report *report)
{
	const char *needed;
	const char *spare;

	medsync_vault_old_master_keys(&needed, &spare);
	if (needed != NULL)
		medsync_status_add(report, "old_master_keys",
				 psprintf("needed by this database: %s", needed),
				 MEDSYNC_STATUS_NOTICE,
				 report->in_recovery ?
				 "Keep them; call medsync.rotate_master_key() on the primary." :
				 "Keep them, and call medsync.rotate_master_key() in this database.");
	else if (spare != NULL)
		medsync_status_add(report, "old_master_keys",
				 psprintf("not needed by this database: %s", spare),
				 MEDSYNC_STATUS_NOTICE,
				 "Put them away with the backups of their time, which need them, when no other database or standby does.");
}

/* Is an event trigger ours, and does it always fire? */
static bool
guard_stands(const char *name, const char *function)
{
	HeapTuple	tuple = SearchSysCache1(EVENTTRIGGERNAME,
										CStringGetDatum(name));
	Form_pg_event_trigger trigger;
	bool		stands;

	if (!HeapTupleIsValid(tuple))
		return false;
	trigger = (Form_pg_event_trigger) GETSTRUCT(tuple);
	stands = trigger->evtenabled == TRIGGER_FIRES_ALWAYS &&
		trigger->evtfoid == medsync_function_oid(function);
	ReleaseSysCache(tuple);
	return stands;
}

static void
report_guards(Report *report)
{
	static const char *const guards[][2] = {
		{"medsync_guard_start", "_guard_start"},
		{"medsync_guard_end", "_guard_end"},
		{"medsync_guard_drop", "_guard_drop"},
		{"medsync_guard_rewrite", "_guard_rewrite"},
	};
	StringInfoData missing;
	int			i;

	initStringInfo(&missing);
	for (i = 0; i < (int) lengthof(guards); i++)
		if (!guard_stands(guards[i][0], guards[i][1]))
			appendStringInfo(&missing, "%s%s", missing.len > 0 ? ", " : "",
							 guards[i][0]);
	if (missing.len == 0)
		medsync_status_add(report, "guards", psprintf("%d", (int) lengthof(guards)),
				 MEDSYNC_STATUS_OK, NULL);
	else
		medsync_status_add(report, "guards",
				 psprintf("missing or not ENABLE ALWAYS: %s", missing.data),
				 MEDSYNC_STATUS_ERROR,
				 "Put the event triggers back, then run medsync.verify() to see what was done meanwhile.");
}

/* medsync._status() */
Datum
medsync_status(PG_FUNCTION_ARGS)
{
	Report		report = {0};
	int			i;

	InitMaterializedSRF(fcinfo, 0);
	report.result = (ReturnSetInfo *) fcinfo->resultinfo;
	read_ledger(&report);
	report_ledger(&report);
	report_blocks(&report);
	report_unsealed(&report);
	report_tracked(&report);
	report_era(&report);
	report_sealer(&report);
	report_library(&report);
	report_master_key(&report);
	report_old_master_keys(&report);
	report_guards(&report);
	for (i = 0; i < later_part_count; i++)
		later_parts[i] (&report);
	return (Datum) 0;
}
