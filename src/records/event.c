/*-------------------------------------------------------------------------
 *
 * event.c
 *		What was done with records, what was refused, what was damaged.
 *
 * Stored is record_event, a row for each, tracked by the ledger like the
 * records' other tables.  What was done is written in the caller's
 * transaction, and goes with it; but a get gave something out, and leaves
 * its event all the same (pending.c).  What was refused, or found damaged,
 * is written apart (common/apart.c), since the error that follows takes the
 * caller's transaction back; for damage the patient is told as well, by a
 * row of notice and NOTIFY, once a day for each record.  The entries of such
 * a row name the caller's roles and the person who acted.
 *
 * The work apart needs no lock that a caller may hold: record_event has no
 * foreign keys, and is only locked by its inserts, but for the transaction
 * that puts its triggers on, and that is a worker's, too, if one can be had.
 * Where it cannot be done, because no worker is free or it did not report
 * success, the event waits in _pending_event (pending.c) for the next who
 * can write it; that entry's roles are whose transaction wrote it, the
 * person is still who acted.  Only where nothing can be written (a standby, a
 * transaction that is read-only), does the server log alone have it.  The
 * refusal stands in any case.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "common/apart.h"
#include "common/catalog.h"
#include "common/errors.h"
#include "compat.h"
#include "ledger/journal.h"
#include "ledger/ledger.h"
#include "ledger/track.h"
#include "records/records.h"

#define ABSENT_VERSION		0
#define DAMAGE_NOTICE		"damaged"
#define NOTICE_INTERVAL		(24 * USECS_PER_HOUR)	/* for each record */
#define ROLLED_BACK			"rolled back"	/* reason of a get that was */

/* What is handed over to be written apart */
typedef struct EventApart
{
	uint8		id[MEDSYNC_ID_SIZE];
	uint8		record[MEDSYNC_ID_SIZE];
	uint8		person[MEDSYNC_PERSON_ID_SIZE];
	uint8		recipient[MEDSYNC_PERSON_ID_SIZE];
	TimestampTz at;
	int32		version;
	uint8		event;			/* MedsyncRecordEvent */
	uint8		reason;			/* MedsyncRecordReason */
	bool		has_record;
	bool		has_person;
	bool		has_recipient;
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
	[MEDSYNC_REASON_HEAD] = "the record is not in its newest state",
	[MEDSYNC_REASON_CHUNKS] = "chunks are missing, extra or of a wrong size",
	[MEDSYNC_REASON_DIGEST] = "the digest of the chunks is another",
	[MEDSYNC_REASON_WRAP] = "the data key does not open",
	[MEDSYNC_REASON_CONTENT] = "a chunk does not open",
	[MEDSYNC_REASON_UNREADABLE] = "a row cannot be read"
};

/* Our tables that are tracked; the subject of each is its patient */
static const char *const tracked[] = {
	"_record", "_record_head", "_record_version", "_record_wrap",
	"record_event"
};

/* The event of somebody else that is being written, or NULL */
static const MedsyncEventRow *foreign_event = NULL;

/* See to it that what we are about to write is recorded. */
void
medsync_records_track(void)
{
	int			i;

	for (i = 0; i < (int) lengthof(tracked); i++)
		medsync_track_own(tracked[i], "patient");
}

/* Is it seen to already? */
static bool
tables_stand(void)
{
	int			i;

	for (i = 0; i < (int) lengthof(tracked); i++)
		if (!medsync_track_own_stands(tracked[i]))
			return false;
	return true;
}

/*
 * Could a worker have to wait for our own transaction?  It could if we have
 * locked the events, or what it takes to make the tables' triggers.  Waits
 * for nobody.
 */
static bool
worker_would_wait(void)
{
	LOCKTAG		tag;
	LOCKMODE	mode;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId,
						 medsync_relation_oid("record_event"));
	for (mode = ShareLock; mode <= AccessExclusiveLock; mode++)
		if (LockHeldByMe(&tag, mode))
			return true;
	return medsync_ledger_lock_held(MEDSYNC_LOCK_REGISTER) ||
		medsync_ledger_lock_held(MEDSYNC_LOCK_SEAL);
}

/*
 * The same for a caller, who should not lock the tables to the end of its
 * transaction because it happens to be the first: a worker does it.  If there
 * is none, the caller does.
 */
void
medsync_records_prepare(void)
{
	if (tables_stand())
		return;
	if (!worker_would_wait())
		(void) medsync_apart(MEDSYNC_APART_RECORD_TABLES, NULL, 0);
	medsync_records_track();
}

/* Runs in the worker. */
static void
track_apart(const uint8 *payload, size_t len)
{
	medsync_records_track();
}

/* The session's role, palloc'd; it may have been dropped meanwhile. */
static const char *
session_role_name(void)
{
	const char *name = GetUserNameFromId(GetSessionUserId(), true);

	return name ? name : "";
}

/* An id as uuid; NULL is for columns that are. */
Datum
medsync_id_value(const uint8 *id)
{
	return UUIDPGetDatum((pg_uuid_t *) unconstify(uint8 *, id));
}

static void
make_event_id(uint8 *id)
{
	medsync_random(id, MEDSYNC_ID_SIZE);
	/* version 4 and variant 1 of RFC 4122 */
	id[6] = (id[6] & 0x0f) | 0x40;
	id[8] = (id[8] & 0x3f) | 0x80;
}

/* Write a row, of a record that is this patient's. */
static void
write_row(const MedsyncEventRow *row, const char *patient)
{
	Datum		values[10] = {0};
	char		nulls[] = "          ";

#define PUT(i, present, value) \
	do { if (present) values[i] = (value); else nulls[i] = 'n'; } while (0)
	PUT(0, true, medsync_id_value(row->id));
	PUT(1, true, TimestampTzGetDatum(row->at));
	PUT(2, patient != NULL, CStringGetTextDatum(patient));
	PUT(3, row->record != NULL, medsync_id_value(row->record));
	PUT(4, row->version != ABSENT_VERSION, Int32GetDatum(row->version));
	PUT(5, true, CStringGetTextDatum(row->event));
	PUT(6, row->person != NULL, medsync_id_value(row->person));
	PUT(7, row->recipient != NULL, medsync_id_value(row->recipient));
	PUT(8, true, CStringGetTextDatum(row->role));
	PUT(9, row->reason != NULL, CStringGetTextDatum(row->reason));
#undef PUT
	medsync_event_insert(values, nulls);
}

/*
 * What was done, in our own transaction; then what others left behind.  A get
 * is written down for good last, when nothing can fail any more.
 */
void
medsync_record_event(const MedsyncRecordCall *call, MedsyncRecordEvent event,
					 int32 version, const uint8 *recipient)
{
	MedsyncEventRow row = {0};
	uint8		id[MEDSYNC_ID_SIZE];

	make_event_id(id);
	row.id = id;
	row.at = GetCurrentTimestamp();
	row.record = call->record->id;
	row.version = version;
	row.event = event_names[event];
	row.person = call->actor;
	row.recipient = recipient;
	row.role = session_role_name();
	write_row(&row, call->record->patient);
	medsync_pending_take_over(false);
	if (event == MEDSYNC_EVENT_GET)
	{
		row.reason = ROLLED_BACK;
		medsync_pending_keep(&row);
	}
}

/*---- What was refused, or damaged ----*/

/* The ledger's actor source: of an event that somebody else had, that one. */
static bool
actor_of_entry(uint8 *person)
{
	if (foreign_event == NULL)
		return medsync_actor(person);
	if (foreign_event->person == NULL)
		return false;
	memcpy(person, foreign_event->person, MEDSYNC_PERSON_ID_SIZE);
	return true;
}

bool
medsync_event_is_damage(const MedsyncEventRow *row)
{
	return strcmp(row->event, event_names[MEDSYNC_EVENT_DAMAGED]) == 0;
}

bool
medsync_event_is_get(const char *event)
{
	return strcmp(event, event_names[MEDSYNC_EVENT_GET]) == 0;
}

/*
 * Tell a patient of damage, unless that was done lately.  Workers only come
 * here, one at a time for a record.
 */
static void
tell_of_damage(const char *patient, const MedsyncEventRow *row)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, RelationRelationId,
					   medsync_relation_oid("notice"),
					   (uint16) hash_bytes(row->record, MEDSYNC_ID_SIZE));
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	if (!medsync_notice_exists(patient, DAMAGE_NOTICE, row->record,
							   GetCurrentTimestamp() - NOTICE_INTERVAL))
		medsync_notice(patient, DAMAGE_NOTICE, row->record,
					   row->reason ? row->reason : "");
}

static void
write_foreign_event(const MedsyncEventRow *row)
{
	List	   *subjects = NIL;
	ListCell   *cell;

	if (row->record != NULL)
		subjects = medsync_record_subjects(row->record, GetLatestSnapshot());
	write_row(row, subjects ? linitial(subjects) : NULL);
	if (!medsync_event_is_damage(row))
		return;
	foreach(cell, subjects)
		tell_of_damage(lfirst(cell), row);
}

/* Write an event that another session had, or had before it failed. */
void
medsync_event_write(const MedsyncEventRow *row)
{
	foreign_event = row;
	PG_TRY();
	{
		write_foreign_event(row);
	}
	PG_FINALLY();
	{
		foreign_event = NULL;
	}
	PG_END_TRY();
}

/* The row of an event that was handed over, or that is to be. */
static void
set_row(MedsyncEventRow *row, const EventApart *what)
{
	row->id = what->id;
	row->at = what->at;
	row->record = what->has_record ? what->record : NULL;
	row->version = what->version;
	row->event = event_names[what->event];
	row->person = what->has_person ? what->person : NULL;
	row->recipient = what->has_recipient ? what->recipient : NULL;
	row->role = session_role_name();
	row->reason = reasons[what->reason];
}

/* Runs in the worker. */
static void
write_event_apart(const uint8 *payload, size_t len)
{
	EventApart	what;
	MedsyncEventRow row;

	if (len != sizeof(what))
		elog(ERROR, "an event of %zu bytes was handed over", len);
	memcpy(&what, payload, len);
	medsync_records_track();
	set_row(&row, &what);
	medsync_event_write(&row);
	medsync_pending_take_over(true);
}

/*
 * Write it down for good; the message of an error if that fails.  Interrupts
 * stay held off.
 */
static char *
try_pending_insert(const MedsyncEventRow *row, bool *done)
{
	MemoryContext oldcontext = CurrentMemoryContext;
	ResourceOwner oldowner = CurrentResourceOwner;
	char	   *volatile message = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(oldcontext);
	PG_TRY();
	{
		*done = medsync_pending_insert(row);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		HOLD_INTERRUPTS();		/* the error let them in */
		MemoryContextSwitchTo(oldcontext);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		message = error->message ? error->message : "unknown error";
	}
	PG_END_TRY();
	MemoryContextSwitchTo(oldcontext);
	CurrentResourceOwner = oldowner;
	return message;
}

/* Write it down until a worker can, or at least say so in the server log. */
static void
keep_for_later(const MedsyncEventRow *row)
{
	bool		done = false;
	char	   *message = NULL;

	if (!RecoveryInProgress() && !IsInParallelMode())
		message = try_pending_insert(row, &done);
	if (done)
		return;
	ereport(LOG,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("an event of records could not be recorded: %s",
					row->event),
			 errdetail("Record %s, person %s, role \"%s\": %s.",
					   row->record ? medsync_id_text(row->record) : "none",
					   row->person ? medsync_id_text(row->person) : "none",
					   row->role, row->reason),
			 message ? errhint("%s", message) : 0,
			 hide_statement()));
}

/*
 * Write it down so that our own transaction, which is about to fail, does not
 * take it along.  A cancel waits until that is done.
 */
static void
record_apart(MedsyncRecordEvent event, const uint8 *record, int32 version,
			 const uint8 *person, const uint8 *recipient,
			 MedsyncRecordReason reason)
{
	EventApart	what;
	MedsyncEventRow row;

	memset(&what, 0, sizeof(what));
	make_event_id(what.id);
	what.at = GetCurrentTimestamp();
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

	HOLD_INTERRUPTS();
	if (worker_would_wait() ||
		!medsync_apart(MEDSYNC_APART_RECORD_EVENT, &what, sizeof(what)))
	{
		set_row(&row, &what);
		keep_for_later(&row);
	}
	RESUME_INTERRUPTS();
}

/*
 * Refuse.  One error for all that is refused, so that nobody learns which
 * records there are; "actor" is NULL if nobody acts, "record" for a new one.
 * A reason of damage is one why it may be wrong to refuse: a holder's row may
 * be what is damaged.
 */
void
medsync_record_refuse(const uint8 *record, const uint8 *actor,
					  MedsyncRecordReason reason, const uint8 *recipient)
{
	record_apart(reason < MEDSYNC_REASON_ROWS ? MEDSYNC_EVENT_DENIED :
				 MEDSYNC_EVENT_DAMAGED, record, ABSENT_VERSION, actor,
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
			 errhint("medsync.actor() says who acts: sign in, or have your role registered."),
			 hide_statement()));
}

/*
 * Damage, of a version or (0) of the record: it is written down, the patient
 * is told.
 */
void
medsync_record_note_damage(const MedsyncRecordCall *call, int32 version,
						   MedsyncRecordReason reason)
{
	record_apart(MEDSYNC_EVENT_DAMAGED, call->id, version, call->actor, NULL,
				 reason);
}

/* The same, and nothing is released. */
void
medsync_record_damaged(const MedsyncRecordCall *call, int32 version,
					   MedsyncRecordReason reason)
{
	medsync_record_note_damage(call, version, reason);
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
	medsync_apart_register(MEDSYNC_APART_RECORD_TABLES, track_apart);
	medsync_journal_set_actor_source(actor_of_entry);
}
