/*-------------------------------------------------------------------------
 *
 * manifest.h
 *		What the ledger knows of a tracked table: its number, its name, its
 *		columns by stable number.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_MANIFEST_H
#define MEDSYNC_MANIFEST_H

#include "nodes/pg_list.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"
#include "vault/crypto.h"

typedef struct MedsyncColumn
{
	int			number;			/* never reused within a table number */
	char	   *name;
	char	   *type;			/* qualified, with modifier */
	bool		excluded;
} MedsyncColumn;

typedef struct MedsyncManifest
{
	uint32		table;			/* ledger table number */
	uint32		version;		/* from 1 */
	uint32		parent;			/* table number of the partitioned parent, or 0 */
	char	   *schema_name;
	char	   *table_name;
	bool		tracked;		/* false in the last one, after untrack */
	bool		partitioned;	/* holds no rows of its own */
	bool		full;			/* row images are stored */
	int			subject;		/* column number, 0: the table's own key */
	int			next_column;	/* the number that a new column gets */
	List	   *key;			/* of int: column numbers of the primary key */
	int			column_count;
	MedsyncColumn *columns;		/* ascending number; dropped ones are gone */
} MedsyncManifest;

/* A row of _table */
typedef struct MedsyncTable
{
	uint32		number;
	uint32		manifest_version;
	char	   *schema_name;
	char	   *table_name;
	bool		tracked;
} MedsyncTable;

extern char *medsync_manifest_write(const MedsyncManifest *manifest);
extern MedsyncManifest *medsync_manifest_parse(const char *content);
extern MedsyncManifest *medsync_manifest_load(uint32 table, uint32 version);
extern const MedsyncColumn *medsync_manifest_column(const MedsyncManifest *manifest,
													const char *name);
extern void medsync_manifest_store(MedsyncManifest *manifest);
extern void medsync_manifest_refresh(MedsyncManifest *manifest, Relation rel);

extern List *medsync_tables(Snapshot snapshot, int *malformed);
extern MedsyncTable *medsync_table_by_name(const char *schema_name,
										   const char *table_name,
										   bool tracked_only);
extern MedsyncTable *medsync_table_by_number(uint32 number);
extern MedsyncTable *medsync_table_of(Relation rel);
extern uint32 medsync_table_next_number(void);
extern Oid	medsync_table_relid(const MedsyncTable *table);

#endif							/* MEDSYNC_MANIFEST_H */
