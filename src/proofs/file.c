/*-------------------------------------------------------------------------
 *
 * file.c
 *		Files that the server writes for others.
 *
 * Exported files are readable by all (0644) whatever the server's umask.  A
 * file is written under a temporary name beside its own, flushed if asked,
 * and renamed, so that nobody ever sees a part of one.  An error leaves the
 * temporary file, which the next export of the same name writes over; a
 * symbolic link in its place is not followed.  Two who write one file exclude
 * each other by flock on the temporary one.
 *
 * Writing files on the server asks for membership in pg_write_server_files,
 * as COPY does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"

#include "proofs/file.h"

#define BUFFER_SIZE		(256 * 1024)
#define FILE_MODE		(S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH)
#define DIRECTORY_MODE	(S_IRWXU | S_IRGRP | S_IXGRP | S_IROTH | S_IXOTH)

/* May the caller have the server write files? */
void
medsync_file_check_caller(void)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to write a file on the server"),
				 errdetail("Only roles with privileges of \"pg_write_server_files\" may.")));
}

/* As COPY: a relative path would start in the data directory. */
void
medsync_file_check_path(const char *path, const char *what)
{
	if (!is_absolute_path(path))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("relative path not allowed for %s", what)));
	if (strlen(path) > MAXPGPATH - 128)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("path of %s is too long", what)));
}

/* Called when a file could not be opened: was it for a symbolic link? */
void
medsync_file_refuse_link(const char *path)
{
	if (errno == ELOOP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a symbolic link", path)));
}

static void
write_failed(const char *path)
{
	/* a short write means that the disk is full */
	if (errno == 0)
		errno = ENOSPC;
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not write file \"%s\": %m", path)));
}

/*
 * Nobody else may write the same temporary file.  Whoever did may have
 * renamed it since we opened it: then it is not ours to write.
 */
static bool
own_temporary(const MedsyncFile *file)
{
	struct stat opened;
	struct stat named;

	return flock(file->fd, LOCK_EX | LOCK_NB) == 0 &&
		fstat(file->fd, &opened) == 0 && S_ISREG(opened.st_mode) &&
		lstat(file->temporary, &named) == 0 &&
		opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Begin a file; its name is taken at the end. */
void
medsync_file_begin(MedsyncFile *file, const char *path)
{
	file->path = pstrdup(path);
	file->temporary = psprintf("%s.tmp", path);
	file->used = 0;
	file->buffer = palloc(BUFFER_SIZE);
	file->fd = OpenTransientFilePerm(file->temporary,
									 O_CREAT | O_WRONLY | O_NOFOLLOW |
									 O_NONBLOCK | PG_BINARY, FILE_MODE);
	if (file->fd < 0)
	{
		medsync_file_refuse_link(file->temporary);
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", file->temporary)));
	}
	if (!own_temporary(file))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("file \"%s\" is being written", path)));
	if (ftruncate(file->fd, 0) != 0 || fchmod(file->fd, FILE_MODE) != 0)
		write_failed(file->temporary);
}

static void
flush_buffer(MedsyncFile *file)
{
	size_t		done = 0;

	while (done < file->used)
	{
		ssize_t		n;

		errno = 0;
		n = write(file->fd, file->buffer + done, file->used - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			write_failed(file->temporary);
		done += n;
	}
	file->used = 0;
	CHECK_FOR_INTERRUPTS();
}

void
medsync_file_put(MedsyncFile *file, const void *data, size_t len)
{
	const char *next = data;

	while (len > 0)
	{
		size_t		part = Min(len, BUFFER_SIZE - file->used);

		memcpy(file->buffer + file->used, next, part);
		file->used += part;
		next += part;
		len -= part;
		if (file->used == BUFFER_SIZE)
			flush_buffer(file);
	}
}

/* Make what was renamed in a directory durable. */
static void
sync_directory(const char *path)
{
	(void) fsync_fname_ext(path, true, false, ERROR);
}

/*
 * Give the file its name.  "durable" flushes it before and the directory
 * after; whoever writes many files flushes them all at once instead.
 */
void
medsync_file_finish(MedsyncFile *file, bool durable)
{
	flush_buffer(file);
	if (durable && pg_fsync(file->fd) != 0)
		write_failed(file->temporary);
	if (CloseTransientFile(file->fd) != 0)
		write_failed(file->temporary);
	if (rename(file->temporary, file->path) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not rename file \"%s\" to \"%s\": %m",
						file->temporary, file->path)));
	if (durable)
	{
		get_parent_directory(file->path);
		sync_directory(file->path);
	}
	pfree(file->buffer);
	pfree(file->temporary);
	pfree(file->path);
}

/*
 * Make a directory unless it is there; those above it must be.  "follow" says
 * that a symbolic link to one will do.
 */
void
medsync_file_make_directory(const char *path, bool follow)
{
	struct stat st;

	if (mkdir(path, DIRECTORY_MODE) == 0)
	{
		if (chmod(path, DIRECTORY_MODE) != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not set permissions of directory \"%s\": %m",
							path)));
		return;
	}
	if (errno != EEXIST)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", path)));
	if ((follow ? stat(path, &st) : lstat(path, &st)) != 0 ||
		!S_ISDIR(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a directory", path)));
}
