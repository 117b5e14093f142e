/*-------------------------------------------------------------------------
 *
 * capture.h
 *		Recording the rows a table already has.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_CAPTURE_H
#define MEDSYNC_CAPTURE_H

#include "ledger/entry.h"
#include "utils/relcache.h"

extern uint64 medsync_capture_all_rows(Relation rel, MedsyncOperation operation,
									   const char *activity);

#endif							/* MEDSYNC_CAPTURE_H */
