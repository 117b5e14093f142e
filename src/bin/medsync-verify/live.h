/*-------------------------------------------------------------------------
 *
 * live.h
 *		Mode live: what its parts share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_LIVE_H
#define MEDSYNC_LIVE_H

#include "ledger/manifest_text.h"
#include "medsync_verify.h"
#include "row_balance.h"
#include "server.h"
#include "type_tree.h"

/* A column whose values are part of the row */
typedef struct LiveColumn
{
	const MedsyncColumn *column;	/* of the table's manifest */
	Oid			type;
	const MedsyncTextCodec *codec;
} LiveColumn;

/* A table number, as far as it is known */
typedef struct LiveTable
{
	uint32		number;
	MedsyncManifest *manifest;	/* the newest announced, if its text holds */
	const MedsyncManifest *root;	/* of the root partitioned table, or the
									 * same; NULL: not known */
	bool		compared_by_seal;	/* sealed entries say that it is compared */
	const char *name;			/* as findings show it */

	/* once its relation was found */
	char	   *sql_name;		/* quoted, for FROM ONLY */
	LiveColumn *columns;		/* ascending number */
	int			column_count;
	bool		is_signed;		/* its rows' signatures are checked */
	bool		has_keys;		/* its rows are the keys of persons */
	bool		read;			/* its live rows are in the balance */
} LiveTable;

typedef struct LiveSignatures LiveSignatures;

/* Called for each row whose signature is not right; it need not live */
typedef void (*LiveBadSignature) (void *arg, uint32 table, MedsyncRowId row,
								  int64 index, int64 block,
								  const char *problem);

/* One run of mode live */
typedef struct Live
{
	MedsyncServer *server;
	MedsyncTypeTree *types;
	MedsyncRowBalance *balance;
	LiveSignatures *signatures;
	StringInfoData buf;			/* of the row being encoded */
} Live;

/* ---- live_table.c ---- */
extern void medsync_live_read_table(Live *live, LiveTable *table);
extern char *medsync_live_row_key(Live *live, const LiveTable *table,
								  MedsyncRowId row);

/* ---- live_signatures.c ---- */
extern LiveSignatures *medsync_live_signatures_create(uint64 expected_rows);
extern void medsync_live_signatures_ledger(LiveSignatures *signatures,
										   const uint8 *ledger_id);
extern void medsync_live_signed_entry(LiveSignatures *signatures,
									  const MedsyncStreamEntry *item);
extern void medsync_live_add_key(LiveSignatures *signatures,
								 const LiveTable *table,
								 const void *row, size_t len);
extern void medsync_live_signed_row(LiveSignatures *signatures,
									const LiveTable *table,
									MedsyncRowId row_id,
									const uint8 *commitment,
									const void *row, size_t len);
extern void medsync_live_signatures_finish(LiveSignatures *signatures,
										   LiveBadSignature report, void *arg);

#endif							/* MEDSYNC_LIVE_H */
