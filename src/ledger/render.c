/*-------------------------------------------------------------------------
 *
 * render.c
 *		From canonical bytes back to values, and from values to JSON.
 *
 * Stores nothing and takes no locks; the caller holds one on the relation it
 * passes.  Malformed bytes are told by a result.  What only a type's own
 * functions can tell raises their error; callers that must not fail wrap.
 * Works on a standby.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "ledger/render.h"

/* A column while its reader is built */
typedef struct ColumnSource
{
	int			number;
	const char *name;			/* today's, or the last it had */
	AttrNumber	attnum;			/* of the relation, or 0 */
	Oid			type;			/* InvalidOid: gone */
	int32		typmod;
} ColumnSource;

/* The name that a column number has in the newest manifest it is in. */
static const char *
current_name(const MedsyncColumn *column, const MedsyncManifest *latest)
{
	int			i;

	for (i = 0; i < latest->column_count; i++)
		if (latest->columns[i].number == column->number)
			return latest->columns[i].name;
	return column->name;
}

static bool
number_exists(const MedsyncManifest *manifest, int number)
{
	int			i;

	for (i = 0; i < manifest->column_count; i++)
		if (manifest->columns[i].number == number)
			return true;
	return false;
}

/* The relation's attribute of a name, or NULL. */
static Form_pg_attribute
find_attribute(TupleDesc desc, const char *name)
{
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return att;
	}
	return NULL;
}

/*
 * The type that a manifest names, or InvalidOid.  Through to_regtype(),
 * which has the same face in all server versions.
 */
static Oid
type_by_text(const char *text)
{
	LOCAL_FCINFO(fcinfo, 1);
	Datum		result;

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = CStringGetTextDatum(text);
	fcinfo->args[0].isnull = false;
	result = to_regtype(fcinfo);
	return fcinfo->isnull ? InvalidOid : DatumGetObjectId(result);
}

/*
 * Find out what a column is today.
 *
 * The relation's type is the right one if it still reads as the manifest
 * says.  If not, the table was altered after it was untracked, and the type
 * that the manifest names is; unless there is none of that name, since then
 * the type was renamed.  A type that is gone altogether leaves the values
 * unreadable: they are skipped and the column is NULL, which tells more than
 * no row at all.
 */
static void
locate_column(ColumnSource *source, const MedsyncColumn *column,
			  const MedsyncManifest *latest, Relation rel)
{
	Form_pg_attribute att = NULL;

	source->number = column->number;
	source->name = current_name(column, latest);
	source->attnum = 0;
	source->typmod = -1;
	if (rel != NULL && number_exists(latest, column->number))
		att = find_attribute(RelationGetDescr(rel), source->name);
	if (att != NULL)
	{
		source->attnum = att->attnum;
		source->type = att->atttypid;
		source->typmod = att->atttypmod;
		if (strcmp(format_type_extended(att->atttypid, att->atttypmod,
										FORMAT_TYPE_TYPEMOD_GIVEN |
										FORMAT_TYPE_FORCE_QUALIFY),
				   column->type) == 0)
			return;
	}
	source->type = type_by_text(column->type);
	if (OidIsValid(source->type))
		source->typmod = -1;
	else if (att != NULL)
		source->type = att->atttypid;
}

/* The relation's order; columns that it no longer has come last. */
static int
compare_sources(const void *a, const void *b)
{
	const ColumnSource *x = a;
	const ColumnSource *y = b;
	int			x_place = x->attnum != 0 ? x->attnum : MaxAttrNumber + 1;
	int			y_place = y->attnum != 0 ? y->attnum : MaxAttrNumber + 1;

	return x_place != y_place ? x_place - y_place : x->number - y->number;
}

static int
compare_reader_columns(const void *a, const void *b)
{
	return ((const MedsyncReaderColumn *) a)->number -
		((const MedsyncReaderColumn *) b)->number;
}

static void
init_attribute(TupleDesc desc, int place, const ColumnSource *source)
{
	bool		gone = !OidIsValid(source->type);

	TupleDescInitEntry(desc, (AttrNumber) (place + 1), source->name,
					   gone ? TEXTOID : source->type,
					   gone ? -1 : source->typmod, 0);
}

/* Note which attributes are the primary key's. */
static void
add_key(MedsyncRowReader *reader, const MedsyncManifest *version,
		const ColumnSource *sources)
{
	int			found = 0;
	int			i;

	reader->key_places = palloc(sizeof(int) * Max(reader->column_count, 1));
	for (i = 0; i < reader->column_count; i++)
		if (medsync_manifest_is_key(version, sources[i].number))
			reader->key_places[found++] = i;
	if (found == 0)
		return;
	reader->key_desc = CreateTemplateTupleDesc(found);
	for (i = 0; i < found; i++)
		init_attribute(reader->key_desc, i, &sources[reader->key_places[i]]);
}

/*
 * Collect the columns that a row of one version has, and those that came
 * later: to a row from before they are NULL, as they are in the live table.
 */
static int
locate_columns(ColumnSource *sources, const MedsyncManifest *version,
			   const MedsyncManifest *latest, Relation rel)
{
	int			count = 0;
	int			i;

	for (i = 0; i < version->column_count; i++)
		if (!version->columns[i].excluded)
			locate_column(&sources[count++], &version->columns[i], latest, rel);
	for (i = 0; i < latest->column_count; i++)
		if (!latest->columns[i].excluded &&
			!number_exists(version, latest->columns[i].number))
			locate_column(&sources[count++], &latest->columns[i], latest, rel);
	qsort(sources, count, sizeof(ColumnSource), compare_sources);
	return count;
}

/*
 * Make a reader for rows written under one manifest version, in the current
 * memory context.  Columns have the names they have today, in the order of
 * the relation, or by number where there is none (NULL).
 */
MedsyncRowReader *
medsync_row_reader_create(const MedsyncManifest *version,
						  const MedsyncManifest *latest, Relation rel)
{
	MedsyncRowReader *reader = palloc0(sizeof(MedsyncRowReader));
	ColumnSource *sources = palloc(sizeof(ColumnSource) *
								   (version->column_count +
									latest->column_count + 1));
	int			count = locate_columns(sources, version, latest, rel);
	int			i;

	reader->column_count = count;
	reader->columns = palloc0(sizeof(MedsyncReaderColumn) * Max(count, 1));
	reader->desc = CreateTemplateTupleDesc(count);
	for (i = 0; i < count; i++)
	{
		MedsyncReaderColumn *column = &reader->columns[i];

		column->number = sources[i].number;
		column->place = i;
		column->attnum = sources[i].attnum;
		if (OidIsValid(sources[i].type))
			column->codec = medsync_codec_create(sources[i].type,
												 sources[i].name,
												 CurrentMemoryContext);
		init_attribute(reader->desc, i, &sources[i]);
	}
	add_key(reader, version, sources);
	qsort(reader->columns, count, sizeof(MedsyncReaderColumn),
		  compare_reader_columns);
	pfree(sources);
	return reader;
}

/* Read one value, or step over it where nobody wants or knows it. */
static bool
decode_value(MedsyncReader *bytes, const MedsyncReaderColumn *column,
			 Datum *values, bool *isnull)
{
	if (column == NULL || column->codec == NULL)
		return medsync_canonical_skip(bytes);
	values[column->place] = medsync_canonical_get(bytes, column->codec, -1);
	isnull[column->place] = false;
	return !bytes->failed;
}

/*
 * Decode a canonical row into values and isnull, which have room for the
 * attributes of reader->desc.  False when the bytes are malformed.
 */
bool
medsync_row_decode(const MedsyncRowReader *reader, const void *bytes,
				   size_t len, Datum *values, bool *isnull)
{
	MedsyncReader input;
	uint64		last = 0;
	int			next = 0;
	int			i;

	for (i = 0; i < reader->column_count; i++)
	{
		values[i] = (Datum) 0;
		isnull[i] = true;
	}
	medsync_wire_open(&input, bytes, len);
	while (MEDSYNC_WIRE_LEFT(&input) > 0)
	{
		uint64		number = medsync_wire_get_varint(&input);
		const MedsyncReaderColumn *column = NULL;

		if (input.failed || number <= last)
			return false;
		last = number;
		while (next < reader->column_count &&
			   (uint64) reader->columns[next].number < number)
			next++;
		if (next < reader->column_count &&
			(uint64) reader->columns[next].number == number)
			column = &reader->columns[next];
		if (!decode_value(&input, column, values, isnull))
			return false;
	}
	return true;
}

/* to_jsonb(record), looked up once per session. */
static FmgrInfo *
to_jsonb_function(void)
{
	static FmgrInfo function;
	static bool ready = false;

	if (!ready)
	{
		MemoryContext oldcontext = MemoryContextSwitchTo(TopMemoryContext);
		Const	   *argument = makeNullConst(RECORDOID, -1, InvalidOid);

		fmgr_info_cxt(F_TO_JSONB, &function, TopMemoryContext);
		/* the function asks the expression for its argument's type */
		fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID,
												 list_make1(argument),
												 InvalidOid, InvalidOid,
												 COERCE_EXPLICIT_CALL),
						   &function);
		MemoryContextSwitchTo(oldcontext);
		ready = true;
	}
	return &function;
}

/* What to_jsonb() gives for a row, under the caller's settings. */
Jsonb *
medsync_row_to_jsonb(TupleDesc desc, const Datum *values, const bool *isnull)
{
	HeapTuple	tuple;
	Datum		row;

	if (desc->tdtypeid == RECORDOID && desc->tdtypmod < 0)
		assign_record_type_typmod(desc);
	tuple = heap_form_tuple(desc, (Datum *) values, (bool *) isnull);
	row = HeapTupleGetDatum(tuple);
	return DatumGetJsonbP(FunctionCall1(to_jsonb_function(), row));
}

/* The primary key of a row as a JSON object; NULL where there is no key. */
Jsonb *
medsync_row_key_to_jsonb(const MedsyncRowReader *reader, const Datum *values,
						 const bool *isnull)
{
	Datum		key_values[INDEX_MAX_KEYS];
	bool		key_isnull[INDEX_MAX_KEYS];
	int			i;

	if (reader->key_desc == NULL)
		return NULL;
	for (i = 0; i < reader->key_desc->natts; i++)
	{
		key_values[i] = values[reader->key_places[i]];
		key_isnull[i] = isnull[reader->key_places[i]];
	}
	return medsync_row_to_jsonb(reader->key_desc, key_values, key_isnull);
}
