/*-------------------------------------------------------------------------
 *
 * apart.c
 *		A transaction of its own, which the caller's rollback does not take
 *		away.
 *
 * What was refused is an error, and an error takes back whatever the same
 * transaction wrote.  So that a trace stays, a background worker is started
 * that does a small piece of work in the caller's database and commits it,
 * and the caller waits for it.  Workers are dynamic, so that this works
 * without shared_preload_libraries; each serves one call and ends.
 *
 * The kind of work, up to MEDSYNC_APART_MAX bytes, the database and the
 * caller's roles go along in the registration.  The worker takes the caller's
 * session role and current role, so that entries of the ledger name them, and
 * then works as the extension's owner.  Settings of the cluster, database
 * and role that are not meant for it are overridden.
 *
 * The worker waits for locks like any session, and the caller waits for the
 * worker in a way that the deadlock detector does not see.  A caller must
 * therefore not hold a lock that the work needs: no lock on the tables that
 * it writes but RowExclusiveLock or weaker, no row that it updates or refers
 * to, no unique key that it inserts.  Should it happen all the same, the
 * worker gives up after LOCK_TIMEOUT, and the answer is false.  Nothing is
 * tried in the transaction that makes the extension, which the worker would
 * not see.
 *
 * The answer comes when the worker has ended, so that false means that no
 * part of the work is under way any more.  That takes some milliseconds; a
 * worker that takes WAIT_LIMIT, or GRACE when the caller is cancelled, is
 * terminated.  Until then the cancel waits.  False is also the answer where a
 * worker committed and was killed before it said so: work that must not be
 * done twice carries an id by which that is seen.
 *
 * A worker that fails says so in the server log.  One small dynamic shared
 * memory segment, gone with the call, carries back whether the work was
 * committed.  Nothing is started on a standby and in parallel workers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "common/apart.h"
#include "common/catalog.h"

#define APART_KINDS			8	/* numbers of MedsyncApart are below this */
#define LOCK_TIMEOUT		"2s"
#define WAIT_LIMIT			10000	/* milliseconds, for a worker to end */
#define GRACE				1000	/* the same, once we are cancelled */
#define LOOK_EVERY			100

/* What the worker is told; goes into bgw_extra */
typedef struct ApartCall
{
	int32		kind;			/* MedsyncApart */
	Oid			database;
	Oid			session_role;
	Oid			role;
	int32		len;			/* of the payload */
	uint8		payload[MEDSYNC_APART_MAX];
} ApartCall;

StaticAssertDecl(sizeof(ApartCall) <= BGW_EXTRALEN,
				 "a call must fit into a worker's registration");

/* What the worker answers; in the shared segment */
typedef struct ApartAnswer
{
	pg_atomic_uint32 committed;
} ApartAnswer;

static MedsyncApartRun runs[APART_KINDS];

PGDLLEXPORT void medsync_apart_main(Datum arg);

/* A room says what is to be done for a kind. */
void
medsync_apart_register(MedsyncApart kind, MedsyncApartRun run)
{
	Assert((int) kind > 0 && (int) kind < APART_KINDS);
	runs[kind] = run;
}

/*---- The caller ----*/

static void
describe_worker(BackgroundWorker *worker, const ApartCall *call,
				dsm_handle segment)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker->bgw_library_name, "medsync", BGW_MAXLEN);
	strlcpy(worker->bgw_function_name, "medsync_apart_main", BGW_MAXLEN);
	strlcpy(worker->bgw_name, "medsync transaction apart", BGW_MAXLEN);
	strlcpy(worker->bgw_type, "medsync transaction apart", BGW_MAXLEN);
	worker->bgw_main_arg = UInt32GetDatum(segment);
	worker->bgw_notify_pid = MyProcPid;
	memcpy(worker->bgw_extra, call, sizeof(*call));
}

/* Say in the server log why nothing could be done. */
static bool
cannot(const char *detail, const char *hint)
{
	ereport(LOG,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("could not start a medsync transaction apart"),
			 errdetail_internal("%s", detail),
			 hint ? errhint("%s", hint) : 0,
			 errhidestmt(true), errhidecontext(true)));
	return false;
}

/*
 * Wait until a worker has ended.  We do not go before, whoever asks: what the
 * worker does would go on behind the caller's back.
 */
static void
wait_for_end(BackgroundWorkerHandle *handle)
{
	TimestampTz start = GetCurrentTimestamp();
	bool		told = false;
	pid_t		pid;

	while (GetBackgroundWorkerPid(handle, &pid) != BGWH_STOPPED)
	{
		bool		cancelled = QueryCancelPending || ProcDiePending;

		if (!told &&
			TimestampDifferenceExceeds(start, GetCurrentTimestamp(),
									   cancelled ? GRACE : WAIT_LIMIT))
		{
			TerminateBackgroundWorker(handle);
			told = true;
		}
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOOK_EVERY, WAIT_EVENT_BGWORKER_SHUTDOWN);
		ResetLatch(MyLatch);
	}
}

/* Start the worker, and wait until it has ended. */
static bool
start_and_wait(const ApartCall *call, dsm_handle segment)
{
	BackgroundWorker worker;
	BackgroundWorkerHandle *handle;

	describe_worker(&worker, call, segment);
	if (!RegisterDynamicBackgroundWorker(&worker, &handle))
		return cannot("No background worker slot is free.",
					  "You may need to increase \"max_worker_processes\".");
	wait_for_end(handle);
	pfree(handle);
	return true;
}

/*
 * Have work of a kind done in a transaction of its own, and wait until that
 * has ended.  False: it was not seen to commit.
 */
bool
medsync_apart(MedsyncApart kind, const void *payload, size_t len)
{
	ApartCall	call = {0};
	dsm_segment *segment;
	ApartAnswer *answer;
	bool		done;

	if (len > MEDSYNC_APART_MAX)
		elog(ERROR, "too much for a transaction apart: %zu bytes", len);
	if (RecoveryInProgress())
		return cannot("The server is in recovery.", NULL);
	if (IsInParallelMode())
		return cannot("A parallel operation is under way.", NULL);
	if (medsync_extension_is_new())
		return false;

	call.kind = kind;
	call.database = MyDatabaseId;
	call.session_role = GetSessionUserId();
	call.role = GetOuterUserId();
	call.len = (int32) len;
	if (len > 0)
		memcpy(call.payload, payload, len);

	HOLD_INTERRUPTS();
	segment = dsm_create(sizeof(ApartAnswer), DSM_CREATE_NULL_IF_MAXSEGMENTS);
	if (segment == NULL)
		done = cannot("No dynamic shared memory segment is free.", NULL);
	else
	{
		answer = dsm_segment_address(segment);
		pg_atomic_init_u32(&answer->committed, 0);
		done = start_and_wait(&call, dsm_segment_handle(segment)) &&
			pg_atomic_read_u32(&answer->committed) != 0;
		dsm_detach(segment);
	}
	RESUME_INTERRUPTS();
	return done;
}

/*---- The worker ----*/

/* Settings of the cluster, database or role that are not meant for us */
static void
override_settings(void)
{
	static const char *const settings[][2] = {
		{"application_name", "medsync transaction apart"},
		{"default_transaction_deferrable", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"idle_in_transaction_session_timeout", "0"},
		{"lock_timeout", LOCK_TIMEOUT},
		{"search_path", ""},
		{"statement_timeout", "0"},
	};
	int			i;

	for (i = 0; i < (int) lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET,
						PGC_S_OVERRIDE);
}

/* Be who called, as far as the ledger's entries say who did something. */
static void
take_roles(const ApartCall *call)
{
	SetSessionAuthorization(call->session_role,
							superuser_arg(call->session_role));
	if (call->role != call->session_role)
		SetCurrentRoleId(call->role, superuser_arg(call->role));
}

static void
run_call(const ApartCall *call)
{
	Oid			save_userid;
	int			save_sec_context;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	debug_query_string = "medsync: transaction apart";
	pgstat_report_activity(STATE_RUNNING, debug_query_string);

	take_roles(call);
	medsync_act_as_extension_owner(&save_userid, &save_sec_context);
	runs[call->kind] (call->payload, (size_t) call->len);
	SetUserIdAndSecContext(save_userid, save_sec_context);

	PopActiveSnapshot();
	CommitTransactionCommand();
	debug_query_string = NULL;
	pgstat_report_stat(true);
}

/* Main function of the worker. */
void
medsync_apart_main(Datum arg)
{
	dsm_segment *segment;
	ApartCall	call;

	memcpy(&call, MyBgworkerEntry->bgw_extra, sizeof(call));
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(call.database, InvalidOid, 0);
	override_settings();

	if (call.kind <= 0 || call.kind >= APART_KINDS ||
		call.len < 0 || call.len > MEDSYNC_APART_MAX ||
		runs[call.kind] == NULL)
		elog(ERROR, "unknown kind of transaction apart: %d", call.kind);
	run_call(&call);

	/* a caller whose process is gone does not wait any more */
	segment = dsm_attach(DatumGetUInt32(arg));
	if (segment != NULL)
	{
		ApartAnswer *answer = dsm_segment_address(segment);

		pg_atomic_write_u32(&answer->committed, 1);
		dsm_detach(segment);
	}
	proc_exit(0);
}
