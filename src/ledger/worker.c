/*-------------------------------------------------------------------------
 *
 * worker.c
 *		The workers that seal without being asked.
 *
 * They exist only where the library is preloaded; without them somebody
 * calls medsync.seal().  A launcher, connected to no database, reads
 * pg_database and starts a sealer in each database that medsync.databases
 * names.  Only a sealer can see whether its database has the extension: it
 * ends at once if not, and soon if no table is tracked, so that an unused
 * database can be dropped.  The launcher knows no more of a sealer than how
 * long it lived.  One that ended soon makes it wait longer before the next
 * look, up to a minute, so that an idle cluster is left in peace.
 *
 * Nothing is stored, and no shared memory is used.  In each of its
 * transactions a sealer first takes AccessShareLock on the extension itself
 * and looks at it again, then only the locks of medsync_seal_now(); DROP
 * EXTENSION waits for one seal at most, and the sealer for it.
 *
 * An error while sealing is logged and ends the transaction but not the
 * sealer, which tries again after a pause that doubles up to a minute.  A
 * launcher that ends takes its sealers along; the postmaster starts another.
 * After a crash the postmaster starts everything anew.  On a standby there
 * are no workers until it is promoted.
 *
 * A sealer keeps out of a restore: the ledger's tables arrive one by one, and
 * a block made in between would be in the way of those to come.  Triggers
 * come last, so it begins when one stands.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

#include "ledger/manifest.h"
#include "ledger/sealer.h"
#include "ledger/status.h"
#include "ledger/track.h"
#include "ledger/worker.h"

/* All times in milliseconds */
#define LAUNCHER_RESTART	5	/* after it ended; in seconds, this one */
#define LAUNCHER_ROUND		5000	/* between two looks at pg_database */
#define LAUNCHER_PAUSE		1000	/* at least, between two rounds */
#define STARTS_PER_ROUND	2	/* sealers started in one round */
#define RESTART_SOON		5000	/* after a sealer that had work */
#define RESTART_LATE		60000	/* the longest wait for another look */
#define SHORT_LIFE			10000	/* who ended sooner had no work */
#define COMPLAIN_EVERY		60000	/* about a lack of worker processes */

/*
 * A sealer without tracked tables ends after the first of these, which is
 * less than the five seconds that DROP DATABASE waits, or after the second
 * if it had some before.
 */
#define IDLE_UNUSED			3000
#define IDLE_USED			60000

#define RETRY_FIRST			1000	/* after an error */
#define RETRY_LAST			60000

/* A database as the launcher sees it */
typedef struct Watch
{
	Oid			database;
	bool		wanted;			/* there, connectable, and named */
	BackgroundWorkerHandle *handle; /* of its sealer, or NULL */
	int64		started_at;		/* the last sealer */
	int64		next_start;		/* no other one before */
	int			delay;			/* what next_start was put off by */
} Watch;

/* A sealer's own state */
typedef struct SealerState
{
	Oid			extension;		/* the one found first */
	bool		whole;			/* no restore is under way */
	char	   *sealed;			/* snapshot before the last seal, or NULL */
	int64		used_at;		/* when a table was last seen to be tracked */
	int			idle_limit;
	int			retry;			/* wait after an error; 0: there was none */
	bool		unpublished;	/* a block may wait for its signature */
	int64		published_at;
} SealerState;

/*---- Local variables ----*/

static bool preloaded = false;
static List *watches = NIL;		/* of Watch; in TopMemoryContext */
static int64 complained_at = 0;
static void (*later_turn) (void) = NULL;

/*---- GUC variables ----*/

/*
 * How long a committed change may wait for its block, unless the sealer is
 * busy.  A shorter interval makes more and smaller blocks.
 */
static int	seal_interval = 1000;

/*
 * Whose ledgers are sealed without being asked.  A database that is left out
 * keeps its ledger; somebody has to call medsync.seal() there.
 */
static char *databases = "*";

/*---- Function declarations ----*/

PGDLLEXPORT void medsync_launcher_main(Datum arg);
PGDLLEXPORT void medsync_sealer_main(Datum arg);

static bool check_databases(char **newval, void **extra, GucSource source);
static void register_launcher(void);

/* Define the settings; when preloaded, ask for the launcher. */
void
medsync_worker_init(void)
{
	DefineCustomStringVariable("medsync.databases",
							   "Sets the databases whose ledgers the workers seal.",
							   "A comma-separated list of names; \"*\" stands for all, an empty list for none.",
							   &databases,
							   "*",
							   PGC_SIGHUP,
							   GUC_LIST_INPUT,
							   check_databases, NULL, NULL);
	DefineCustomIntVariable("medsync.seal_interval",
							"Sets how often a worker seals what was committed.",
							NULL,
							&seal_interval,
							1000, 10, 24 * 60 * 60 * 1000,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	medsync_status_init();

	if (process_shared_preload_libraries_in_progress)
	{
		preloaded = true;
		if (!IsBinaryUpgrade)
			register_launcher();
	}
}

static bool
check_databases(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *names = NIL;
	bool		valid = SplitIdentifierString(copy, ',', &names);

	if (!valid)
		GUC_check_errdetail("List syntax is invalid.");
	list_free(names);
	pfree(copy);
	return valid;
}

static void
register_launcher(void)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = LAUNCHER_RESTART;
	strlcpy(worker.bgw_library_name, "medsync", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "medsync_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "medsync launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, MEDSYNC_WORKER_TYPE, BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

void
medsync_worker_on_turn(void (*turn) (void))
{
	later_turn = turn;
}

/* Was the library loaded by shared_preload_libraries? */
bool
medsync_worker_preloaded(void)
{
	return preloaded;
}

/* Does medsync.databases name this database? */
bool
medsync_worker_wanted(const char *database)
{
	char	   *copy = pstrdup(databases);
	List	   *names = NIL;
	bool		wanted = false;
	ListCell   *cell;

	if (SplitIdentifierString(copy, ',', &names))
		foreach(cell, names)
		{
			const char *name = lfirst(cell);

			if (strcmp(name, "*") == 0 || strcmp(name, database) == 0)
				wanted = true;
		}
	list_free(names);
	pfree(copy);
	return wanted;
}

/* Milliseconds on a clock that nobody sets. */
static int64
clock_now(void)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MILLISEC(now);
}

/* What both mains begin with. */
static void
establish_signals(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGINT, SIG_IGN);	/* nobody's statement to cancel */
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
}

/* Sleep, at most so long; then do what others may have asked for meanwhile. */
static void
wait_for(long milliseconds)
{
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 milliseconds, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

/*---- The launcher ----*/

static Watch *
find_watch(Oid database)
{
	MemoryContext oldcontext;
	ListCell   *cell;
	Watch	   *watch;

	foreach(cell, watches)
	{
		watch = lfirst(cell);
		if (watch->database == database)
			return watch;
	}
	oldcontext = MemoryContextSwitchTo(TopMemoryContext);
	watch = palloc0(sizeof(Watch));
	watch->database = database;
	watches = lappend(watches, watch);
	MemoryContextSwitchTo(oldcontext);
	return watch;
}

/* Look at pg_database, and mark which databases should have a sealer. */
static void
find_databases(void)
{
	Relation	heap;
	TableScanDesc scan;
	HeapTuple	tuple;
	ListCell   *cell;

	foreach(cell, watches)
		((Watch *) lfirst(cell))->wanted = false;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	heap = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(heap, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (database->datallowconn && !database->datistemplate &&
			!database_is_invalid_form(database) &&
			medsync_worker_wanted(NameStr(database->datname)))
			find_watch(database->oid)->wanted = true;
	}
	table_endscan(scan);
	table_close(heap, AccessShareLock);
	CommitTransactionCommand();
}

/* Notice that a sealer has ended, and decide when to start the next one. */
static void
check_on_sealer(Watch *watch, int64 now)
{
	pid_t		pid;

	if (watch->handle == NULL ||
		GetBackgroundWorkerPid(watch->handle, &pid) != BGWH_STOPPED)
		return;
	pfree(watch->handle);
	watch->handle = NULL;
	if (now - watch->started_at >= SHORT_LIFE)
		watch->delay = RESTART_SOON;
	else
		watch->delay = Min(Max(watch->delay * 2, RESTART_SOON), RESTART_LATE);
	watch->next_start = now + watch->delay;
}

/* Say that there is no room for a sealer, but not at every try. */
static void
complain(int64 now)
{
	if (complained_at != 0 && now - complained_at < COMPLAIN_EVERY)
		return;
	complained_at = now;
	ereport(LOG,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("could not register a medsync sealer"),
			 errhint("You may need to increase \"max_worker_processes\", or to name fewer databases in \"medsync.databases\".")));
}

static void
start_sealer(Watch *watch, int64 now)
{
	BackgroundWorker worker = {0};
	MemoryContext oldcontext;

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, "medsync", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "medsync_sealer_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "medsync sealer", BGW_MAXLEN);
	strlcpy(worker.bgw_type, MEDSYNC_WORKER_TYPE, BGW_MAXLEN);
	worker.bgw_main_arg = ObjectIdGetDatum(watch->database);
	worker.bgw_notify_pid = MyProcPid;

	watch->started_at = now;
	oldcontext = MemoryContextSwitchTo(TopMemoryContext);
	if (!RegisterDynamicBackgroundWorker(&worker, &watch->handle))
	{
		watch->handle = NULL;
		watch->next_start = now + RESTART_SOON;
		complain(now);
	}
	MemoryContextSwitchTo(oldcontext);
}

/*
 * Start and end sealers as needed.  Few are started at a time, so that many
 * databases without the extension never need many worker processes at once.
 */
static void
launcher_round(void)
{
	int64		now = clock_now();
	int			starts = 0;
	ListCell   *cell;

	find_databases();
	foreach(cell, watches)
	{
		Watch	   *watch = lfirst(cell);

		check_on_sealer(watch, now);
		if (watch->handle != NULL)
		{
			if (!watch->wanted)
				TerminateBackgroundWorker(watch->handle);
		}
		else if (!watch->wanted)
		{
			watches = foreach_delete_current(watches, cell);
			pfree(watch);
		}
		else if (now >= watch->next_start && starts < STARTS_PER_ROUND)
		{
			start_sealer(watch, now);
			starts++;
		}
	}
}

/* A launcher that ends takes its sealers along; the next one knows none. */
static void
launcher_exit(int code, Datum arg)
{
	ListCell   *cell;

	foreach(cell, watches)
	{
		Watch	   *watch = lfirst(cell);

		if (watch->handle != NULL)
			TerminateBackgroundWorker(watch->handle);
	}
}

/* Main function of the launcher. */
void
medsync_launcher_main(Datum arg)
{
	establish_signals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	SetConfigOption("application_name", "medsync launcher", PGC_SUSET,
					PGC_S_OVERRIDE);
	before_shmem_exit(launcher_exit, (Datum) 0);

	for (;;)
	{
		int64		next_round = clock_now() + LAUNCHER_PAUSE;
		int64		left;

		launcher_round();

		/* the end of a sealer wakes us, a great many of them not too often */
		wait_for(LAUNCHER_ROUND);
		while ((left = next_round - clock_now()) > 0)
			wait_for(left);
	}
}

/*---- The sealer ----*/

/* Settings of the cluster, database or role that are not meant for us */
static void
override_settings(void)
{
	static const char *const settings[][2] = {
		{"application_name", "medsync sealer"},
		{"default_transaction_deferrable", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"idle_in_transaction_session_timeout", "0"},
		{"lock_timeout", "0"},
		{"search_path", ""},
		{"statement_timeout", "0"},
	};
	int			i;

	for (i = 0; i < (int) lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET,
						PGC_S_OVERRIDE);
}

/* Say in the log whose ledger it was. */
static void
sealer_errcontext(void *arg)
{
	errcontext("sealing the ledger of database \"%s\"", (const char *) arg);
}

/*
 * Lock the extension to the end of the transaction.  False when it is not
 * there, or not the one we began with.
 */
static bool
lock_extension(SealerState *state)
{
	Oid			extension = get_extension_oid("medsync", true);

	if (!OidIsValid(extension))
		return false;
	LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
	/* it may have gone while we waited */
	if (get_extension_oid("medsync", true) != extension)
		return false;
	if (!OidIsValid(state->extension))
		state->extension = extension;
	return state->extension == extension;
}

/* Does the capture trigger of a table stand?  Waits for nobody. */
static bool
is_captured(const MedsyncTable *table)
{
	Oid			relid = medsync_table_relid(table);
	Relation	rel;
	bool		stands;

	if (!OidIsValid(relid) ||
		!ConditionalLockRelationOid(relid, AccessShareLock))
		return false;
	rel = try_relation_open(relid, NoLock);
	if (rel == NULL)
		return false;			/* the lock goes with the transaction */
	stands = medsync_capture_stands(RelationGetRelid(rel));
	relation_close(rel, AccessShareLock);
	return stands;
}

/*
 * Is the ledger all there?  While a dump is being restored it is not, and
 * the triggers of the tracked tables are made after the data has come.
 */
static bool
is_whole(List *tables)
{
	bool		any_tracked = false;
	ListCell   *cell;

	foreach(cell, tables)
	{
		const MedsyncTable *table = lfirst(cell);

		if (table->tracked && is_captured(table))
			return true;
		any_tracked |= table->tracked;
	}
	return tables != NIL && !any_tracked;
}

/* Has there been nothing to do for so long that the sealer may end? */
static bool
is_unused(SealerState *state, List *tables)
{
	int64		now = clock_now();
	ListCell   *cell;

	foreach(cell, tables)
	{
		if (!((MedsyncTable *) lfirst(cell))->tracked)
			continue;
		state->used_at = now;
		state->idle_limit = IDLE_USED;
		return false;
	}
	return now - state->used_at >= state->idle_limit;
}

/*
 * Seal, unless no transaction has ended since the last time: where all is
 * quiet a look at the snapshot is enough, whatever sealing would cost.
 */
static void
seal_if_changed(SealerState *state)
{
	char	   *seen = medsync_xid_set_of_snapshot(GetLatestSnapshot());

	if (state->sealed != NULL && strcmp(state->sealed, seen) == 0)
		return;
	(void) medsync_seal_now();
	state->unpublished = true;
	if (state->sealed != NULL)
		pfree(state->sealed);
	state->sealed = MemoryContextStrdup(TopMemoryContext, seen);
}

/* One transaction's work.  False when the sealer is not needed here. */
static bool
seal_ledger(SealerState *state)
{
	List	   *tables;

	if (!lock_extension(state))
		return false;
	tables = medsync_tables(GetActiveSnapshot(), NULL);
	if (!state->whole)
		state->whole = is_whole(tables);
	if (state->whole)
		seal_if_changed(state);
	return !is_unused(state, tables);
}

static bool
seal_once(SealerState *state)
{
	bool		needed;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	debug_query_string = "medsync: sealing";
	pgstat_report_activity(STATE_RUNNING, debug_query_string);

	needed = seal_ledger(state);

	PopActiveSnapshot();
	CommitTransactionCommand();
	debug_query_string = NULL;
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE,
						   state->whole ? NULL : MEDSYNC_SEALER_WAITS);
	return needed;
}

/*
 * Have the last block signed if it is time, in a transaction of its own: a
 * signature is made only when the block is on the disk.
 */
static void
publish_once(SealerState *state)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (lock_extension(state) && state->whole)
	{
		state->unpublished =
			medsync_seal_publish(clock_now() - state->published_at);
		if (!state->unpublished)
			state->published_at = clock_now();
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* A later room's turn, in a transaction of its own. */
static void
turn_once(SealerState *state)
{
	if (later_turn == NULL || !state->whole)
		return;
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (lock_extension(state))
		later_turn();
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* Log an error and go on, after a while. */
static void
recover(SealerState *state)
{
	HOLD_INTERRUPTS();
	EmitErrorReport();
	AbortCurrentTransaction();
	FlushErrorState();
	RESUME_INTERRUPTS();

	debug_query_string = NULL;
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, MEDSYNC_SEALING_FAILED);
	if (state->sealed != NULL)
		pfree(state->sealed);
	state->sealed = NULL;
	state->retry = Min(Max(state->retry * 2, RETRY_FIRST), RETRY_LAST);
}

/* Seal, whatever comes of it.  False when the sealer is not needed here. */
static bool
try_to_seal(SealerState *state, char *database)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorContextCallback callback;
	volatile bool needed = true;

	callback.callback = sealer_errcontext;
	callback.arg = database;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	PG_TRY();
	{
		needed = seal_once(state);
		if (needed && state->unpublished)
			publish_once(state);
		if (needed)
			turn_once(state);
		state->retry = 0;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error_context_stack = callback.previous;
		recover(state);
	}
	PG_END_TRY();
	error_context_stack = callback.previous;
	return needed;
}

/* Wait for the next turn, which a reload may bring forward or put off. */
static void
wait_for_turn(const SealerState *state)
{
	int64		from = clock_now();
	int64		left;

	while ((left = from + Max(seal_interval, state->retry) - clock_now()) > 0)
		wait_for(left);
}

/* Main function of a database's sealer. */
void
medsync_sealer_main(Datum arg)
{
	SealerState state = {0};
	char	   *database;

	establish_signals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(arg),
											  InvalidOid, 0);
	override_settings();

	StartTransactionCommand();
	database = MemoryContextStrdup(TopMemoryContext,
								   get_database_name(MyDatabaseId));
	CommitTransactionCommand();

	state.used_at = clock_now();
	state.idle_limit = IDLE_UNUSED;
	while (try_to_seal(&state, database))
		wait_for_turn(&state);
	proc_exit(0);
}
