/*-------------------------------------------------------------------------
 *
 * catalog.h
 *		Finding, reading and writing the tables of schema medsync.
 *
 * Every room reads its tables through the quiet scan below: visible is
 * what a snapshot says, but no predicate lock is taken, so that a look-up
 * can never give an unrelated SERIALIZABLE transaction a 40001.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_CATALOG_H
#define MEDSYNC_CATALOG_H

#include "access/genam.h"
#include "access/htup.h"
#include "access/skey.h"
#include "access/tableam.h"
#include "nodes/parsenodes.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#define MEDSYNC_SCHEMA		"medsync"
#define MEDSYNC_ADMIN		"medsync_admin"
#define MEDSYNC_AUDITOR		"medsync_auditor"

#define MEDSYNC_SHAPE_COLUMNS_MAX	12

/* The columns that a table of ours must have */
typedef struct MedsyncShape
{
	const char *table;
	bool		needed;			/* verify() can read nothing without it */
	int			natts;
	Oid			types[MEDSYNC_SHAPE_COLUMNS_MAX];
} MedsyncShape;

/* A scan that takes no predicate locks; see medsync_scan_begin() */
typedef struct MedsyncScan
{
	Relation	heap;
	Relation	index;			/* NULL: the whole heap */
	Snapshot	snapshot;		/* decides what is visible */
	bool		own_changes;	/* see our transaction's rows of any command */
	TableScanDesc heap_scan;
	IndexScanDesc index_scan;
	TupleTableSlot *slot;
	ScanDirection direction;
} MedsyncScan;

/* Who called, while we act as somebody else */
typedef struct MedsyncIdentity
{
	Oid			userid;
	int			sec_context;
	int			guc_nest_level;
} MedsyncIdentity;

extern void medsync_catalog_init(void);	/* callbacks; from _PG_init */

extern Oid	medsync_schema_oid(bool missing_ok);
extern Oid	medsync_relation_oid(const char *name);
extern Oid	medsync_function_oid(const char *name);
extern bool medsync_extension_is_new(void);
extern Relation medsync_open(const char *name, LOCKMODE lockmode);

extern void medsync_shapes_register(const MedsyncShape *shapes);
extern const MedsyncShape *medsync_shape(int number);
extern bool medsync_shape_holds(const MedsyncShape *shape, Relation heap);

extern void medsync_scan_begin(MedsyncScan *scan, Relation heap,
							   const char *index, Snapshot snapshot,
							   int nkeys, ScanKey keys);
extern HeapTuple medsync_scan_next(MedsyncScan *scan);
extern void medsync_scan_end(MedsyncScan *scan);

extern void medsync_insert_quietly(Relation heap, HeapTuple tuple,
								   bool in_partial_indexes);
extern void medsync_insert_for_good(Relation heap, HeapTuple tuple);

extern bool medsync_caller_is(const char *role);
extern void medsync_act_as_extension_owner(Oid *save_userid,
										   int *save_sec_context);
extern void medsync_act_as_table_owner(Relation rel,
									   MedsyncIdentity *caller);
extern void medsync_act_as_caller(const MedsyncIdentity *caller);
extern void medsync_spi_execute(const char *command);
extern bytea *medsync_make_bytea(const void *data, size_t len);
extern char *medsync_id_text(const uint8 *id);

#endif							/* MEDSYNC_CATALOG_H */
