/*-------------------------------------------------------------------------
 *
 * export.c
 *		The public export: checkpoint, tiles and entry bundles as files.
 *
 * The layout is that of C2SP tlog-tiles, so that any static web server can
 * serve the directory and any client of that standard read it.  What is
 * published are leaf data and hashes: nothing in it can be read, or matched
 * against a guess, without the salts that stay here.
 *
 * export() continues a directory that holds an earlier state of the same
 * log.  Every file is written under another name and renamed; when all are on
 * the disk the checkpoint is, last.  After a crash the old checkpoint stands,
 * and what was written past it is written again.  A partial tile stays until
 * the full one has been published.  Two exports to one directory exclude
 * each other by flock on its marker file.
 *
 * No bundle goes out whose entries do not hash to the tree, and no tree that
 * does not have the checkpoint's root: a damaged ledger is an error, and the
 * directory's checkpoint stays as it was.  Nothing is stored but the note of
 * a block that was not signed yet.  On a standby what was signed is exported.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/table.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/tuplestore.h"

#include "common/catalog.h"
#include "common/errors.h"
#include "ledger/order.h"
#include "proofs/checkpoint.h"
#include "proofs/file.h"
#include "proofs/tiles.h"

#define MARKER			".medsync-export"
#define MARKER_MODE		(S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH)
#define TILE_PATH_MAX	96
#define BUNDLE_ENTRY	(2 + MEDSYNC_LEAF_SIZE) /* u16 length, leaf data */
#define BUNDLE_MAX		(MEDSYNC_TILE_WIDTH * BUNDLE_ENTRY)
#define ENTRIES_LEVEL	(-1)	/* "entries" instead of a tile's level */

/* Called with each file, its path relative to the log */
typedef void (*FileSink) (void *arg, const char *path, const void *content,
						  size_t len);

/* One export */
typedef struct Export
{
	FileSink	sink;
	void	   *arg;
	MedsyncSignedCheckpoint checkpoint;
	uint64		from;			/* full tiles that end here or before are left out */
	uint64		published;		/* partial tiles up to this size are there */
	Snapshot	snapshot;
	MedsyncStoredTree *tree;
	bool		widths[MEDSYNC_TILE_LEVELS][MEDSYNC_TILE_WIDTH];	/* of partial tiles to write */

	/* the bundle being filled */
	StringInfoData scratch;
	uint64		bundle;			/* its number */
	int			filled;
	uint8		content[BUNDLE_MAX];
	uint8		tile[MEDSYNC_TILE_SIZE];	/* the hashes that it must have */
} Export;

/* A directory being written */
typedef struct Directory
{
	char	   *path;
	char	   *made;			/* last subdirectory made */
	int			lock;			/* of its marker file */
	uint64		old_size;		/* of the checkpoint it had, or 0 */
} Directory;

PG_FUNCTION_INFO_V1(medsync_export);
PG_FUNCTION_INFO_V1(medsync_export_files);

/* Path of a tile or bundle (C2SP tlog-tiles); width 256 for a full one. */
static void
tile_path(char *path, int level, uint64 tile, int width)
{
	char		number[64];
	char		suffix[16] = "";
	int			start = sizeof(number) - 1;

	number[start] = '\0';
	for (bool last = true;; last = false)
	{
		char		group[8];

		snprintf(group, sizeof(group), last ? "%03d" : "x%03d/",
				 (int) (tile % 1000));
		start -= strlen(group);
		memcpy(number + start, group, strlen(group));
		tile /= 1000;
		if (tile == 0)
			break;
	}
	if (width < MEDSYNC_TILE_WIDTH)
		snprintf(suffix, sizeof(suffix), ".p/%d", width);
	if (level == ENTRIES_LEVEL)
		snprintf(path, TILE_PATH_MAX, "tile/entries/%s%s", number + start,
				 suffix);
	else
		snprintf(path, TILE_PATH_MAX, "tile/%d/%s%s", level, number + start,
				 suffix);
}

/* Note which partial tiles a published size needs that the newest has too. */
static void
note_size(Export *export, uint64 size)
{
	int			level;

	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
		if (medsync_tree_edge_tile(size, level) ==
			medsync_tree_edge_tile(export->checkpoint.size, level))
			export->widths[level][medsync_tree_edge_width(size, level)] = true;
}

/* Read back through the signed checkpoints to those that are there already. */
static void
note_published_sizes(Export *export)
{
	Relation	heap = medsync_open("_checkpoint", AccessShareLock);
	MedsyncScan scan;
	HeapTuple	tuple;

	note_size(export, export->checkpoint.size);
	medsync_scan_begin(&scan, heap, "_checkpoint_pkey", export->snapshot, 0,
					   NULL);
	scan.direction = BackwardScanDirection;
	while ((tuple = medsync_scan_next(&scan)) != NULL)
	{
		bool		isnull;
		Datum		datum = heap_getattr(tuple, Anum_checkpoint_note,
										 RelationGetDescr(heap), &isnull);
		MedsyncNote note;
		MedsyncCheckpoint checkpoint;
		text	   *stored;

		CHECK_FOR_INTERRUPTS();
		if (isnull)
			continue;
		stored = DatumGetTextPP(datum);
		if (!medsync_note_parse(VARDATA_ANY(stored), VARSIZE_ANY_EXHDR(stored),
								&note) ||
			!medsync_checkpoint_parse(note.text, note.text_len, &checkpoint) ||
			checkpoint.size > (uint64) export->checkpoint.size)
			continue;
		if (checkpoint.size <= export->published)
			break;
		note_size(export, checkpoint.size);
	}
	medsync_scan_end(&scan);
	table_close(heap, AccessShareLock);
}

/* The first hashes of a tile, which must be there. */
static void
read_tile(Export *export, int level, uint64 tile, int width, uint8 *hashes)
{
	if (!export->tree->tiles.fetch(export->tree->tiles.arg, level, tile, width,
								   hashes))
		medsync_stored_tree_damaged();
}

/* Hand out the tiles of one level. */
static void
export_level(Export *export, int level)
{
	uint64		size = export->checkpoint.size;
	uint64		edge = medsync_tree_edge_tile(size, level);
	uint64		tile = medsync_tree_edge_tile(export->from, level);
	uint8		hashes[MEDSYNC_TILE_SIZE];
	char		path[TILE_PATH_MAX];
	int			width;

	for (; tile < edge; tile++)
	{
		CHECK_FOR_INTERRUPTS();
		read_tile(export, level, tile, MEDSYNC_TILE_WIDTH, hashes);
		tile_path(path, level, tile, MEDSYNC_TILE_WIDTH);
		export->sink(export->arg, path, hashes, MEDSYNC_TILE_SIZE);
	}
	width = medsync_tree_edge_width(size, level);
	if (width == 0)
		return;
	read_tile(export, level, edge, width, hashes);
	for (; width > 0; width--)
		if (export->widths[level][width])
		{
			tile_path(path, level, edge, width);
			export->sink(export->arg, path, hashes,
						 width * MEDSYNC_HASH_SIZE);
		}
}

static void
damaged_entry(uint64 index)
{
	ereport(ERROR,
			(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
			 errmsg("entry " UINT64_FORMAT " of the ledger does not hash to its tree",
					index),
			 errhint("Run medsync.verify() to see what was changed.")));
}

/* Hand out the bundle that was filled, under each of its widths. */
static void
finish_bundle(Export *export)
{
	char		path[TILE_PATH_MAX];
	int			width = export->filled;

	if (width == MEDSYNC_TILE_WIDTH)
	{
		tile_path(path, ENTRIES_LEVEL, export->bundle, width);
		export->sink(export->arg, path, export->content, BUNDLE_MAX);
	}
	else
	{
		for (; width > 0; width--)
			if (export->widths[0][width])
			{
				tile_path(path, ENTRIES_LEVEL, export->bundle, width);
				export->sink(export->arg, path, export->content,
							 width * BUNDLE_ENTRY);
			}
	}
	export->bundle++;
	export->filled = 0;
}

/* One entry joins its bundle, if the tree has it so. */
static void
export_entry(void *arg, const MedsyncWalkEntry *item)
{
	Export	   *export = arg;
	uint64		index = export->bundle * MEDSYNC_TILE_WIDTH + export->filled;
	uint8	   *place = export->content + export->filled * BUNDLE_ENTRY;
	uint8		hash[MEDSYNC_HASH_SIZE];

	CHECK_FOR_INTERRUPTS();
	if (export->filled == 0)
		read_tile(export, 0, export->bundle,
				  (int) Min(MEDSYNC_TILE_WIDTH,
							export->checkpoint.size - index), export->tile);
	place[0] = 0;
	place[1] = MEDSYNC_LEAF_SIZE;
	medsync_entry_leaf(&export->scratch, item->xact->era->id, item->header,
					   item->entry, place + 2);
	medsync_merkle_leaf_hash(place + 2, MEDSYNC_LEAF_SIZE, hash);
	if (memcmp(hash, export->tile + export->filled * MEDSYNC_HASH_SIZE,
			   MEDSYNC_HASH_SIZE) != 0)
		damaged_entry(index);
	export->filled++;
	if (export->filled == MEDSYNC_TILE_WIDTH)
		finish_bundle(export);
}

static void
export_bundles(Export *export)
{
	uint64		size = export->checkpoint.size;
	uint64		start;
	MedsyncWalk walk;
	bool		complete;

	export->bundle = medsync_tree_edge_tile(export->from, 0);
	start = export->bundle * MEDSYNC_TILE_WIDTH;
	medsync_walk_open(&walk, export->snapshot);
	complete = medsync_order_read(&walk, start, size - start, export_entry,
								  export);
	medsync_walk_close(&walk);
	if (!complete)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("sealed entries of the ledger are missing"),
				 errhint("Run medsync.verify() to see what was changed.")));
	if (export->filled > 0)
		finish_bundle(export);
}

/* Find the checkpoint to export, and the tree it stands for. */
static Export *
begin_export(int64 from_size, FileSink sink, void *arg)
{
	Export	   *export = palloc0(sizeof(Export));
	uint8		root[MEDSYNC_HASH_SIZE];

	if (from_size < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("size must not be negative")));
	export->sink = sink;
	export->arg = arg;
	export->from = from_size;
	initStringInfo(&export->scratch);
	medsync_checkpoint_latest(&export->checkpoint);
	if (from_size > export->checkpoint.size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("size " INT64_FORMAT " is out of range", from_size),
				 errdetail("The signed checkpoint is of size " INT64_FORMAT ".",
						   export->checkpoint.size)));
	export->snapshot = RegisterSnapshot(GetLatestSnapshot());
	export->tree = medsync_stored_tree_open(export->checkpoint.size,
											export->snapshot);
	if (!medsync_tiles_root(&export->tree->tiles, export->checkpoint.size,
							root))
		medsync_stored_tree_damaged();
	if (memcmp(root, export->checkpoint.root, MEDSYNC_HASH_SIZE) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_MEDSYNC_LEDGER_CORRUPTED),
				 errmsg("the ledger's tree is not the one that was signed"),
				 errdetail("The signed checkpoint is of size " INT64_FORMAT ".",
						   export->checkpoint.size),
				 errhint("Run medsync.verify() to see what was changed.")));
	return export;
}

/* All files but the checkpoint. */
static void
export_log(Export *export)
{
	int			level;

	note_published_sizes(export);
	export_bundles(export);
	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
		export_level(export, level);
}

static void
end_export(Export *export)
{
	medsync_stored_tree_close(export->tree);
	UnregisterSnapshot(export->snapshot);
	medsync_checkpoint_store(&export->checkpoint);
}

/* ---- into a directory ---- */

/* A file's path, with the directories on the way to it made. */
static char *
place_of(Directory *directory, const char *path)
{
	char	   *place = psprintf("%s/%s", directory->path, path);
	char	   *parent = pstrdup(place);

	get_parent_directory(parent);
	if (directory->made == NULL || strcmp(parent, directory->made) != 0)
	{
		char	   *slash = place + strlen(directory->path);

		while ((slash = strchr(slash + 1, '/')) != NULL)
		{
			*slash = '\0';
			medsync_file_make_directory(place, false);
			*slash = '/';
		}
		if (directory->made != NULL)
			pfree(directory->made);
		directory->made = parent;
	}
	else
		pfree(parent);
	return place;
}

static void
write_into(void *arg, const char *path, const void *content, size_t len)
{
	Directory  *directory = arg;
	char	   *place = place_of(directory, path);
	MedsyncFile file;

	medsync_file_begin(&file, place);
	medsync_file_put(&file, content, len);
	medsync_file_finish(&file, false);
	pfree(place);
}

/* Read a small file of the directory; NULL if it is not there. */
static char *
read_small(const char *path)
{
	struct stat st;
	char	   *content;
	ssize_t		len;
	int			fd;

	fd = OpenTransientFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | PG_BINARY);
	if (fd < 0 && errno == ENOENT)
		return NULL;
	if (fd < 0 || fstat(fd, &st) != 0)
	{
		medsync_file_refuse_link(path);
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	}
	content = palloc(MEDSYNC_NOTE_MAX + 1);
	len = S_ISREG(st.st_mode) && st.st_size <= MEDSYNC_NOTE_MAX ?
		read(fd, content, MEDSYNC_NOTE_MAX) : 0;
	CloseTransientFile(fd);
	content[Max(len, 0)] = '\0';
	return content;
}

static bool
is_empty_directory(const char *path)
{
	DIR		   *dir = AllocateDir(path);
	struct dirent *entry;
	bool		empty = true;

	while ((entry = ReadDir(dir, path)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			empty = false;
	FreeDir(dir);
	return empty;
}

static void
not_ours(const char *path, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("directory \"%s\" is not empty, and does not hold this log",
					path),
			 errdetail("%s", detail),
			 errhint("Export into an empty directory.")));
}

/* Does a note begin with this origin? */
static bool
same_origin(const MedsyncCheckpoint *checkpoint, const char *note)
{
	return strncmp(note, checkpoint->origin, checkpoint->origin_len) == 0 &&
		note[checkpoint->origin_len] == '\n';
}

/* Does the ledger as it is now contain what a checkpoint stands for? */
static bool
ledger_holds(const MedsyncCheckpoint *checkpoint)
{
	MedsyncBlock *last = medsync_block_last(SnapshotSelf);
	int64		size = last ? last->first_index + last->entry_count : 0;
	MedsyncStoredTree *tree;
	uint8		root[MEDSYNC_HASH_SIZE];
	bool		holds;

	if (checkpoint->size > (uint64) size)
		return false;
	tree = medsync_stored_tree_open(size, SnapshotSelf);
	holds = medsync_tiles_root(&tree->tiles, checkpoint->size, root) &&
		memcmp(root, checkpoint->root, MEDSYNC_HASH_SIZE) == 0;
	medsync_stored_tree_close(tree);
	return holds;
}

/*
 * What a directory has that is not empty: the marker of an export that never
 * got to its end, or a checkpoint of ours that our tree extends.
 */
static void
check_directory(Directory *directory, Export *export)
{
	char	   *path = psprintf("%s/checkpoint", directory->path);
	char	   *note = read_small(path);
	MedsyncCheckpoint old;
	uint8		root[MEDSYNC_HASH_SIZE];

	if (note == NULL)
	{
		char	   *marker = psprintf("%s/%s", directory->path, MARKER);

		if (read_small(marker) == NULL)
			not_ours(directory->path, "It has no checkpoint.");
		return;
	}
	if (!medsync_checkpoint_note_ours(note, strlen(note),
									  medsync_signer_keys(SnapshotSelf, NULL), &old))
		not_ours(directory->path, "Its checkpoint is not signed by this log.");
	if (!same_origin(&old, export->checkpoint.note))
		not_ours(directory->path,
				 psprintf("Its checkpoint is of origin \"%.*s\", under which this ledger does not sign any more.",
						  (int) old.origin_len, old.origin));
	if (old.size > (uint64) export->checkpoint.size && ledger_holds(&old))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("directory \"%s\" has been exported to meanwhile",
						directory->path),
				 errdetail("Its checkpoint is of size " UINT64_FORMAT ".",
						   old.size)));
	if (old.size > (uint64) export->checkpoint.size)
		not_ours(directory->path,
				 psprintf("Its checkpoint is of size " UINT64_FORMAT ", the newest signed one here of size " INT64_FORMAT ".",
						  old.size, export->checkpoint.size));
	if (!medsync_tiles_root(&export->tree->tiles, old.size, root))
		medsync_stored_tree_damaged();
	if (memcmp(root, old.root, MEDSYNC_HASH_SIZE) != 0)
		not_ours(directory->path,
				 psprintf("Its checkpoint of size " UINT64_FORMAT " contradicts this ledger.",
						  old.size));
	directory->old_size = old.size;
}

/* Nobody else exports to this directory while its marker file is locked. */
static void
lock_directory(Directory *directory)
{
	char	   *path = psprintf("%s/%s", directory->path, MARKER);

	directory->lock = OpenTransientFilePerm(path,
											O_CREAT | O_RDWR | O_NOFOLLOW |
											O_NONBLOCK | PG_BINARY,
											MARKER_MODE);
	if (directory->lock < 0 || fchmod(directory->lock, MARKER_MODE) != 0)
	{
		medsync_file_refuse_link(path);
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", path)));
	}
	if (flock(directory->lock, LOCK_EX | LOCK_NB) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("directory \"%s\" is being exported to",
						directory->path)));
}

/* All that was written must be on the disk before the checkpoint is. */
static void
flush_all(Directory *directory)
{
	if (!enableFsync)
		return;
	if (syncfs(directory->lock) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not synchronize file system of \"%s\": %m",
						directory->path)));
}

/* Take away the partial tiles of a tile that is full now. */
static void
remove_partial(Directory *directory, int level, uint64 tile)
{
	char		path[TILE_PATH_MAX];
	char	   *place;
	DIR		   *dir;
	struct dirent *entry;

	tile_path(path, level, tile, MEDSYNC_TILE_WIDTH);
	place = psprintf("%s/%s", directory->path, path);
	if (access(place, F_OK) != 0)
		return;					/* then these are all there is */
	place = psprintf("%s.p", place);
	dir = AllocateDir(place);
	if (dir == NULL)
		return;					/* there were none */
	while ((entry = ReadDirExtended(dir, place, LOG)) != NULL)
		if (entry->d_name[0] != '.')
			(void) unlink(psprintf("%s/%s", place, entry->d_name));
	FreeDir(dir);
	(void) rmdir(place);
}

static void
remove_partials(Directory *directory, uint64 new_size)
{
	int			level;

	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
	{
		uint64		tile = medsync_tree_edge_tile(directory->old_size, level);

		if (tile >= medsync_tree_edge_tile(new_size, level))
			continue;
		remove_partial(directory, level, tile);
		if (level == 0)
			remove_partial(directory, ENTRIES_LEVEL, tile);
	}
}

/* Go on where a directory ends, without a gap. */
static void
continue_directory(const Directory *directory, Export *export)
{
	if (directory->old_size == 0)
		return;
	if (export->from > directory->old_size)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("directory \"%s\" would have a gap", directory->path),
				 errdetail("It ends at size " UINT64_FORMAT ", and " UINT64_FORMAT " was asked for.",
						   directory->old_size, export->from)));
	export->from = export->published = directory->old_size;
}

static void
write_checkpoint(Directory *directory, const char *note)
{
	MedsyncFile file;

	medsync_file_begin(&file, psprintf("%s/checkpoint", directory->path));
	medsync_file_put(&file, note, strlen(note));
	medsync_file_finish(&file, true);
}

/* medsync.export(directory, from_size) */
Datum
medsync_export(PG_FUNCTION_ARGS)
{
	Directory	directory = {0};
	Export	   *export;

	medsync_file_check_caller();
	directory.path = text_to_cstring(PG_GETARG_TEXT_PP(0));
	canonicalize_path(directory.path);
	medsync_file_check_path(directory.path, "an export directory");
	export = begin_export(PG_GETARG_INT64(1), write_into, &directory);
	medsync_file_make_directory(directory.path, true);
	if (!is_empty_directory(directory.path))
		check_directory(&directory, export);
	lock_directory(&directory);

	/* again, now that nobody else can change it */
	check_directory(&directory, export);
	continue_directory(&directory, export);
	export_log(export);
	flush_all(&directory);
	write_checkpoint(&directory,
					 medsync_checkpoint_full_note(&export->checkpoint));
	remove_partials(&directory, export->checkpoint.size);
	CloseTransientFile(directory.lock);
	end_export(export);
	PG_RETURN_INT64(export->checkpoint.size);
}

/* ---- as rows ---- */

static void
put_row(void *arg, const char *path, const void *content, size_t len)
{
	ReturnSetInfo *result = arg;
	bytea	   *bytes = medsync_make_bytea(content, len);
	Datum		values[2];
	bool		isnull[2] = {false, false};

	values[0] = CStringGetTextDatum(path);
	values[1] = PointerGetDatum(bytes);
	tuplestore_putvalues(result->setResult, result->setDesc, values, isnull);
	pfree(bytes);
	pfree(DatumGetPointer(values[0]));
}

/* medsync.export_files(from_size) */
Datum
medsync_export_files(PG_FUNCTION_ARGS)
{
	Export	   *export;
	char	   *note;

	InitMaterializedSRF(fcinfo, 0);
	export = begin_export(PG_GETARG_INT64(0), put_row, fcinfo->resultinfo);
	export->published = export->from;
	export_log(export);
	note = medsync_checkpoint_full_note(&export->checkpoint);
	put_row(fcinfo->resultinfo, "checkpoint", note, strlen(note));
	end_export(export);
	return (Datum) 0;
}
