/*-------------------------------------------------------------------------
 *
 * track.h
 *		Entering tables into the ledger; what the guards share with it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_TRACK_H
#define MEDSYNC_TRACK_H

#include "ledger/manifest.h"

#define MEDSYNC_CAPTURE_TRIGGER		"medsync_capture"
#define MEDSYNC_TRUNCATE_TRIGGER	"medsync_truncate"

extern bool medsync_capture_stands(Oid relid);
extern bool medsync_truncate_stands(Oid relid);
extern void medsync_register_partition(Oid relid,
									   const MedsyncManifest *parent);

#endif							/* MEDSYNC_TRACK_H */
