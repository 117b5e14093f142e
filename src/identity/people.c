/*-------------------------------------------------------------------------
 *
 * people.c
 *		Registering people, and what is known of them.
 *
 * Stored are person, a row for each person or device that may act, and
 * person_licence.  No row ever goes: what a person did names the row for
 * good.  Members of medsync_admin write, through these functions, which act
 * as the extension's owner; the tables are tracked from the first write on,
 * so that who changed what is in the ledger, and writing by hand is refused.
 *
 * person_key and person_licence name people without foreign keys: pg_restore
 * loads tables in any order.  A person whom a function found stays.
 *
 * Lock order: the locks of medsync_track_own() (track.c), then
 * RowExclusiveLock on the table.  An error leaves nothing behind.  Writing
 * is not possible on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "identity/identity_internal.h"
#include "identity/signature.h"
#include "ledger/capture.h"
#include "ledger/track.h"

#define MAX_SPECIALTIES		100

static const char *const kinds[] = {
	"patient", "practitioner", "nurse", "pharmacist", "insurer",
	"researcher", "admin", "auditor", "device"
};

/* The columns of the room's tables */
static const MedsyncShape identity_shapes[] = {
	{"person", false, 8, {UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
	TEXTOID, TEXTARRAYOID}},
	{"person_key", false, 8, {UUIDOID, UUIDOID, TEXTOID, BYTEAOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID}},
	{"person_licence", false, 9, {UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID}},
	{"notice", false, 6, {UUIDOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, UUIDOID,
	TEXTOID}},
	{"_spent_challenge", false, 2, {BYTEAOID, TIMESTAMPTZOID}},
	{NULL}
};

PG_FUNCTION_INFO_V1(medsync_register_person);
PG_FUNCTION_INFO_V1(medsync_verify_person);
PG_FUNCTION_INFO_V1(medsync_suspend_person);
PG_FUNCTION_INFO_V1(medsync_set_specialties);
PG_FUNCTION_INFO_V1(medsync_add_licence);
PG_FUNCTION_INFO_V1(medsync_revoke_licence);

void
medsync_identity_init(void)
{
	medsync_shapes_register(identity_shapes);
	medsync_track_allow("person", "_identity_changed");
	medsync_track_allow("person_key", "_identity_changed");
	medsync_track_allow("person_licence", "_identity_changed");
	medsync_track_allow("notice", NULL);
	medsync_keys_init();
	medsync_actor_init();
	medsync_sign_in_init();
	medsync_revocation_init();
	medsync_signature_init();
}

/*---- For the whole room ----*/

/*
 * Run a command of ours, as the extension's owner.  How many rows it changed.
 */
uint64
medsync_people_execute(const char *command, int count,
					   const MedsyncBind *binds)
{
	Oid		   *types = palloc(count * sizeof(Oid));
	Datum	   *values = palloc(count * sizeof(Datum));
	char	   *nulls = palloc(count + 1);
	MedsyncOwnWrite write;
	Oid			save_userid;
	int			save_sec_context;
	uint64		changed;
	volatile int result;
	int			i;

	for (i = 0; i < count; i++)
	{
		types[i] = binds[i].type;
		values[i] = binds[i].value;
		nulls[i] = binds[i].isnull ? 'n' : ' ';
	}
	nulls[count] = '\0';
	medsync_act_as_extension_owner(&save_userid, &save_sec_context);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	medsync_own_write_begin(&write);
	PG_TRY();
	{
		result = SPI_execute_with_args(command, count, types, values, nulls,
									   false, 0);
	}
	PG_FINALLY();
	{
		medsync_own_write_end(&write);
	}
	PG_END_TRY();
	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s",
			 SPI_result_code_string(result));
	changed = SPI_processed;
	if (result != SPI_OK_SELECT && write.rows != changed)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("a row of a person could not be written"),
				 errdetail("Something interferes with a table of medsync: a rule, a trigger or a policy.")));
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	SetUserIdAndSecContext(save_userid, save_sec_context);
	return changed;
}

/* A random UUID (RFC 9562, version 4). */
void
medsync_people_new_id(pg_uuid_t *id)
{
	medsync_random(id->data, UUID_LEN);
	id->data[6] = (id->data[6] & 0x0f) | 0x40;
	id->data[8] = (id->data[8] & 0x3f) | 0x80;
}

/* An argument that must be there. */
void
medsync_people_require(FunctionCallInfo fcinfo, int n, const char *name)
{
	if (PG_ARGISNULL(n))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

static void
check_text(const text *value, const char *name)
{
	size_t		len = VARSIZE_ANY_EXHDR(value);

	if (len == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", name)));
	if (len > MEDSYNC_PERSON_TEXT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s is too long", name),
				 errdetail("It can have at most %d bytes.",
						   MEDSYNC_PERSON_TEXT_MAX)));
}

/* A text argument that must be there, neither empty nor too long. */
static text *
text_argument(FunctionCallInfo fcinfo, int n, const char *name)
{
	text	   *value;

	medsync_people_require(fcinfo, n, name);
	value = PG_GETARG_TEXT_PP(n);
	check_text(value, name);
	return value;
}

/* Raise an error unless there is such a person. */
void
medsync_people_check_known(const pg_uuid_t *person)
{
	if (medsync_person_find(person->data) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("person does not exist"),
				 errhint("medsync.register_person() gives the id.")));
}

/*
 * Revoke what the first argument names, a row of a table that has columns for
 * it, for the reason that the second gives.  Nothing is revoked twice: the
 * first time is the one that counts.
 */
void
medsync_people_revoke(FunctionCallInfo fcinfo, const char *table,
					  const char *what)
{
	MedsyncBind binds[3];
	char	   *command = psprintf("medsync.revoke_%s()", what);

	medsync_people_require(fcinfo, 0, what);
	binds[0] = medsync_bind_argument(fcinfo, 0, UUIDOID);
	binds[1] = medsync_bind(TEXTOID,
							PointerGetDatum(text_argument(fcinfo, 1, "reason")));
	PreventCommandIfReadOnly(command);
	PreventCommandIfParallelMode(command);
	medsync_track_own(table, "person");
	binds[2] = medsync_bind(TIMESTAMPTZOID,
							TimestampTzGetDatum(GetCurrentTimestamp()));
	if (medsync_people_execute(psprintf("UPDATE medsync.%s"
										" SET revoked_at = $3, revocation_reason = $2"
										" WHERE id OPERATOR(pg_catalog.=) $1"
										" AND revoked_at IS NULL", table),
							   3, binds) > 0)
		return;
	if (medsync_people_execute(psprintf("SELECT FROM medsync.%s"
										" WHERE id OPERATOR(pg_catalog.=) $1",
										table),
							   1, binds) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s is revoked already", what)));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("%s does not exist", what)));
}

/*---- People ----*/

static void
check_kind(const text *kind)
{
	int			i;

	for (i = 0; i < (int) lengthof(kinds); i++)
		if (VARSIZE_ANY_EXHDR(kind) == strlen(kinds[i]) &&
			memcmp(VARDATA_ANY(kind), kinds[i], strlen(kinds[i])) == 0)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown kind of person"),
			 errhint("Kinds are patient, practitioner, nurse, pharmacist, insurer, researcher, admin, auditor and device.")));
}

/* The name of the role that a person is to be behind, as text. */
static text *
role_argument(Oid role)
{
	char	   *name = GetUserNameFromId(role, true);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", role)));
	if (medsync_person_by_role(name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("role \"%s\" is that of another person", name),
				 errhint("A role stands for one person; others sign in.")));
	return cstring_to_text(name);
}

/* medsync.register_person(kind, name, role, subject) */
Datum
medsync_register_person(PG_FUNCTION_ARGS)
{
	MedsyncBind binds[5];
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	text	   *kind = text_argument(fcinfo, 0, "kind");
	text	   *name = text_argument(fcinfo, 1, "name");
	text	   *subject;

	PreventCommandIfReadOnly("medsync.register_person()");
	PreventCommandIfParallelMode("medsync.register_person()");
	check_kind(kind);
	medsync_people_new_id(id);
	if (PG_ARGISNULL(3))
		subject = cstring_to_text(medsync_id_text(id->data));
	else
		subject = text_argument(fcinfo, 3, "subject");
	medsync_track_own("person", "subject");

	binds[0] = medsync_bind(UUIDOID, UUIDPGetDatum(id));
	binds[1] = medsync_bind(TEXTOID, PointerGetDatum(kind));
	binds[2] = medsync_bind(TEXTOID, PointerGetDatum(name));
	binds[3] = medsync_bind_argument(fcinfo, 2, TEXTOID);
	if (!PG_ARGISNULL(2))
		binds[3].value = PointerGetDatum(role_argument(PG_GETARG_OID(2)));
	binds[4] = medsync_bind(TEXTOID, PointerGetDatum(subject));
	if (medsync_people_execute("INSERT INTO medsync.person"
							   " (id, kind, name, role, subject, status, specialties)"
							   " VALUES ($1, $2, $3, $4, $5, 'registered', '{}')"
							   " ON CONFLICT (subject) DO NOTHING",
							   5, binds) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("subject is that of another person"),
				 errhint("Who has it can open what is kept for it: one person a subject.")));
	PG_RETURN_UUID_P(id);
}

/* medsync.verify_person(person) */
Datum
medsync_verify_person(PG_FUNCTION_ARGS)
{
	MedsyncBind bind;

	medsync_people_require(fcinfo, 0, "person");
	PreventCommandIfReadOnly("medsync.verify_person()");
	PreventCommandIfParallelMode("medsync.verify_person()");
	medsync_track_own("person", "subject");
	medsync_people_check_known(PG_GETARG_UUID_P(0));
	bind = medsync_bind_argument(fcinfo, 0, UUIDOID);
	medsync_people_execute("UPDATE medsync.person"
						   " SET status = 'active', status_reason = NULL"
						   " WHERE id OPERATOR(pg_catalog.=) $1"
						   " AND status OPERATOR(pg_catalog.<>) 'active'",
						   1, &bind);
	PG_RETURN_VOID();
}

/* medsync.suspend_person(person, reason) */
Datum
medsync_suspend_person(PG_FUNCTION_ARGS)
{
	MedsyncBind binds[2];

	medsync_people_require(fcinfo, 0, "person");
	binds[1] = medsync_bind(TEXTOID,
							PointerGetDatum(text_argument(fcinfo, 1, "reason")));
	PreventCommandIfReadOnly("medsync.suspend_person()");
	PreventCommandIfParallelMode("medsync.suspend_person()");
	medsync_track_own("person", "subject");
	medsync_people_check_known(PG_GETARG_UUID_P(0));
	binds[0] = medsync_bind_argument(fcinfo, 0, UUIDOID);
	medsync_people_execute("UPDATE medsync.person"
						   " SET status = 'suspended', status_reason = $2"
						   " WHERE id OPERATOR(pg_catalog.=) $1",
						   2, binds);
	PG_RETURN_VOID();
}

/* Specialties are few, and each is a short text. */
static void
check_specialties(ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	int			i;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("specialties must have one dimension")));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &count);
	if (count > MAX_SPECIALTIES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a person cannot have more than %d specialties",
						MAX_SPECIALTIES)));
	for (i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("specialty must not be null")));
		check_text(DatumGetTextPP(elements[i]), "specialty");
	}
}

/* medsync.set_specialties(person, specialties) */
Datum
medsync_set_specialties(PG_FUNCTION_ARGS)
{
	MedsyncBind binds[2];

	medsync_people_require(fcinfo, 0, "person");
	medsync_people_require(fcinfo, 1, "specialties");
	PreventCommandIfReadOnly("medsync.set_specialties()");
	PreventCommandIfParallelMode("medsync.set_specialties()");
	check_specialties(PG_GETARG_ARRAYTYPE_P(1));
	medsync_track_own("person", "subject");
	medsync_people_check_known(PG_GETARG_UUID_P(0));
	binds[0] = medsync_bind_argument(fcinfo, 0, UUIDOID);
	binds[1] = medsync_bind_argument(fcinfo, 1, TEXTARRAYOID);
	medsync_people_execute("UPDATE medsync.person SET specialties = $2"
						   " WHERE id OPERATOR(pg_catalog.=) $1",
						   2, binds);
	PG_RETURN_VOID();
}

/*---- Licences ----*/

/* medsync.add_licence(person, code, number, issuer, valid_from, valid_until) */
Datum
medsync_add_licence(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"code", "number", "issuer"};
	MedsyncBind binds[7];
	pg_uuid_t  *id = palloc(sizeof(pg_uuid_t));
	int			i;

	medsync_people_require(fcinfo, 0, "person");
	for (i = 0; i < (int) lengthof(names); i++)
		binds[2 + i] = medsync_bind(TEXTOID,
									PointerGetDatum(text_argument(fcinfo, 1 + i, names[i])));
	medsync_people_require(fcinfo, 4, "valid_from");
	if (!PG_ARGISNULL(5) &&
		PG_GETARG_TIMESTAMPTZ(5) <= PG_GETARG_TIMESTAMPTZ(4))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("valid_until must be later than valid_from")));
	PreventCommandIfReadOnly("medsync.add_licence()");
	PreventCommandIfParallelMode("medsync.add_licence()");
	medsync_track_own("person_licence", "person");
	medsync_people_check_known(PG_GETARG_UUID_P(0));

	medsync_people_new_id(id);
	binds[0] = medsync_bind(UUIDOID, UUIDPGetDatum(id));
	binds[1] = medsync_bind_argument(fcinfo, 0, UUIDOID);
	binds[5] = medsync_bind_argument(fcinfo, 4, TIMESTAMPTZOID);
	binds[6] = medsync_bind_argument(fcinfo, 5, TIMESTAMPTZOID);
	medsync_people_execute("INSERT INTO medsync.person_licence"
						   " (id, person, code, number, issuer, valid_from, valid_until)"
						   " VALUES ($1, $2, $3, $4, $5, $6, $7)",
						   7, binds);
	PG_RETURN_UUID_P(id);
}

/* medsync.revoke_licence(licence, reason) */
Datum
medsync_revoke_licence(PG_FUNCTION_ARGS)
{
	medsync_people_revoke(fcinfo, "person_licence", "licence");
	PG_RETURN_VOID();
}
