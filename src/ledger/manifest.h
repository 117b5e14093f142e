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

#include "ledger/manifest_text.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"
#include "vault/crypto.h"

/* A row of _table */
typedef struct MedsyncTable
{
	uint32		number;
	uint32		manifest_version;
	char	   *schema_name;
	char	   *table_name;
	bool		tracked;
} MedsyncTable;

extern MedsyncManifest *medsync_manifest_parse(const char *content);
extern char *medsync_manifest_content(uint32 table, uint32 version);
extern MedsyncManifest *medsync_manifest_load(uint32 table, uint32 version);
extern MedsyncManifest *medsync_manifest_root(MedsyncManifest *manifest);
extern void medsync_manifest_store(MedsyncManifest *manifest);
extern void medsync_manifest_refresh(MedsyncManifest *manifest, Relation rel);
extern void medsync_manifest_copy_demand(MedsyncManifest *manifest,
										 const MedsyncManifest *parent);

extern List *medsync_tables(Snapshot snapshot, int *malformed);
extern MedsyncTable *medsync_table_by_name(const char *schema_name,
										   const char *table_name,
										   bool tracked_only);
extern MedsyncTable *medsync_table_by_number(uint32 number);
extern MedsyncTable *medsync_table_of(Relation rel);
extern uint32 medsync_table_next_number(void);
extern Oid	medsync_table_relid(const MedsyncTable *table);

#endif							/* MEDSYNC_MANIFEST_H */
