/*-------------------------------------------------------------------------
 *
 * input.c
 *		Files that the command line names (exports, receipts, keys), and
 *		temporary ones.
 *
 * Whoever is being checked may have put something else in the place of such
 * a file.  It is opened without waiting, and read only if it is a regular
 * file: a pipe or a device could hold the program up for ever.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "medsync_verify.h"

/* Open a regular file, or end with "could not open <what> ..."; its size. */
FILE *
medsync_open_input(const char *path, const char *what, int64 *size)
{
	int			fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat status;
	FILE	   *file;

	if (fd < 0 || fstat(fd, &status) != 0)
		medsync_cannot_check("could not open %s \"%s\": %s", what, path,
							 strerror(errno));
	if (S_ISDIR(status.st_mode))
		medsync_cannot_check("\"%s\" is a directory", path);
	if (!S_ISREG(status.st_mode))
		medsync_cannot_check("\"%s\" is not a regular file", path);
	file = fdopen(fd, PG_BINARY_R);
	if (file == NULL)
		medsync_cannot_check("could not open %s \"%s\": %s", what, path,
							 strerror(errno));
	*size = (int64) status.st_size;
	return file;
}

/* A file without a name, in the directory TMPDIR. */
FILE *
medsync_open_temporary(void)
{
	const char *directory = getenv("TMPDIR");
	char	   *path;
	FILE	   *file;
	int			fd;

	if (directory == NULL || *directory == '\0')
		directory = "/tmp";
	path = psprintf("%s/medsync-verify.XXXXXX", directory);
	fd = mkstemp(path);
	if (fd < 0)
		medsync_cannot_check("could not create a temporary file in \"%s\": %s",
							 directory, strerror(errno));
	(void) unlink(path);
	file = fdopen(fd, "w+b");
	if (file == NULL)
		medsync_cannot_check("could not open a temporary file: %s",
							 strerror(errno));
	pfree(path);
	return file;
}
