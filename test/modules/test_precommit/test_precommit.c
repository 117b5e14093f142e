/*-------------------------------------------------------------------------
 *
 * test_precommit.c
 *		Runs SQL in a PRE_COMMIT (or PRE_PREPARE) callback.
 *
 * Transaction callbacks are called in the reverse order of registration:
 * loaded before medsync, this one is called after medsync's has flushed its
 * buffer; loaded after medsync, before.  What it changes must be recorded
 * either way.
 *
 * test_precommit.at_commit is run once per transaction, in a subtransaction
 * of its own if test_precommit.subtransaction is on; with
 * test_precommit.repeat it is run that many times.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

/*---- GUC variables ----*/

static char *at_commit = NULL;	/* SQL, or empty for nothing */
static int	repeat = 1;			/* how many times */
static bool in_subtransaction = false;	/* each time in one of its own */
static bool undo = false;		/* ... which is rolled back */

static void run_command(void);
static void at_transaction_end(XactEvent event, void *arg);

void
_PG_init(void)
{
	DefineCustomStringVariable("test_precommit.at_commit",
							   "SQL to run before each commit.",
							   NULL,
							   &at_commit,
							   "",
							   PGC_SUSET, 0,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("test_precommit.repeat",
							"How many times to run it.",
							NULL,
							&repeat,
							1, 1, 1000000,
							PGC_SUSET, 0,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("test_precommit.subtransaction",
							 "Run it in a subtransaction.",
							 NULL,
							 &in_subtransaction,
							 false,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);
	DefineCustomBoolVariable("test_precommit.undo",
							 "Roll that subtransaction back.",
							 NULL,
							 &undo,
							 false,
							 PGC_SUSET, 0,
							 NULL, NULL, NULL);
	MarkGUCPrefixReserved("test_precommit");

	RegisterXactCallback(at_transaction_end, NULL);
}

/* Run the command once, with a snapshot of its own */
static void
run_command(void)
{
	int			status;

	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	status = SPI_execute(at_commit, false, 0);
	if (status < 0)
		elog(ERROR, "could not execute \"%s\": %s", at_commit,
			 SPI_result_code_string(status));
	SPI_finish();
	PopActiveSnapshot();
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE)
		return;
	if (at_commit == NULL || at_commit[0] == '\0')
		return;

	/* a transaction that only read, or only set a variable, is left alone */
	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return;

	for (int i = 0; i < repeat; i++)
	{
		if (in_subtransaction)
		{
			ResourceOwner owner = CurrentResourceOwner;
			MemoryContext context = CurrentMemoryContext;

			BeginInternalSubTransaction(NULL);
			run_command();
			if (undo)
				RollbackAndReleaseCurrentSubTransaction();
			else
				ReleaseCurrentSubTransaction();
			CurrentResourceOwner = owner;
			MemoryContextSwitchTo(context);
		}
		else
			run_command();
	}
}
