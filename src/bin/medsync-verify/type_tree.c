/*-------------------------------------------------------------------------
 *
 * type_tree.c
 *		What a server's types are made of.
 *
 * Reads the system catalogs over the connection, a type when it is first
 * met.  Built-in types have the same OID on every server; the others are
 * known by what pg_type says they are.  Only their shape is believed: a
 * server that lies about it gives bytes that no entry has committed to.
 *
 * A type that holds itself, which no server has, is refused, and so is one
 * that is nested too deeply.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include "catalog/pg_type_d.h"
#include "medsync_verify.h"
#include "type_tree.h"

#define MAX_TYPES		100000	/* of one database, which are in use */
#define MAX_ATTRIBUTES	1600

/* A type that was met */
typedef struct TypeNode
{
	MedsyncTextCodec codec;
	Oid			base;			/* of a domain: codec is that of another */
	bool		loading;
	bool		usable;
} TypeNode;

struct MedsyncTypeTree
{
	MedsyncServer *server;
	TypeNode  **nodes;
	int			count;
	int			room;
};

/* A row of pg_type, with what belongs to it */
typedef struct TypeRow
{
	bool		found;
	char		kind;			/* typtype */
	Oid			base;			/* of a domain */
	Oid			element;		/* of an array */
	char		delimiter;		/* of that element */
	Oid			subtype;		/* of a range */
	Oid			range;			/* of a multirange */
	Oid			relation;		/* of a composite */
} TypeRow;

/* The OIDs that a query gave */
typedef struct OidList
{
	Oid		   *items;
	int			count;
} OidList;

static const MedsyncTextCodec *load_type(MedsyncTypeTree *tree, Oid type,
										 int depth);

MedsyncTypeTree *
medsync_type_tree_create(MedsyncServer *server)
{
	MedsyncTypeTree *tree = pg_malloc0(sizeof(MedsyncTypeTree));

	tree->server = server;
	return tree;
}

void
medsync_type_tree_free(MedsyncTypeTree *tree)
{
	int			i;

	for (i = 0; i < tree->count; i++)
	{
		pg_free(tree->nodes[i]->codec.attributes);
		pg_free(tree->nodes[i]);
	}
	pg_free(tree->nodes);
	pg_free(tree);
}

static TypeNode *
find_node(MedsyncTypeTree *tree, Oid type)
{
	int			i;

	for (i = 0; i < tree->count; i++)
		if (tree->nodes[i]->codec.type == type)
			return tree->nodes[i];
	return NULL;
}

static TypeNode *
add_node(MedsyncTypeTree *tree, Oid type)
{
	TypeNode   *node;

	if (tree->count == MAX_TYPES)
		medsync_cannot_check("the server has too many types");
	if (tree->count == tree->room)
	{
		tree->room = Max(64, tree->room * 2);
		tree->nodes = pg_realloc(tree->nodes, sizeof(TypeNode *) * tree->room);
	}
	node = pg_malloc0(sizeof(TypeNode));
	node->codec.type = type;
	tree->nodes[tree->count++] = node;
	return node;
}

static Oid
to_oid(const char *text)
{
	return text != NULL ? (Oid) strtoul(text, NULL, 10) : InvalidOid;
}

static char
to_char(const char *text)
{
	return text != NULL ? *text : '\0';
}

static void
take_type(void *arg, const MedsyncServerRow *row)
{
	TypeRow    *type = arg;

	type->found = true;
	type->kind = to_char(row->values[0]);
	type->base = to_oid(row->values[1]);
	type->element = to_oid(row->values[2]);
	type->delimiter = to_char(row->values[3]);
	type->subtype = to_oid(row->values[4]);
	type->range = to_oid(row->values[5]);
	type->relation = to_oid(row->values[6]);
}

/*
 * Read a type's rows.  An array is what subscripts as one: there are base
 * types that have an element as well.
 */
static void
read_type(MedsyncTypeTree *tree, Oid oid, TypeRow *type)
{
	char	   *sql = psprintf(
							   "SELECT t.typtype, t.typbasetype,"
							   " CASE WHEN t.typsubscript = 'pg_catalog.array_subscript_handler'::regproc"
							   " THEN t.typelem ELSE 0 END,"
							   " e.typdelim, r.rngsubtype, m.rngtypid, t.typrelid"
							   " FROM pg_catalog.pg_type AS t"
							   " LEFT JOIN pg_catalog.pg_type AS e ON e.oid = t.typelem"
							   " LEFT JOIN pg_catalog.pg_range AS r ON r.rngtypid = t.oid"
							   " LEFT JOIN pg_catalog.pg_range AS m ON m.rngmultitypid = t.oid"
							   " WHERE t.oid = %u", oid);

	memset(type, 0, sizeof(*type));
	medsync_server_query(tree->server, sql, 7, false, take_type, type, NULL);
	pfree(sql);
}

static void
take_oid(void *arg, const MedsyncServerRow *row)
{
	OidList    *list = arg;

	if (list->count == MAX_ATTRIBUTES)
		medsync_cannot_check("a type of the server has too many attributes");
	list->items[list->count++] = to_oid(row->values[0]);
}

/* The codec of what a type holds; false when there is none. */
static bool
load_element(MedsyncTypeTree *tree, TypeNode *node, CodecKind kind,
			 Oid element, int depth)
{
	node->codec.kind = kind;
	node->codec.element =
		unconstify(MedsyncTextCodec *, load_type(tree, element, depth + 1));
	return node->codec.element != NULL;
}

static bool
load_attributes(MedsyncTypeTree *tree, TypeNode *node, Oid relation, int depth)
{
	MedsyncTextCodec *codec = &node->codec;
	Oid			oids[MAX_ATTRIBUTES];
	OidList		list = {oids, 0};
	char	   *sql = psprintf("SELECT a.atttypid FROM pg_catalog.pg_attribute AS a"
							   " WHERE a.attrelid = %u AND a.attnum > 0"
							   " AND NOT a.attisdropped ORDER BY a.attnum",
							   relation);
	int			i;

	medsync_server_query(tree->server, sql, 1, false, take_oid, &list, NULL);
	pfree(sql);
	codec->kind = KIND_COMPOSITE;
	codec->attribute_count = list.count;
	codec->attributes = pg_malloc0(sizeof(MedsyncTextCodec *) *
								   (list.count + 1));
	for (i = 0; i < list.count; i++)
	{
		codec->attributes[i] =
			unconstify(MedsyncTextCodec *,
					   load_type(tree, oids[i], depth + 1));
		if (codec->attributes[i] == NULL)
			return false;
	}
	return true;
}

/* Find out how a type that is not built in, or holds others, is printed. */
static bool
load_shape(MedsyncTypeTree *tree, TypeNode *node, int depth)
{
	TypeRow		type;

	read_type(tree, node->codec.type, &type);
	if (!type.found)
		return false;
	switch (type.kind)
	{
		case TYPTYPE_DOMAIN:
			node->base = type.base;
			return load_type(tree, type.base, depth + 1) != NULL;
		case TYPTYPE_ENUM:
			node->codec.kind = KIND_ENUM;
			return true;
		case TYPTYPE_RANGE:
			return load_element(tree, node, KIND_RANGE, type.subtype, depth);
		case TYPTYPE_MULTIRANGE:
			return load_element(tree, node, KIND_MULTIRANGE, type.range,
								depth) &&
				node->codec.element->kind == KIND_RANGE;
		case TYPTYPE_COMPOSITE:
			return load_attributes(tree, node, type.relation, depth);
		default:
			if (type.element != InvalidOid)
			{
				node->codec.delimiter = type.delimiter;
				return load_element(tree, node, KIND_ARRAY, type.element,
									depth);
			}
			node->codec.kind = KIND_OUTPUT;
			return true;
	}
}

/* The codec of a type; its node is kept even where there is none. */
static const MedsyncTextCodec *
load_type(MedsyncTypeTree *tree, Oid type, int depth)
{
	TypeNode   *node = find_node(tree, type);
	SettingsUse settings;

	if (node == NULL)
	{
		if (depth > MAX_VALUE_DEPTH)
			return NULL;
		node = add_node(tree, type);
		node->loading = true;
		node->usable = medsync_builtin_kind(type, &node->codec.kind,
											&settings) ||
			load_shape(tree, node, depth);
		node->loading = false;
	}
	if (node->loading || !node->usable)
		return NULL;
	return node->base != InvalidOid ? load_type(tree, node->base, depth) :
		&node->codec;
}

const MedsyncTextCodec *
medsync_type_tree_codec(MedsyncTypeTree *tree, Oid type)
{
	return load_type(tree, type, 1);
}
