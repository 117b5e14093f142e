/*-------------------------------------------------------------------------
 *
 * notice.c
 *		Telling people something.
 *
 * Stored is notice, a row for each thing that somebody was told; it is
 * tracked, so that a notice that goes away shows.  Later rooms write here,
 * as the extension's owner, in the transaction of what the notice is about;
 * NOTIFY medsync_notice says at its commit that there is one, and nothing of
 * what it says.  Who acts reads their own.  Reading works on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "common/catalog.h"
#include "identity/identity_internal.h"
#include "ledger/track.h"

#define NOTICE_CHANNEL		"medsync_notice"

PG_FUNCTION_INFO_V1(medsync_my_notices);

/* Was a person told something of this kind about a record since then? */
bool
medsync_notice_exists(const char *subject, const char *kind,
					  const uint8 *record, TimestampTz since)
{
	Oid			types[4] = {TEXTOID, TEXTOID, UUIDOID, TIMESTAMPTZOID};
	Datum		values[4];
	bool		exists;

	values[0] = CStringGetTextDatum(subject);
	values[1] = CStringGetTextDatum(kind);
	values[2] = PointerGetDatum(record);
	values[3] = TimestampTzGetDatum(since);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT FROM medsync.notice AS n"
							  " WHERE n.subject OPERATOR(pg_catalog.=) $1"
							  " AND n.kind OPERATOR(pg_catalog.=) $2"
							  " AND n.record OPERATOR(pg_catalog.=) $3"
							  " AND n.at OPERATOR(pg_catalog.>) $4",
							  4, types, values, NULL, false,
							  1) != SPI_OK_SELECT)
		elog(ERROR, "could not read notices");
	exists = SPI_processed > 0;
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	return exists;
}

/* Tell a person something; record may be NULL. */
void
medsync_notice(const char *subject, const char *kind, const uint8 *record,
			   const char *detail)
{
	MedsyncBind binds[6];
	pg_uuid_t	id;

	medsync_track_own("notice", "subject");
	medsync_people_new_id(&id);
	binds[0] = medsync_bind(UUIDOID, UUIDPGetDatum(&id));
	binds[1] = medsync_bind(TIMESTAMPTZOID,
							TimestampTzGetDatum(GetCurrentTimestamp()));
	binds[2] = medsync_bind(TEXTOID, CStringGetTextDatum(subject));
	binds[3] = medsync_bind(TEXTOID, CStringGetTextDatum(kind));
	binds[4] = medsync_bind(UUIDOID, PointerGetDatum(record));
	binds[4].isnull = record == NULL;
	binds[5] = medsync_bind(TEXTOID, CStringGetTextDatum(detail));
	medsync_people_execute("INSERT INTO medsync.notice"
						   " (id, at, subject, kind, record, detail)"
						   " VALUES ($1, $2, $3, $4, $5, $6)",
						   6, binds);
	Async_Notify(NOTICE_CHANNEL, medsync_id_text(id.data));
}

/* Read the notices of a subject into the result, as the extension's owner. */
static void
read_notices(const char *subject, ReturnSetInfo *result)
{
	Oid			type = TEXTOID;
	Datum		value = CStringGetTextDatum(subject);
	Oid			save_userid;
	int			save_sec_context;
	uint64		i;

	medsync_act_as_extension_owner(&save_userid, &save_sec_context);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT n.id, n.at, n.kind, n.record, n.detail"
							  " FROM medsync.notice AS n"
							  " WHERE n.subject OPERATOR(pg_catalog.=) $1"
							  " ORDER BY n.at DESC, n.id",
							  1, &type, &value, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read notices");
	for (i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	SetUserIdAndSecContext(save_userid, save_sec_context);
}

/* medsync.my_notices() */
Datum
medsync_my_notices(PG_FUNCTION_ARGS)
{
	uint8		id[MEDSYNC_PERSON_ID_SIZE];
	const MedsyncPerson *person;

	if (!medsync_actor(id) || (person = medsync_person_find(id)) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("nobody is signed in"),
				 errhint("Call medsync.sign_in().")));
	InitMaterializedSRF(fcinfo, 0);
	read_notices(person->subject, (ReturnSetInfo *) fcinfo->resultinfo);
	PG_RETURN_NULL();
}
