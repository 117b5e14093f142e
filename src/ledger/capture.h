/*-------------------------------------------------------------------------
 *
 * capture.h
 *		Recording the rows a table already has; who checks the signatures of
 *		rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_CAPTURE_H
#define MEDSYNC_CAPTURE_H

#include "ledger/entry.h"
#include "ledger/signing.h"
#include "utils/relcache.h"

/* A row of a table that demands signatures, as it would be stored */
typedef struct MedsyncSignedRow
{
	const MedsyncRowSignature *signature;
	const void *message;		/* what it must be over */
	size_t		message_len;
	bool		now;			/* the signer's key must be valid now too */

	/* filled in: what held, where it must be valid now */
	uint8		detail[MEDSYNC_DETAIL_MAX];
	int			detail_len;
} MedsyncSignedRow;

/*
 * Checks a signature; a later room's.  NULL: it holds.  Else why not, as a
 * sentence for errdetail.
 */
typedef const char *(*MedsyncSignatureCheck) (MedsyncSignedRow *row);
extern void medsync_capture_set_signature_check(MedsyncSignatureCheck check);

/*
 * Rows of tables that later rooms keep (track.h) are written between these
 * two only, by statements of those rooms, superusers included.  "rows" says
 * afterwards how many capture has recorded: if that is not how many the
 * statement wrote, code of somebody else's wrote too.
 */
typedef struct MedsyncOwnWrite
{
	struct MedsyncOwnWrite *outer;
	uint64		rows;
} MedsyncOwnWrite;

extern void medsync_own_write_begin(MedsyncOwnWrite *write);
extern void medsync_own_write_end(const MedsyncOwnWrite *write);

/* How many rows of a relation have no signature that holds */
extern uint64 medsync_capture_count_unsigned(Relation rel);

extern uint64 medsync_capture_all_rows(Relation rel, MedsyncOperation operation,
									   const char *activity);

#endif							/* MEDSYNC_CAPTURE_H */
