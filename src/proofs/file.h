/*-------------------------------------------------------------------------
 *
 * file.h
 *		Files that the server writes for others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_FILE_H
#define MEDSYNC_FILE_H

/* A file that takes its name only when it is whole */
typedef struct MedsyncFile
{
	char	   *path;
	char	   *temporary;
	int			fd;				/* of OpenTransientFile */
	char	   *buffer;
	size_t		used;
} MedsyncFile;

extern void medsync_file_check_caller(void);
extern void medsync_file_check_path(const char *path, const char *what);
extern void medsync_file_refuse_link(const char *path);
extern void medsync_file_begin(MedsyncFile *file, const char *path);
extern void medsync_file_put(MedsyncFile *file, const void *data, size_t len);
extern void medsync_file_finish(MedsyncFile *file, bool durable);
extern void medsync_file_make_directory(const char *path, bool follow);

#endif							/* MEDSYNC_FILE_H */
