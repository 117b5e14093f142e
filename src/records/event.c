/*-------------------------------------------------------------------------
 *
 * event.c
 *		What was done with records, what was refused, what was damaged.
 *
 * Stored is record_event, a row for each, tracked by the ledger like the
 * records' other tables.  What was done is written in the caller's
 * transaction.  What was refused, or found damaged, is written apart
 * (common/apart.c), since the error that follows takes the caller's
 * transaction back; for damage the patient is told as well, by a row of
 * notice and NOTIFY.  The entries of such a row name the caller's roles and
 * the person who acted.
 *
 * The work apart needs no lock that a caller may hold: record_event has no
 * foreign keys, and is only locked by its inserts, but for the transaction
 * that puts its triggers on.  Where it cannot be done (no worker is free, or
 * the server log says why else), the refusal stands, and the server log has
 * who and what.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "common/apart.h"
#include "common/catalog.h"
#include "common/errors.h"
#include "compat.h"
#include "ledger/journal.h"
#include "ledger/track.h"
#include "records/records.h"

#define ABSENT_VERSION		0
#define DAMAGE_NOTICE		"damaged"

/* What is handed over to be written apart */
typedef struct EventApart
{
	uint8		event;			/* MedsyncRecordEvent */
	uint8		reason;			/* MedsyncRecordReason */
	bool		has_record;
	bool		has_person;
	bool		has_recipient;
	int32		version;
	uint8		record[MEDSYNC_ID_SIZE];
	uint8		person[MEDSYNC_PERSON_ID_SIZE];
	uint8		recipient[MEDSYNC_PERSON_ID_SIZE];
} EventApart;

StaticAssertDecl(sizeof(EventApart) <= MEDSYNC_APART_MAX,
				 "an event must fit into what can be handed over");

static const char *const event_names[] = {
	[MEDSYNC_EVENT_PUT] = "put",
	[MEDSYNC_EVENT_VERSION] = "version",
	[MEDSYNC_EVENT_GET] = "get",
	[MEDSYNC_EVENT_GRANT] = "grant",
	[MEDSYNC_EVENT_REVOKE] = "revoke",
	[MEDSYNC_EVENT_REWRAP] = "rewrap",
	[MEDSYNC_EVENT_DENIED] = "denied",
	[MEDSYNC_EVENT_DAMAGED] = "damaged"
};

static const char *const reasons[] = {
	[MEDSYNC_REASON_NONE] = NULL,
	[MEDSYNC_REASON_NOBODY] = "nobody acts",
	[MEDSYNC_REASON_NO_RECORD] = "there is no such record",
	[MEDSYNC_REASON_NOT_ENTITLED] = "not entitled",
	[MEDSYNC_REASON_PRIVATE_KEY] = "the private key does not open it",
	[MEDSYNC_REASON_ROWS] = "a row is missing or malformed",
	[MEDSYNC_REASON_STATEMENT] = "the vault's signature does not hold",
	[MEDSYNC_REASON_CHUNKS] = "chunks are missing, extra or of a wrong size",
	[MEDSYNC_REASON_DIGEST] = "the digest of the chunks is another",
	[MEDSYNC_REASON_WRAP] = "the data key does not open",
	[MEDSYNC_REASON_CONTENT] = "a chunk does not open",
	[MEDSYNC_REASON_UNREADABLE] = "a row cannot be read"
};

/* Our tables that are tracked; the subject of each is its patient */
static const char *const tracked[] = {
	"_record", "_record_version", "_record_wrap", "record_event"
};

/* In a worker: who acted when it was asked for */
static const EventApart *apart = NULL;

/* See to it that what we are about to write is recorded. */
void
medsync_records_track(void)
{
	int			i;

	for (i = 0; i < (int) lengthof(tracked); i++)
		medsync_track_own(tracked[i], "patient");
}

/* Text of an id, palloc'd. */
char *
medsync_id_text(const uint8 *id)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out,
											   UUIDPGetDatum((pg_uuid_t *) unconstify(uint8 *, id))));
}

/* The session's role, palloc'd; it may have been dropped meanwhile. */
static const char *
session_role_name(void)
{
	const char *name = GetUserNameFromId(GetSessionUserId(), true);

	return name ? name : "";
}

static Datum
id_value(const uint8 *id)
{
	return UUIDPGetDatum((pg_uuid_t *) unconstify(uint8 *, id));
}

/* Write a row; all but event may be absent. */
static void
write_event(const char *patient, const uint8 *record, int32 version,
			MedsyncRecordEvent event, const uint8 *person,
			const uint8 *recipient, const char *reason)
{
	Datum		values[10] = {0};
	char		nulls[] = "          ";
	pg_uuid_t	id;

	medsync_random(id.data, UUID_LEN);
	/* version 4 and variant 1 of RFC 4122 */
	id.data[6] = (id.data[6] & 0x0f) | 0x40;
	id.data[8] = (id.data[8] & 0x3f) | 0x80;
#define PUT(i, present, value) \
	do { if (present) values[i] = (value); else nulls[i] = 'n'; } while (0)
	PUT(0, true, UUIDPGetDatum(&id));
	PUT(1, true, TimestampTzGetDatum(GetCurrentTimestamp()));
	PUT(2, patient != NULL, CStringGetTextDatum(patient));
	PUT(3, record != NULL, id_value(record));
	PUT(4, version != ABSENT_VERSION, Int32GetDatum(version));
	PUT(5, true, CStringGetTextDatum(event_names[event]));
	PUT(6, person != NULL, id_value(person));
	PUT(7, recipient != NULL, id_value(recipient));
	PUT(8, true, CStringGetTextDatum(session_role_name()));
	PUT(9, reason != NULL, CStringGetTextDatum(reason));
#undef PUT
	medsync_event_insert(values, nulls);
}

/* What was done, in our own transaction. */
void
medsync_record_event(const MedsyncRecordCall *call, MedsyncRecordEvent event,
					 int32 version, const uint8 *recipient)
{
	write_event(call->record->patient, call->record->id, version, event,
				call->actor, recipient, NULL);
}

/*---- Apart ----*/

/* Who acts in a worker is who acted in the session that asked for it. */
static bool
actor_apart(uint8 *person)
{
	if (!apart->has_person)
		return false;
	memcpy(person, apart->person, MEDSYNC_PERSON_ID_SIZE);
	return true;
}

/* Runs in the worker. */
static void
write_event_apart(const uint8 *payload, size_t len)
{
	static EventApart what;
	List	   *subjects = NIL;
	ListCell   *cell;

	if (len != sizeof(what))
		elog(ERROR, "an event of %zu bytes was handed over", len);
	memcpy(&what, payload, len);
	apart = &what;
	medsync_journal_set_actor_source(actor_apart);

	medsync_records_track();
	if (what.has_record)
		subjects = medsync_record_subjects(what.record, GetLatestSnapshot());
	write_event(subjects ? linitial(subjects) : NULL,
				what.has_record ? what.record : NULL, what.version,
				(MedsyncRecordEvent) what.event,
				what.has_person ? what.person : NULL,
				what.has_recipient ? what.recipient : NULL,
				reasons[what.reason]);
	if (what.event != MEDSYNC_EVENT_DAMAGED)
		return;
	foreach(cell, subjects)
		medsync_notice(lfirst(cell), DAMAGE_NOTICE, what.record,
					   reasons[what.reason]);
}

/* Write it down apart, or at least say in the server log that it is not. */
static void
record_apart(MedsyncRecordEvent event, const uint8 *record, int32 version,
			 const uint8 *person, const uint8 *recipient,
			 MedsyncRecordReason reason)
{
	EventApart	what;

	memset(&what, 0, sizeof(what));
	what.event = (uint8) event;
	what.reason = (uint8) reason;
	what.version = version;
	what.has_record = record != NULL;
	if (record != NULL)
		memcpy(what.record, record, sizeof(what.record));
	what.has_person = person != NULL;
	if (person != NULL)
		memcpy(what.person, person, sizeof(what.person));
	what.has_recipient = recipient != NULL;
	if (recipient != NULL)
		memcpy(what.recipient, recipient, sizeof(what.recipient));

	if (!medsync_apart(MEDSYNC_APART_RECORD_EVENT, &what, sizeof(what)))
		ereport(LOG,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("an event of records could not be recorded: %s",
						event_names[event]),
				 errdetail("Record %s, person %s, role \"%s\": %s.",
						   record ? medsync_id_text(record) : "none",
						   person ? medsync_id_text(person) : "none",
						   session_role_name(), reasons[reason]),
				 hide_statement()));
}

/*
 * Refuse.  One error for all that is refused, so that nobody learns which
 * records there are; "actor" is NULL if nobody acts, "record" for a new one.
 */
void
medsync_record_refuse(const uint8 *record, const uint8 *actor,
					  MedsyncRecordReason reason, const uint8 *recipient)
{
	record_apart(MEDSYNC_EVENT_DENIED, record, ABSENT_VERSION, actor,
				 recipient, reason);
	if (reason == MEDSYNC_REASON_PRIVATE_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_DECRYPTION_FAILED),
				 errmsg("could not decrypt"),
				 hide_statement()));
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 record ? errmsg("permission denied for record %s",
							 medsync_id_text(record)) :
			 errmsg("permission denied for records"),
			 errdetail("The person who acts is not entitled, or nobody acts, or there is no such record."),
			 hide_statement()));
}

/* Damage: nothing is released, it is written down, the patient is told. */
void
medsync_record_damaged(const MedsyncRecordCall *call, int32 version,
					   MedsyncRecordReason reason)
{
	record_apart(MEDSYNC_EVENT_DAMAGED, call->id, version, call->actor, NULL,
				 reason);
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_SIGNATURE_INVALID),
			 errmsg("record is damaged"),
			 errdetail("It is record %s.", medsync_id_text(call->id)),
			 errhint("medsync.verify() finds what was changed."),
			 hide_statement()));
}

void
medsync_event_init(void)
{
	int			i;

	for (i = 0; i < (int) lengthof(tracked); i++)
		medsync_track_allow(tracked[i], NULL);
	medsync_apart_register(MEDSYNC_APART_RECORD_EVENT, write_event_apart);
}
