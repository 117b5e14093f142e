/*-------------------------------------------------------------------------
 *
 * signing.c
 *		What a signature on a row is made over.
 *
 * Pure computation: stores nothing, takes no locks and raises no error for
 * what it reads.  A partition has column numbers of its own, but a client
 * signs a row of the table that it knows, and a row may move: so the message
 * has the numbers of the root partitioned table, which a partition's columns
 * have by name.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "ledger/canonical.h"
#include "ledger/signing.h"

#define MESSAGE_NAME	"medsync row signature v1\n"

/* A column of a canonical row, under the number that the message has */
typedef struct SignedColumn
{
	int			number;
	const uint8 *value;			/* with its tag */
	size_t		len;
} SignedColumn;

/* A canonical row without its signature */
typedef struct SignedColumns
{
	SignedColumn *columns;
	int			count;
	bool		renumbered;		/* the message has other numbers than the row */
	const uint8 *cut;			/* else: where the row's signature stands */
	size_t		cut_len;
} SignedColumns;

/* The root's columns, to be found by name */
typedef struct RootColumns
{
	const MedsyncManifest *root;
	const MedsyncColumn **by_name;	/* NULL: not needed yet */
} RootColumns;

/* Order a manifest's columns by name; of equal ones the first comes first. */
static int
compare_names(const void *a, const void *b)
{
	const MedsyncColumn *left = *(const MedsyncColumn *const *) a;
	const MedsyncColumn *right = *(const MedsyncColumn *const *) b;
	int			order = strcmp(left->name, right->name);

	return order != 0 ? order : left->number - right->number;
}

/*
 * The number that the root has for a name; 0: it has no such column.  The
 * root may be a stranger's, with very many columns: its names are sorted once.
 */
static int
number_by_name(RootColumns *columns, const char *name)
{
	int			low = 0;
	int			high = columns->root->column_count;
	int			i;

	if (columns->by_name == NULL)
	{
		columns->by_name = palloc(sizeof(MedsyncColumn *) * Max(high, 1));
		for (i = 0; i < high; i++)
			columns->by_name[i] = &columns->root->columns[i];
		qsort(columns->by_name, high, sizeof(MedsyncColumn *), compare_names);
	}
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (strcmp(columns->by_name[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < columns->root->column_count &&
		strcmp(columns->by_name[low]->name, name) == 0 ?
		columns->by_name[low]->number : 0;
}

/*
 * The number that the root has for a column; 0: it has no such column.  It
 * is nearly always at the same place, "hint".
 */
static int
root_number(RootColumns *columns, const MedsyncManifest *manifest,
			const MedsyncColumn *column, int hint)
{
	const MedsyncManifest *root = columns->root;

	if (root == manifest)
		return column->number;
	if (hint < root->column_count &&
		strcmp(root->columns[hint].name, column->name) == 0)
		return root->columns[hint].number;
	return number_by_name(columns, column->name);
}

/* Is it a value of type uuid?  Then copy its bytes. */
static bool
read_uuid(const SignedColumn *column, uint8 *id)
{
	if (column->len != 1 + MEDSYNC_ID_SIZE ||
		column->value[0] != MEDSYNC_TAG_UUID)
		return false;
	memcpy(id, column->value + 1, MEDSYNC_ID_SIZE);
	return true;
}

/* Is it a value of type bytea?  Then point to its bytes. */
static bool
read_signature(const SignedColumn *column, MedsyncRowSignature *signature)
{
	MedsyncReader reader;

	medsync_wire_open(&reader, column->value, column->len);
	if (medsync_wire_get_u8(&reader) != MEDSYNC_TAG_BYTEA)
		return false;
	signature->signature_len = (size_t) medsync_wire_get_varint(&reader);
	signature->signature = reader.next;
	return !reader.failed &&
		signature->signature_len == MEDSYNC_WIRE_LEFT(&reader);
}

/*
 * Split a canonical row into its columns.  Those of the signature are read
 * as well; the signature itself is not among the columns.  False: the row is
 * malformed, or has a column that a manifest has not.
 */
static bool
split_row(const MedsyncManifest *manifest, RootColumns *root,
		  const void *row, size_t len, SignedColumns *split,
		  MedsyncRowSignature *signature)
{
	bool		has_signer = false;
	bool		has_signature = false;
	bool		types_hold = true;
	MedsyncReader reader;
	int			place = 0;

	medsync_wire_open(&reader, row, len);
	split->cut = reader.end;
	while (MEDSYNC_WIRE_LEFT(&reader) > 0)
	{
		const uint8 *start = reader.next;
		uint64		number = medsync_wire_get_varint(&reader);
		SignedColumn column;

		while (place < manifest->column_count &&
			   (uint64) manifest->columns[place].number < number)
			place++;
		if (reader.failed || place == manifest->column_count ||
			(uint64) manifest->columns[place].number != number ||
			manifest->columns[place].excluded)
			return false;
		column.value = reader.next;
		if (!medsync_canonical_skip(&reader))
			return false;
		column.len = reader.next - column.value;
		column.number = root_number(root, manifest, &manifest->columns[place],
									place);
		if (column.number == 0)
			return false;
		if (column.number != (int) number)
			split->renumbered = true;
		if ((int) number == manifest->signature)
		{
			has_signature = true;
			types_hold &= read_signature(&column, signature);
			split->cut = start;
			split->cut_len = reader.next - start;
		}
		else
			split->columns[split->count++] = column;
		if ((int) number == manifest->signer)
		{
			has_signer = true;
			types_hold &= read_uuid(&column, signature->signer);
		}
		else if ((int) number == manifest->on_behalf_of)
			types_hold &= signature->has_on_behalf_of =
				read_uuid(&column, signature->on_behalf_of);
		place++;				/* numbers ascend, and none comes twice */
	}
	signature->complete = has_signer && has_signature && types_hold;
	return true;
}

/* Order columns by the root's number, and equal ones as in the row. */
static int
compare_columns(const void *a, const void *b)
{
	const SignedColumn *left = a;
	const SignedColumn *right = b;

	if (left->number != right->number)
		return left->number < right->number ? -1 : 1;
	return left->value < right->value ? -1 : left->value > right->value;
}

/*
 * Append columns under the root's numbers, and in their order: a partition
 * may have been made with its columns in another one.
 */
static void
put_renumbered(StringInfo message, SignedColumn *columns, int count)
{
	int			i;

	qsort(columns, count, sizeof(SignedColumn), compare_columns);
	for (i = 0; i < count; i++)
	{
		medsync_wire_put_varint(message, columns[i].number);
		medsync_wire_put_bytes(message, columns[i].value,
							   (int) columns[i].len);
	}
}

/* Append a row as it is, but for its signature. */
static void
put_row(StringInfo message, const uint8 *row, size_t len,
		const SignedColumns *split)
{
	const uint8 *rest = split->cut + split->cut_len;

	medsync_wire_put_bytes(message, row, (int) (split->cut - row));
	medsync_wire_put_bytes(message, rest, (int) (row + len - rest));
}

/*
 * Append the message that a row's signature is over, and say what the row
 * has of it; see signing.h.  Without a signer the message has zeros for it.
 */
bool
medsync_signing_message(StringInfo message, const uint8 *ledger_id,
						const MedsyncManifest *manifest,
						const MedsyncManifest *root,
						const void *row, size_t len,
						MedsyncRowSignature *signature)
{
	RootColumns columns = {.root = root};
	SignedColumns split = {0};
	bool		read;

	memset(signature, 0, sizeof(MedsyncRowSignature));
	split.columns = palloc(sizeof(SignedColumn) *
						   Max(manifest->column_count, 1));
	read = split_row(manifest, &columns, row, len, &split, signature);
	if (read)
	{
		enlargeStringInfo(message, (int) Min(len + 128, PG_INT32_MAX));
		medsync_wire_put_bytes(message, MESSAGE_NAME,
							   sizeof(MESSAGE_NAME) - 1);
		medsync_wire_put_bytes(message, ledger_id, MEDSYNC_ID_SIZE);
		medsync_wire_put_u32(message, root->table);
		medsync_wire_put_bytes(message, signature->signer, MEDSYNC_ID_SIZE);
		if (split.renumbered)
			put_renumbered(message, split.columns, split.count);
		else
			put_row(message, row, len, &split);
	}
	if (columns.by_name != NULL)
		pfree(columns.by_name);
	pfree(split.columns);
	return read;
}
