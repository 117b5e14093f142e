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
 * to, no unique key that it inserts.  Should it happen all the same (the
 * caller made the tables' triggers in this very transaction), the worker
 * gives up after LOCK_TIMEOUT, and the answer is false.
 *
 * The wait can be cancelled: the work is done all the same.  A worker that
 * fails says so in the server log.  One small dynamic shared memory segment,
 * gone with the call, carries back whether the work was committed.  Nothing
 * is started on a standby and in parallel workers.
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
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "common/apart.h"
#include "common/catalog.h"

#define APART_KINDS			8	/* numbers of MedsyncApart are below this */
#define LOCK_TIMEOUT		"5s"

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
	(void) WaitForBackgroundWorkerShutdown(handle);
	pfree(handle);
	return true;
}

/*
 * Have work of a kind done in a transaction of its own, and wait until that
 * has committed.  False: it was not, or nobody knows.
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

	call.kind = kind;
	call.database = MyDatabaseId;
	call.session_role = GetSessionUserId();
	call.role = GetOuterUserId();
	call.len = (int32) len;
	memcpy(call.payload, payload, len);

	segment = dsm_create(sizeof(ApartAnswer), DSM_CREATE_NULL_IF_MAXSEGMENTS);
	if (segment == NULL)
		return cannot("No dynamic shared memory segment is free.", NULL);
	answer = dsm_segment_address(segment);
	pg_atomic_init_u32(&answer->committed, 0);
	done = start_and_wait(&call, dsm_segment_handle(segment)) &&
		pg_atomic_read_u32(&answer->committed) != 0;
	dsm_detach(segment);
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

	/* a caller who was cancelled does not wait any more */
	segment = dsm_attach(DatumGetUInt32(arg));
	if (segment != NULL)
	{
		ApartAnswer *answer = dsm_segment_address(segment);

		pg_atomic_write_u32(&answer->committed, 1);
		dsm_detach(segment);
	}
	proc_exit(0);
}
