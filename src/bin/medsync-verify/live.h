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
	bool		compared_by_seal;	/* sealed entries say that it is compared */
	const char *name;			/* as findings show it */

	/* once its relation was found */
	char	   *sql_name;		/* quoted, for FROM ONLY */
	LiveColumn *columns;		/* ascending number */
	int			column_count;
	bool		read;			/* its live rows are in the balance */
} LiveTable;

/* One run of mode live */
typedef struct Live
{
	MedsyncServer *server;
	MedsyncTypeTree *types;
	MedsyncRowBalance *balance;
	StringInfoData buf;			/* of the row being encoded */
} Live;

/* ---- live_table.c ---- */
extern void medsync_live_read_table(Live *live, LiveTable *table);
extern char *medsync_live_row_key(Live *live, const LiveTable *table,
								  MedsyncRowId row);

#endif							/* MEDSYNC_LIVE_H */
