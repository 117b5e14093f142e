/*-------------------------------------------------------------------------
 *
 * log.c
 *		Mode log: a public export, every tile and every entry of it.
 *
 * A directory in the layout of C2SP tlog-tiles.  The checkpoint's root
 * vouches for the last, partial tiles of all levels together, each of their
 * hashes for a full tile below, and each hash of level 0 for an entry.  So
 * the tree is walked from the top down, every file is read once and what was
 * changed is named exactly.  What is compared with the remembered checkpoint
 * is made of the bytes that this walk has seen.  Where a tile is missing or is not what the one
 * above says, the part of the tree under it is computed from the entries
 * instead: if that gives the hash wanted, only the tile was damaged.
 *
 * Memory: a tile of each level, and twice 64 kB of tree where something is
 * wrong.  Files come from whoever is being checked: they are opened without
 * following links on any step and without waiting, must be regular and have exactly the
 * size that they should, and a long stretch of missing ones ends the search.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "medsync_verify.h"

#define LOG_ENTRY_SIZE		(2 + MEDSYNC_LEAF_SIZE) /* u16 length, leaf data */
#define LOG_BUNDLE_SIZE		(MEDSYNC_TILE_WIDTH * LOG_ENTRY_SIZE)
#define MISSING_ENTRIES_MAX	(1024 * 1024)	/* in one stretch, then give up */

/* How a directory on the way to a file is opened */
#ifdef O_PATH
#define STEP_FLAGS			O_PATH
#else
#define STEP_FLAGS			O_RDONLY
#endif

#define LEVEL_ENTRIES		(-1)	/* where a path needs a level */

/* What reading a file came to */
typedef enum FileResult
{
	FILE_READ,
	FILE_ABSENT,
	FILE_ODD					/* there, and not as it should be */
} FileResult;

/* Part of the tree that is computed from its entries */
typedef struct Rebuild
{
	MedsyncLog *log;
	uint64		first;			/* its first leaf, a multiple of its size */
	uint64		count;			/* leaves */
	MedsyncTree by_entries;		/* by the entries, where there are any */
	MedsyncTree by_tiles;		/* by level 0, where there is any */
	uint64		differences;	/* entries that are not those of the tiles */
	uint64		first_difference;
	bool		complete;		/* a hash is known of each leaf */
} Rebuild;

/* ---- files ---- */

/* "tile/0/x001/234", with ".p/5" where it is partial. */
static void
format_path(char *path, size_t size, int level, uint64 n, int width)
{
	char		number[32];
	char		groups[48] = "";
	int			len = snprintf(number, sizeof(number), UINT64_FORMAT, n);
	int			padded = (len + 2) / 3 * 3;
	int			i;
	char	   *p = groups;

	snprintf(number, sizeof(number), "%0*llu", padded, (unsigned long long) n);
	for (i = 0; i < padded; i += 3)
	{
		if (i + 3 < padded)
			*p++ = 'x';
		memcpy(p, number + i, 3);
		p += 3;
		*p++ = '/';
	}
	p[-1] = '\0';
	if (level == LEVEL_ENTRIES)
		len = snprintf(path, size, "tile/entries/%s", groups);
	else
		len = snprintf(path, size, "tile/%d/%s", level, groups);
	if (width < MEDSYNC_TILE_WIDTH)
		snprintf(path + len, size - len, ".p/%d", width);
}

/* Note why the file read last was no good. */
static FileResult
odd_file(MedsyncLog *log, const char *path, const char *what)
{
	snprintf(log->problem, sizeof(log->problem), "File \"%s\" %s.", path,
			 what);
	return FILE_ODD;
}

static bool
read_fully(int fd, uint8 *data, size_t len)
{
	while (len > 0)
	{
		ssize_t		got = read(fd, data, len);

		if (got == 0)
			errno = EIO;		/* it became shorter */
		if (got <= 0)
			return false;
		data += got;
		len -= got;
	}
	return true;
}

/*
 * Open a file below the export's directory, step by step: a symbolic link on
 * the way could lead anywhere, also to the same place for ever.
 */
static int
open_below(MedsyncLog *log, const char *path)
{
	int			directory = log->fd;
	const char *slash;
	int			fd;
	int			save_errno;

	while ((slash = strchr(path, '/')) != NULL)
	{
		char	   *step = pnstrdup(path, slash - path);

		fd = openat(directory, step, STEP_FLAGS | O_DIRECTORY | O_NOFOLLOW);
		save_errno = errno;
		pfree(step);
		if (directory != log->fd)
			close(directory);
		errno = save_errno;
		if (fd < 0)
			return -1;
		directory = fd;
		path = slash + 1;
	}
	fd = openat(directory, path,
				O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	save_errno = errno;
	if (directory != log->fd)
		close(directory);
	errno = save_errno;
	return fd;
}

/* Open a file of the export; -1 where there is none, or no proper one. */
static int
open_file(MedsyncLog *log, const char *path, struct stat *status,
		  FileResult *result)
{
	int			fd = open_below(log, path);

	if (fd < 0 && errno == ENOENT)
	{
		*result = odd_file(log, path, "is missing");
		*result = FILE_ABSENT;
		return -1;
	}
	/* ENXIO is a socket's, ELOOP a symbolic link's, or ENOTDIR on the way */
	if (fd < 0 && errno == ENOTDIR)
	{
		*result = odd_file(log, path, "is not reached by directories alone");
		return -1;
	}
	if (fd < 0 && errno != ELOOP && errno != ENXIO)
		medsync_cannot_check("could not open file \"%s/%s\": %s",
							 log->directory, path, strerror(errno));
	if (fd >= 0 && fstat(fd, status) != 0)
		medsync_cannot_check("could not look at file \"%s/%s\": %s",
							 log->directory, path, strerror(errno));
	if (fd < 0 || !S_ISREG(status->st_mode))
	{
		if (fd >= 0)
			close(fd);
		*result = odd_file(log, path, "is not a regular file");
		return -1;
	}
	return fd;
}

/* Read the first len bytes of a file that must be size bytes long. */
static FileResult
read_file(MedsyncLog *log, const char *path, size_t size, uint8 *data,
		  size_t len)
{
	FileResult	result = FILE_READ;
	struct stat status;
	int			fd = open_file(log, path, &status, &result);

	if (fd < 0)
		return result;
	if (status.st_size != (off_t) size)
	{
		char		what[80];

		snprintf(what, sizeof(what), "has %lld bytes instead of %zu",
				 (long long) status.st_size, size);
		result = odd_file(log, path, what);
	}
	else if (!read_fully(fd, data, len))
		medsync_cannot_check("could not read file \"%s/%s\": %s",
							 log->directory, path, strerror(errno));
	close(fd);
	return result;
}

/*
 * Read the first "width" pieces of a tile or bundle.  Its partial file is
 * the one of that very width; where it is gone the full one will do.
 */
static bool
read_pieces(MedsyncLog *log, int level, uint64 n, int width, size_t piece,
			uint8 *data)
{
	char		path[64];
	FileResult	result;

	if (width < MEDSYNC_TILE_WIDTH)
	{
		format_path(path, sizeof(path), level, n, width);
		result = read_file(log, path, width * piece, data, width * piece);
		if (result != FILE_ABSENT)
			return result == FILE_READ;
	}
	format_path(path, sizeof(path), level, n, MEDSYNC_TILE_WIDTH);
	result = read_file(log, path, MEDSYNC_TILE_WIDTH * piece, data,
					   width * piece);
	if (result == FILE_ABSENT && width < MEDSYNC_TILE_WIDTH)
	{
		format_path(path, sizeof(path), level, n, width);
		(void) odd_file(log, path, "is missing");
	}
	return result == FILE_READ;
}

static bool
read_tile(MedsyncLog *log, int level, uint64 n, int width, uint8 *hashes)
{
	return read_pieces(log, level, n, width, MEDSYNC_HASH_SIZE, hashes);
}

/* For the tile reader of merkle.h. */
static bool
fetch_tile(void *arg, int level, uint64 tile, int width, uint8 *hashes)
{
	return read_tile(arg, level, tile, width, hashes);
}

/*
 * Read a bundle of entries and hash each.  From the first one on that is not
 * as long as ours are no bounds are known: their hashes are all zero.
 */
static bool
read_bundle(MedsyncLog *log, uint64 n, int width, uint8 *hashes)
{
	uint8		bundle[LOG_BUNDLE_SIZE];
	int			i;

	if (!read_pieces(log, LEVEL_ENTRIES, n, width, LOG_ENTRY_SIZE, bundle))
		return false;
	memset(hashes, 0, width * MEDSYNC_HASH_SIZE);
	for (i = 0; i < width; i++)
	{
		const uint8 *entry = bundle + i * LOG_ENTRY_SIZE;

		if (entry[0] != 0 || entry[1] != MEDSYNC_LEAF_SIZE)
			break;
		medsync_merkle_leaf_hash(entry + 2, MEDSYNC_LEAF_SIZE,
								 hashes + i * MEDSYNC_HASH_SIZE);
	}
	return true;
}

/* How many leaves the nth tile of level 0 has. */
static int
leaf_tile_width(const MedsyncLog *log, uint64 n)
{
	return (int) Min(log->checkpoint.size - n * MEDSYNC_TILE_WIDTH,
					 MEDSYNC_TILE_WIDTH);
}

/* ---- findings ---- */

static MedsyncPlace
entry_place(uint64 index)
{
	MedsyncPlace place = MEDSYNC_NO_PLACE;

	place.index = (int64) index;
	return place;
}

/* A stretch of missing entries ends: before other entries, or as the last. */
static void
end_missing(MedsyncLog *log)
{
	uint64		end = log->missing_from + log->missing_count;
	bool		at_end = end == log->checkpoint.size;

	if (log->missing_count == 0)
		return;
	log->holds = false;
	medsync_report_finding(MEDSYNC_ERROR,
						   at_end ? "truncated" : "entry_missing",
						   entry_place(log->missing_from), NULL, NULL,
						   UINT64_FORMAT " entries%s are not there. %s",
						   log->missing_count,
						   log->gave_up ? " or more" : "",
						   log->missing_problem);
	log->missing_count = 0;
}

/* The bundle read last, with so many entries, could not be read. */
static void
note_missing(MedsyncLog *log, uint64 n, int width)
{
	uint64		index = n * MEDSYNC_TILE_WIDTH;

	if (log->missing_count > 0 &&
		log->missing_from + log->missing_count != index)
		end_missing(log);
	if (log->missing_count == 0)
	{
		log->missing_from = index;
		strlcpy(log->missing_problem, log->problem, sizeof(log->missing_problem));
	}
	log->missing_count += width;
	if (log->missing_count >= MISSING_ENTRIES_MAX)
		log->gave_up = true;
}

static void
report_tile(MedsyncLog *log, int level, uint64 n, int width,
			const char *problem)
{
	char		path[64];

	log->holds = false;
	format_path(path, sizeof(path), level, n, width);
	medsync_report_finding(MEDSYNC_ERROR, "block_altered", MEDSYNC_NO_PLACE,
						   NULL, NULL, "%s",
						   problem ? problem :
						   psprintf("File \"%s\" is not the tree's.", path));
}

/* Does a computed tile stand in its file?  If not, report it. */
static void
compare_tile(MedsyncLog *log, int level, uint64 n, int width,
			 const uint8 *hashes)
{
	uint8		stored[MEDSYNC_TILE_SIZE];

	if (!read_tile(log, level, n, width, stored))
		report_tile(log, level, n, width, log->problem);
	else if (memcmp(stored, hashes, width * MEDSYNC_HASH_SIZE) != 0)
		report_tile(log, level, n, width, NULL);
}

/* ---- entries against their hashes ---- */

static void
count_entries(MedsyncLog *log, int count)
{
	medsync_summary.entries += count;
	medsync_progress("entries of the log", medsync_summary.entries,
					 (int64) log->checkpoint.size);
}

/* Which hash of two rows is the first to differ; width: none. */
static int
first_difference(const uint8 *a, const uint8 *b, int width, int *count)
{
	int			first = width;
	int			i;

	*count = 0;
	if (memcmp(a, b, width * MEDSYNC_HASH_SIZE) == 0)
		return width;
	for (i = width - 1; i >= 0; i--)
		if (memcmp(a + i * MEDSYNC_HASH_SIZE, b + i * MEDSYNC_HASH_SIZE,
				   MEDSYNC_HASH_SIZE) != 0)
		{
			first = i;
			(*count)++;
		}
	return first;
}

/* Are the entries of a bundle those whose hashes the tree has? */
static void
compare_bundle(MedsyncLog *log, uint64 n, int width, const uint8 *expected,
			   const uint8 *hashes)
{
	int			count;
	int			first = first_difference(expected, hashes, width, &count);

	count_entries(log, width);
	if (count > 0)
	{
		char		path[64];

		log->holds = false;
		format_path(path, sizeof(path), LEVEL_ENTRIES, n, width);
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered",
							   entry_place(n * MEDSYNC_TILE_WIDTH + first),
							   medsync_hex(expected + first * MEDSYNC_HASH_SIZE,
										   MEDSYNC_HASH_SIZE),
							   medsync_hex(hashes + first * MEDSYNC_HASH_SIZE,
										   MEDSYNC_HASH_SIZE),
							   "Entries of file \"%s\" are not those of the tree: %d, this one the first.",
							   path, count);
	}
}

static void
check_bundle(MedsyncLog *log, uint64 n, int width, const uint8 *expected)
{
	uint8		hashes[MEDSYNC_TILE_SIZE];

	if (!read_bundle(log, n, width, hashes))
		note_missing(log, n, width);
	else
	{
		end_missing(log);
		compare_bundle(log, n, width, expected, hashes);
	}
}

/* ---- a part of the tree from its entries ---- */

static void
no_sink(void *arg, int level, uint64 tile, const uint8 *hashes)
{
}

static void
free_tree(MedsyncTree *tree)
{
	int			level;

	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
		pfree(tree->edge[level]);
}

/* Add one tile of level 0, by what there is of it. */
static void
rebuild_add(Rebuild *rebuild, uint64 n)
{
	MedsyncLog *log = rebuild->log;
	uint8		by_entries[MEDSYNC_TILE_SIZE];
	uint8		by_tile[MEDSYNC_TILE_SIZE];
	int			width = leaf_tile_width(log, n);
	bool		have_tile = read_tile(log, 0, n, width, by_tile);
	bool		have_entries = read_bundle(log, n, width, by_entries);
	int			i;

	if (have_entries)
		end_missing(log);
	else
		note_missing(log, n, width);
	if (!have_entries && !have_tile)
	{
		rebuild->complete = false;
		return;
	}
	if (have_entries && have_tile)
	{
		int			count;
		int			first = first_difference(by_tile, by_entries, width,
											 &count);

		if (rebuild->differences == 0 && count > 0)
			rebuild->first_difference = n * MEDSYNC_TILE_WIDTH + first;
		rebuild->differences += count;
	}
	for (i = 0; i < width; i++)
	{
		const uint8 *entry = by_entries + i * MEDSYNC_HASH_SIZE;
		const uint8 *leaf = by_tile + i * MEDSYNC_HASH_SIZE;

		medsync_tree_append(&rebuild->by_entries, have_entries ? entry : leaf,
							no_sink, NULL);
		medsync_tree_append(&rebuild->by_tiles, have_tile ? leaf : entry,
							no_sink, NULL);
	}
}

/* A tile of the part became full: compare it with its file. */
static void
compare_rebuilt_tile(void *arg, int level, uint64 tile, const uint8 *hashes)
{
	Rebuild    *rebuild = arg;
	int			shift = 8 * (level + 1);

	if (shift < 64)
		tile += rebuild->first >> shift;
	compare_tile(rebuild->log, level, tile, MEDSYNC_TILE_WIDTH, hashes);
}

/* The partial tiles of all levels, once the whole tree was computed. */
static void
compare_edges(MedsyncLog *log, const MedsyncTree *tree)
{
	uint64		size = log->checkpoint.size;
	int			level;

	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
		if (medsync_tree_edge_width(size, level) > 0)
			compare_tile(log, level, medsync_tree_edge_tile(size, level),
						 medsync_tree_edge_width(size, level),
						 tree->edge[level]);
}

/*
 * The hashes of the leaves are known to be right, those of the entries or
 * those of the tiles: go through the part once more and name what differs.
 */
static void
name_what_differs(Rebuild *rebuild, bool entries_are_right)
{
	MedsyncLog *log = rebuild->log;
	uint64		first = rebuild->first / MEDSYNC_TILE_WIDTH;
	uint64		end = first + (rebuild->count + MEDSYNC_TILE_WIDTH - 1) /
		MEDSYNC_TILE_WIDTH;
	MedsyncTree tree;
	uint64		n;

	medsync_tree_init(&tree);
	for (n = first; n < end; n++)
	{
		uint8		tile[MEDSYNC_TILE_SIZE];
		uint8		entries[MEDSYNC_TILE_SIZE];
		int			width = leaf_tile_width(log, n);
		bool		have_tile = read_tile(log, 0, n, width, tile);
		bool		have_entries = read_bundle(log, n, width, entries);
		bool		use_entries = have_entries &&
			(entries_are_right || !have_tile);
		const uint8 *right = use_entries ? entries : tile;
		int			i;

		if (have_entries)
			compare_bundle(log, n, width, right, entries);
		for (i = 0; i < width && (have_entries || have_tile); i++)
			medsync_tree_append(&tree, right + i * MEDSYNC_HASH_SIZE,
								compare_rebuilt_tile, rebuild);
	}
	if (rebuild->first == 0 && rebuild->count == log->checkpoint.size)
		compare_edges(log, &tree);
	free_tree(&tree);
}

/* Neither the entries nor the tiles give the hash wanted. */
static void
report_unknown_change(const Rebuild *rebuild, const uint8 *expected,
					  const uint8 *found)
{
	MedsyncPlace place = MEDSYNC_NO_PLACE;
	const char *what = rebuild->count == rebuild->log->checkpoint.size ?
		"the signed root" : "the hash that the tree has for them";

	rebuild->log->holds = false;
	medsync_summary.entries += rebuild->count;
	if (rebuild->differences > 0)
	{
		place.index = (int64) rebuild->first_difference;
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered", place,
							   medsync_hex(expected, MEDSYNC_HASH_SIZE),
							   medsync_hex(found, MEDSYNC_HASH_SIZE),
							   "Entries " UINT64_FORMAT " to " UINT64_FORMAT " do not give %s. " UINT64_FORMAT " of them are not those of the tiles, this one the first.",
							   rebuild->first,
							   rebuild->first + rebuild->count - 1, what,
							   rebuild->differences);
	}
	else
		medsync_report_finding(MEDSYNC_ERROR, "entry_altered", place,
							   medsync_hex(expected, MEDSYNC_HASH_SIZE),
							   medsync_hex(found, MEDSYNC_HASH_SIZE),
							   "Entries " UINT64_FORMAT " to " UINT64_FORMAT " do not give %s. Which of them was changed cannot be told, since tiles were changed with them.",
							   rebuild->first,
							   rebuild->first + rebuild->count - 1, what);
}

/* Compute a part of the tree from its entries; expected is its root. */
static void
compute_part(MedsyncLog *log, uint64 first, uint64 count,
			 const uint8 *expected)
{
	Rebuild		rebuild = {0};
	uint8		by_entries[MEDSYNC_HASH_SIZE];
	uint8		by_tiles[MEDSYNC_HASH_SIZE];
	uint64		n;

	rebuild.log = log;
	rebuild.first = first;
	rebuild.count = count;
	rebuild.complete = true;
	medsync_tree_init(&rebuild.by_entries);
	medsync_tree_init(&rebuild.by_tiles);
	for (n = first / MEDSYNC_TILE_WIDTH;
		 n * MEDSYNC_TILE_WIDTH < first + count && !log->gave_up; n++)
		rebuild_add(&rebuild, n);
	medsync_tree_root(&rebuild.by_entries, by_entries);
	medsync_tree_root(&rebuild.by_tiles, by_tiles);
	if (log->gave_up || !rebuild.complete)
	{
		end_missing(log);
		medsync_report_finding(MEDSYNC_ERROR, "block_altered",
							   MEDSYNC_NO_PLACE, NULL, NULL,
							   "Tiles over entries " UINT64_FORMAT " to " UINT64_FORMAT " are missing or changed, and cannot be computed.",
							   first, first + count - 1);
	}
	else if (memcmp(by_entries, expected, MEDSYNC_HASH_SIZE) == 0)
		name_what_differs(&rebuild, true);
	else if (memcmp(by_tiles, expected, MEDSYNC_HASH_SIZE) == 0)
		name_what_differs(&rebuild, false);
	else
		report_unknown_change(&rebuild, expected, by_entries);
	free_tree(&rebuild.by_entries);
	free_tree(&rebuild.by_tiles);
}

/*
 * The same for a part that was found wrong.  If nothing is wrong with it now,
 * the files were replaced meanwhile.
 */
static void
rebuild_part(MedsyncLog *log, uint64 first, uint64 count,
			 const uint8 *expected)
{
	int64		errors = medsync_summary.errors;

	compute_part(log, first, count, expected);
	if (medsync_summary.errors == errors && log->missing_count == 0)
		medsync_cannot_check("\"%s\" changed while it was read",
							 log->directory);
}

/* ---- the walk from the top ---- */

/*
 * A tile of which the checkpoint vouches was read.  Where it holds the edge
 * of the tree as it was at a remembered size, keep that: it must come from
 * these very bytes, since the files can be others when they are read again.
 */
static void
keep_remembered(MedsyncLog *log, int level, uint64 n, const uint8 *hashes)
{
	int			i;

	for (i = 0; i < MEDSYNC_REMEMBERED_MAX; i++)
	{
		const MedsyncTree *tree = &log->remembered[i];

		if (tree->size > 0 && medsync_tree_edge_tile(tree->size, level) == n)
			memcpy(tree->edge[level], hashes,
				   medsync_tree_edge_width(tree->size, level) *
				   MEDSYNC_HASH_SIZE);
	}
}

/* The hash that stands for a full tile in the one above. */
static void
full_tile_root(const uint8 *hashes, uint8 *root)
{
	MedsyncTree half = {0};
	uint8		left[MEDSYNC_HASH_SIZE];
	uint8		right[MEDSYNC_HASH_SIZE];

	half.size = MEDSYNC_TILE_WIDTH / 2;
	half.edge[0] = unconstify(uint8 *, hashes);
	medsync_tree_root(&half, left);
	half.edge[0] += MEDSYNC_TILE_SIZE / 2;
	medsync_tree_root(&half, right);
	medsync_merkle_node_hash(left, right, root);
}

/* Check a full tile, which must have this hash, and all that is under it. */
static void
walk_tile(MedsyncLog *log, int level, uint64 n, const uint8 *expected)
{
	uint8		hashes[MEDSYNC_TILE_SIZE];
	uint8		root[MEDSYNC_HASH_SIZE];
	int			i;

	if (log->gave_up)
		return;
	if (read_tile(log, level, n, MEDSYNC_TILE_WIDTH, hashes))
	{
		full_tile_root(hashes, root);
		if (memcmp(root, expected, MEDSYNC_HASH_SIZE) == 0)
		{
			keep_remembered(log, level, n, hashes);
			if (level == 0)
				check_bundle(log, n, MEDSYNC_TILE_WIDTH, hashes);
			for (i = 0; level > 0 && i < MEDSYNC_TILE_WIDTH; i++)
				walk_tile(log, level - 1, n * MEDSYNC_TILE_WIDTH + i,
						  hashes + i * MEDSYNC_HASH_SIZE);
			return;
		}
	}
	rebuild_part(log, n << (8 * (level + 1)),
				 UINT64CONST(1) << (8 * (level + 1)), expected);
}

/* All that stands under the partial tiles, leaf after leaf. */
static void
walk_edges(MedsyncLog *log, const MedsyncTree *edges)
{
	uint64		size = log->checkpoint.size;
	int			level;
	int			i;

	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
		if (medsync_tree_edge_width(size, level) > 0)
			keep_remembered(log, level, medsync_tree_edge_tile(size, level),
							edges->edge[level]);
	for (level = MEDSYNC_TILE_LEVELS - 1; level > 0; level--)
		for (i = 0; i < medsync_tree_edge_width(size, level); i++)
			walk_tile(log, level - 1,
					  medsync_tree_edge_tile(size, level) *
					  MEDSYNC_TILE_WIDTH + i,
					  edges->edge[level] + i * MEDSYNC_HASH_SIZE);
	if (medsync_tree_edge_width(size, 0) > 0 && !log->gave_up)
		check_bundle(log, medsync_tree_edge_tile(size, 0),
					 medsync_tree_edge_width(size, 0), edges->edge[0]);
}

/*
 * Read the tree's edge at a size, up to that of the log; false where a tile
 * of it cannot be read.
 */
bool
medsync_log_edges(MedsyncLog *log, uint64 size, MedsyncTree *tree)
{
	int			level;

	tree->size = size;
	for (level = 0; level < MEDSYNC_TILE_LEVELS; level++)
	{
		uint64		n = medsync_tree_edge_tile(size, level);
		uint64		hashes = log->checkpoint.size >> (8 * level);
		uint8		tile[MEDSYNC_TILE_SIZE];
		int			width = medsync_tree_edge_width(size, level);

		if (width == 0)
			continue;
		/* at a smaller size the tile is partial, and has grown since */
		if (!read_tile(log, level, n,
					   (int) Min(hashes - n * MEDSYNC_TILE_WIDTH,
								 MEDSYNC_TILE_WIDTH), tile))
			return false;
		memcpy(tree->edge[level], tile, width * MEDSYNC_HASH_SIZE);
	}
	return true;
}

/* Make room for the edges at the remembered sizes that are within the log. */
static void
begin_remembered(MedsyncLog *log)
{
	MedsyncRemembered known[MEDSYNC_REMEMBERED_MAX];
	int			count = medsync_checkpoint_remembered(known);
	int			i;

	for (i = 0; i < MEDSYNC_REMEMBERED_MAX; i++)
	{
		medsync_tree_init(&log->remembered[i]);
		if (i < count && known[i].size < log->checkpoint.size)
			log->remembered[i].size = known[i].size;
	}
}

/* Does the tree go on from those that are remembered? */
static void
compare_with_state(MedsyncLog *log)
{
	MedsyncRemembered known[MEDSYNC_REMEMBERED_MAX];
	int			count = medsync_checkpoint_remembered(known);
	int			i;

	/* of a damaged tree nothing can be said; of other sizes it was */
	for (i = 0; i < count && log->holds; i++)
	{
		uint8		root[MEDSYNC_HASH_SIZE];

		if (known[i].size >= log->checkpoint.size)
			continue;
		medsync_tree_root(&log->remembered[i], root);
		if (memcmp(root, known[i].root, MEDSYNC_HASH_SIZE) != 0)
			medsync_checkpoint_forked(&known[i], root);
	}
}

/* Read the whole export and report what is not as the checkpoint says. */
void
medsync_log_verify(MedsyncLog *log)
{
	MedsyncTree edges;
	uint8		root[MEDSYNC_HASH_SIZE];

	log->holds = true;
	medsync_tree_init(&edges);
	begin_remembered(log);
	if (medsync_log_edges(log, log->checkpoint.size, &edges))
		medsync_tree_root(&edges, root);
	else
		memset(root, 0, sizeof(root));
	if (memcmp(root, log->checkpoint.root, MEDSYNC_HASH_SIZE) == 0)
		walk_edges(log, &edges);
	else if (log->checkpoint.size == 0)
		medsync_report_finding(MEDSYNC_ERROR, "block_altered",
							   MEDSYNC_NO_PLACE,
							   medsync_hex(root, MEDSYNC_HASH_SIZE),
							   medsync_hex(log->checkpoint.root,
										   MEDSYNC_HASH_SIZE),
							   "The root of the empty tree is another.");
	else
		rebuild_part(log, 0, log->checkpoint.size, log->checkpoint.root);
	end_missing(log);
	free_tree(&edges);
	compare_with_state(log);
}

/* Read the directory's checkpoint into memory. */
static char *
read_checkpoint(MedsyncLog *log, size_t *len)
{
	FileResult	result = FILE_READ;
	struct stat status;
	char	   *text;
	int			fd = open_file(log, "checkpoint", &status, &result);

	if (fd < 0)
		medsync_cannot_check("\"%s\" is not a public export. %s",
							 log->directory, log->problem);
	if (status.st_size > MEDSYNC_NOTE_MAX)
		medsync_cannot_check("the checkpoint in \"%s\" is longer than %d bytes",
							 log->directory, MEDSYNC_NOTE_MAX);
	*len = (size_t) status.st_size;
	text = palloc(*len + 1);
	if (!read_fully(fd, (uint8 *) text, *len))
		medsync_cannot_check("could not read file \"%s/checkpoint\": %s",
							 log->directory, strerror(errno));
	close(fd);
	return text;
}

/* Open an export and check its checkpoint; false where that is no good. */
bool
medsync_log_open(const MedsyncOptions *options, MedsyncLog *log)
{
	size_t		len;
	char	   *text;

	memset(log, 0, sizeof(*log));
	log->directory = options->log_dir;
	log->fd = open(options->log_dir, O_RDONLY | O_DIRECTORY);
	if (log->fd < 0)
		medsync_cannot_check("could not open directory \"%s\": %s",
							 options->log_dir, strerror(errno));
	text = read_checkpoint(log, &len);
	if (!medsync_checkpoint_check(options, MEDSYNC_OF_LOG, text, len,
								  &log->checkpoint))
		return false;
	medsync_tiles_open(&log->tiles, log->checkpoint.size, fetch_tile, log);
	return true;
}

/* Mode log. */
void
medsync_verify_log(const MedsyncOptions *options)
{
	static MedsyncLog log;

	if (medsync_log_open(options, &log))
		medsync_log_verify(&log);
}
