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
#include "storage/lockdefs.h"

#define MEDSYNC_CAPTURE_TRIGGER		"medsync_capture"
#define MEDSYNC_TRUNCATE_TRIGGER	"medsync_truncate"

/*
 * Tables of schema medsync that later rooms keep, and have tracked.  "notify"
 * is the function, or NULL, of a statement trigger that the extension's script
 * puts on the table, with the function's name and "medsync" before it.
 */
extern void medsync_track_allow(const char *table, const char *notify);
extern const char *medsync_track_own_name(int number);
extern bool medsync_track_is_own(const char *schema_name,
								 const char *table_name);
extern bool medsync_track_own_stands(const char *table);
extern void medsync_track_own(const char *table, const char *subject);
extern bool medsync_track_restoring(void);
extern bool medsync_notify_stands(Oid relid, const char *table);
extern const char *medsync_notify_function(const char *table);

extern Relation medsync_track_open(Oid relid, LOCKMODE lockmode,
								   MedsyncTable **table);
extern bool medsync_capture_stands(Oid relid);
extern bool medsync_truncate_stands(Oid relid);
extern void medsync_register_partition(Oid relid,
									   const MedsyncManifest *parent);

#endif							/* MEDSYNC_TRACK_H */
