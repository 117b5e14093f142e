/*-------------------------------------------------------------------------
 *
 * row.c
 *		From a row to its canonical bytes, commitment and row key.
 *
 * Stores nothing.  A plan says how one relation's attributes map to ledger
 * columns; whoever caches it drops it when the relation changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/rel.h"

#include "ledger/row.h"


static int
compare_plan_columns(const void *a, const void *b)
{
	return ((const MedsyncPlanColumn *) a)->number -
		((const MedsyncPlanColumn *) b)->number;
}

/*
 * Work out the plan of a relation under a manifest.  Where the two disagree
 * (a guard was switched off), plan->problem says how; what writes must
 * refuse then, what verifies reports it.
 */
MedsyncPlan *
medsync_plan_build(Relation rel, const MedsyncManifest *manifest,
				   MemoryContext context)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	TupleDesc	desc = RelationGetDescr(rel);
	MedsyncPlan *plan = palloc0(sizeof(MedsyncPlan));
	int			found = 0;
	int			i;

	plan->context = context;
	plan->table = manifest->table;
	plan->manifest = manifest->version;
	plan->full = manifest->full;
	plan->max_attnum = desc->natts;
	plan->columns = palloc0(sizeof(MedsyncPlanColumn) * Max(desc->natts, 1));
	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		const MedsyncColumn *column;
		MedsyncPlanColumn *plan_column;

		if (att->attisdropped)
			continue;
		column = medsync_manifest_column(manifest, NameStr(att->attname));
		if (column == NULL)
		{
			plan->problem = psprintf("column \"%s\" is not in the ledger's manifest",
									 NameStr(att->attname));
			continue;
		}
		found++;
		if (column->excluded)
			continue;
		plan_column = &plan->columns[plan->column_count++];
		plan_column->attnum = att->attnum;
		plan_column->number = column->number;
		plan_column->typmod = att->atttypmod;
		plan_column->codec = medsync_codec_create(att->atttypid,
												  NameStr(att->attname),
												  context);
		plan_column->is_key = medsync_manifest_is_key(manifest, column->number);
		plan_column->prefix_len =
			medsync_wire_encode_varint(plan_column->prefix, column->number);
		if (plan_column->is_key)
			plan->key_count++;
		if (column->number == manifest->subject)
		{
			plan->subject_attnum = att->attnum;
			plan->subject_codec = plan_column->codec;
		}
	}
	if (found < manifest->column_count)
		plan->problem = pstrdup("a column of the ledger's manifest is gone");
	qsort(plan->columns, plan->column_count, sizeof(MedsyncPlanColumn),
		  compare_plan_columns);
	MemoryContextSwitchTo(oldcontext);
	return plan;
}

/* Append a column's number; nearly always it is one byte. */
static inline void
put_column_number(MedsyncSink *sink, const MedsyncPlanColumn *column)
{
	if (column->prefix_len == 1)
		appendStringInfoCharMacro(&sink->buf, column->prefix[0]);
	else
		medsync_sink_put(sink, column->prefix, column->prefix_len);
}

/* Append the canonical row: the columns that are not NULL, by number. */
void
medsync_row_encode(MedsyncSink *sink, const MedsyncPlan *plan,
				   const Datum *values, const bool *isnull)
{
	int			i;

	for (i = 0; i < plan->column_count; i++)
	{
		const MedsyncPlanColumn *column = &plan->columns[i];

		if (isnull[column->attnum - 1])
			continue;
		put_column_number(sink, column);
		medsync_canonical_put(sink, column->codec, values[column->attnum - 1]);
	}
}

/* Append the canonical row of the primary key's columns only. */
void
medsync_row_encode_key(MedsyncSink *sink, const MedsyncPlan *plan,
					   const Datum *values, const bool *isnull)
{
	int			i;

	for (i = 0; i < plan->column_count; i++)
	{
		const MedsyncPlanColumn *column = &plan->columns[i];

		if (!column->is_key || isnull[column->attnum - 1])
			continue;
		put_column_number(sink, column);
		medsync_canonical_put(sink, column->codec, values[column->attnum - 1]);
	}
}

/* The row key: a pseudonym of the primary key, under the table's own key. */
void
medsync_row_key(const MedsyncHmacKey *label, const void *key_columns,
				size_t len, uint8 *row_key)
{
	uint8		mac[MEDSYNC_HASH_SIZE];
	MedsyncHmac hmac;

	medsync_hmac_start(&hmac, label);
	medsync_hmac_update(&hmac, key_columns, len);
	medsync_hmac_finish(&hmac, mac);
	memcpy(row_key, mac, MEDSYNC_ID_SIZE);
}

/* The subject's text, or NULL for the table's own key. */
char *
medsync_row_subject(const MedsyncPlan *plan, const Datum *values,
					const bool *isnull)
{
	if (plan->subject_attnum == 0 || isnull[plan->subject_attnum - 1])
		return NULL;
	return medsync_canonical_text(plan->subject_codec,
								  values[plan->subject_attnum - 1]);
}
