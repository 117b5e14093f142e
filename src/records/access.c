/*-------------------------------------------------------------------------
 *
 * access.c
 *		Who may do what with a record.
 *
 * The patient is the active person of that kind who has the record's patient
 * as subject; no two persons have one.
 * A holder has a row of _record_wrap, with a wrap or without.  The author's
 * rights are those of a holder who wrote the record: they end when the author's
 * access is revoked.  The caller gives rows as they are now, not as an old
 * snapshot has them.
 *
 * Rows may have been tampered with.  That is found out, by the vault's
 * signature, after somebody was let through by them and before anything is
 * released or signed.  A revocation goes on all the same: it gives nobody
 * anything.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/uuid.h"

#include "compat.h"
#include "records/records.h"

/* A holder of a version, or NULL. */
MedsyncHolder *
medsync_holder_find(const MedsyncRecordVersion *version, const uint8 *person)
{
	ListCell   *cell;

	foreach(cell, version->holders)
	{
		MedsyncHolder *holder = lfirst(cell);

		if (memcmp(holder->person, person, MEDSYNC_ID_SIZE) == 0)
			return holder;
	}
	return NULL;
}

static bool
is_patient(const uint8 *actor, const MedsyncRecord *record)
{
	const MedsyncPerson *person = medsync_person_find(actor);

	return person != NULL && person->active && record->patient != NULL &&
		strcmp(person->kind, "patient") == 0 &&
		strcmp(person->subject, record->patient) == 0;
}

/*
 * May the actor?  "version" is the one that is asked for, or the newest;
 * "person", for a new wrap only, whose.
 */
bool
medsync_record_may(const uint8 *actor, const MedsyncRecord *record,
				   const MedsyncRecordVersion *version,
				   MedsyncRecordRight right, const uint8 *person)
{
	bool		holds;

	if (is_patient(actor, record))
		return true;
	holds = version != NULL && medsync_holder_find(version, actor) != NULL;
	switch (right)
	{
		case MEDSYNC_RECORD_READ:
		case MEDSYNC_RECORD_GRANT:
			return holds;
		case MEDSYNC_RECORD_REWRAP:
			if (holds && memcmp(actor, person, MEDSYNC_ID_SIZE) == 0)
				return true;
			/* fall through */
		case MEDSYNC_RECORD_CHANGE:
			return holds &&
				memcmp(actor, record->author, MEDSYNC_ID_SIZE) == 0;
	}
	return false;
}

/* Can something be wrapped for this person?  An error says why not. */
void
medsync_require_key(const uint8 *person)
{
	const MedsyncPerson *found = medsync_person_find(person);
	bool		active = found != NULL && found->active;

	if (found == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("person %s does not exist", medsync_id_text(person)),
				 hide_statement()));
	if (!active || medsync_person_wrapping_key(person) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("nothing can be encrypted for person %s",
						medsync_id_text(person)),
				 errdetail("The person is not active, or has no valid key of algorithm x25519 or rsa."),
				 errhint("See medsync.verify_person() and medsync.add_key()."),
				 hide_statement()));
}
