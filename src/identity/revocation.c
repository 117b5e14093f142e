/*-------------------------------------------------------------------------
 *
 * revocation.c
 *		A key that is revoked is revoked soon.
 *
 * person_key says since when a key is revoked: that is the time of the call.
 * Others learn of it when the transaction commits, and sign with the key
 * until then.  verify(), signatures() and medsync-verify take such rows for
 * a minute (REVOCATION_GRACE in signature.c, MEDSYNC_REVOCATION_GRACE in
 * proofs/key_row.h); so a transaction that revokes must commit well within
 * that minute, or fail.
 *
 * Nothing is stored but, until the transaction ends, when it revoked first.
 * No locks.  An error when it commits aborts it, and nothing is revoked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "identity/identity_internal.h"

/* How long a transaction may go on after it revoked */
#define COMMIT_SECONDS	30

/* The first revocation of a subtransaction; lives as long as the transaction */
typedef struct Revocation
{
	struct Revocation *before;	/* by a subtransaction that began earlier */
	SubTransactionId subid;
	TimestampTz at;
} Revocation;

static Revocation *newest = NULL;


/*
 * A key is about to be revoked.  Of what one subtransaction revokes the first
 * counts, and so does what others with greater numbers did before: they are
 * part of it, or go with it.
 */
void
medsync_revocation_begins(void)
{
	Revocation *revocation;

	if (newest != NULL && newest->subid >= GetCurrentSubTransactionId())
		return;
	revocation = MemoryContextAlloc(TopTransactionContext,
									sizeof(Revocation));
	revocation->before = newest;
	revocation->subid = GetCurrentSubTransactionId();
	revocation->at = GetCurrentTimestamp();
	newest = revocation;
}

/* Raise an error if the first revocation is too long ago. */
static void
check_time(void)
{
	const Revocation *first = newest;

	while (first->before != NULL)
		first = first->before;
	if (!TimestampDifferenceExceeds(first->at, GetCurrentTimestamp(),
									COMMIT_SECONDS * 1000))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("a key was revoked too long before the transaction ends"),
			 errdetail("Until it commits others sign with the key, and it may last %d seconds after the revocation.",
					   COMMIT_SECONDS),
			 errhint("Call medsync.revoke_key() in a transaction of its own, and commit at once.")));
}

/* Transaction callback. */
static void
revocation_xact_callback(XactEvent event, void *arg)
{
	if (newest == NULL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			check_time();
			break;
		case XACT_EVENT_PRE_PREPARE:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot prepare a transaction that has revoked a key"),
					 errdetail("Until it commits others sign with the key."),
					 errhint("Call medsync.revoke_key() in a transaction of its own.")));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
			newest = NULL;
			break;
		default:
			break;
	}
}

/* Subtransaction callback: what is rolled back was not revoked. */
static void
revocation_subxact_callback(SubXactEvent event, SubTransactionId subid,
							SubTransactionId parent_subid, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (newest != NULL && newest->subid >= subid)
		newest = newest->before;
}

void
medsync_revocation_init(void)
{
	RegisterXactCallback(revocation_xact_callback, NULL);
	RegisterSubXactCallback(revocation_subxact_callback, NULL);
}
