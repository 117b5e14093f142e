/*-------------------------------------------------------------------------
 *
 * key_command.c
 *		A secret from the output of a command.
 *
 * The command is run by the shell as the server's user, with nothing to read
 * and with its standard output in a pipe.  What it says on standard error
 * goes where the server's own goes; none of it gets into a message of ours.
 * The first line of its output is the secret, the rest is thrown away, and
 * the exit status must be 0.  Every buffer that held output is wiped.
 *
 * The command runs in the backend's process group, so that whatever is
 * signalled to the backend (a cancel, a shutdown) reaches it as well.  While
 * we wait for it the backend sleeps on its latch, not in a read or a wait:
 * it can be cancelled even if the command ignores signals.  Whichever way
 * this is left, the shell is gone by then and the pipe is closed; what the
 * shell has started and what ignores all signals may linger, cut off.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#include "vault/crypto.h"
#include "vault/key_command.h"

#define OUTPUT_MAX		65536	/* bytes that are read; more is no key */
#define WAIT_MS			5		/* between two looks whether it has ended */

extern char **environ;

/* The line that is being read */
typedef struct Output
{
	char	   *line;
	size_t		size;			/* room; a longer line is none of ours */
	size_t		len;
	size_t		total;			/* of all output so far */
	bool		complete;		/* the newline has come */
	bool		too_long;
} Output;

/* A pipe that the command inherits by the duplicate only. */
static bool
make_pipe(int *ends)
{
	if (pipe(ends) != 0)
		return false;
	(void) fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	(void) fcntl(ends[1], F_SETFD, FD_CLOEXEC);
	return true;
}

/* Start a shell on the command; an errno. */
static int
spawn_shell(const char *command, int output, pid_t *pid)
{
	char	   *argv[] = {"sh", "-c", unconstify(char *, command), NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t	none;
	sigset_t	defaults;
	int			error;

	/* a backend ignores SIGPIPE, and may have blocked what comes in */
	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);

	if ((error = posix_spawn_file_actions_init(&actions)) != 0)
		return error;
	if ((error = posix_spawnattr_init(&attributes)) != 0)
	{
		(void) posix_spawn_file_actions_destroy(&actions);
		return error;
	}
	if ((error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO,
												  "/dev/null", O_RDONLY, 0)) == 0 &&
		(error = posix_spawn_file_actions_adddup2(&actions, output,
												  STDOUT_FILENO)) == 0 &&
		(error = posix_spawnattr_setsigmask(&attributes, &none)) == 0 &&
		(error = posix_spawnattr_setsigdefault(&attributes, &defaults)) == 0 &&
		(error = posix_spawnattr_setflags(&attributes,
										  POSIX_SPAWN_SETSIGMASK |
										  POSIX_SPAWN_SETSIGDEF)) == 0)
		error = posix_spawn(pid, "/bin/sh", &actions, &attributes, argv,
							environ);
	(void) posix_spawnattr_destroy(&attributes);
	(void) posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* Start the command; *fd is where its output comes.  An errno. */
static int
start_command(const char *command, pid_t *pid, int *fd)
{
	int			ends[2];
	int			error;

	if (!AcquireExternalFD())
		return errno;
	if (!make_pipe(ends))
	{
		error = errno;
		ReleaseExternalFD();
		return error;
	}
	error = spawn_shell(command, ends[1], pid);
	close(ends[1]);
	if (error != 0)
	{
		close(ends[0]);
		ReleaseExternalFD();
		return error;
	}
	*fd = ends[0];
	return 0;
}

/* Take in what came: bytes of the first line, or what follows it. */
static void
take_output(Output *output, const char *chunk, size_t len)
{
	const char *newline = memchr(chunk, '\n', len);
	size_t		part = newline != NULL ? (size_t) (newline - chunk) : len;

	output->total += len;
	if (output->complete)
		return;
	if (output->len + part > output->size)
	{
		output->too_long = true;
		part = output->size - output->len;
	}
	memcpy(output->line + output->len, chunk, part);
	output->len += part;
	output->complete = newline != NULL;
}

/* Sleep until the latch is set, the pipe has something, or time is over. */
static int
sleep_on_latch(int fd, int timeout)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;

	if (fd >= 0)
		events |= WL_SOCKET_READABLE;
	if (timeout >= 0)
		events |= WL_TIMEOUT;
	events = WaitLatchOrSocket(MyLatch, events, fd >= 0 ? fd : PGINVALID_SOCKET,
							   timeout, PG_WAIT_EXTENSION);
	if (events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return events;
}

/* Read to the end of the output, or to where it is too much. */
static void
read_output(int fd, Output *output, char *chunk, size_t chunk_size)
{
	while (output->total <= OUTPUT_MAX)
	{
		ssize_t		n;

		if (!(sleep_on_latch(fd, -1) & WL_SOCKET_READABLE))
			continue;
		n = read(fd, chunk, chunk_size);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return;
		take_output(output, chunk, n);
		medsync_cleanse(chunk, n);
	}
	output->too_long = true;
}

/* Wait for the command to end; its wait status. */
static int
wait_for_end(pid_t pid)
{
	int			status;

	for (;;)
	{
		pid_t		ended = waitpid(pid, &status, WNOHANG);

		if (ended == pid)
			return status;
		if (ended < 0 && errno != EINTR)
			return -1;
		(void) sleep_on_latch(-1, WAIT_MS);
	}
}

/* End a command that has not ended by itself. */
static void
kill_command(pid_t pid)
{
	(void) kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/*
 * Take in a running command's output and wait for its end; its wait status.
 * A command whose output is too much is stopped, which is no failure of its
 * own: the status is 0.
 */
static int
collect(pid_t pid, int fd, Output *output)
{
	char		chunk[512];

	read_output(fd, output, chunk, sizeof(chunk));
	if (output->total <= OUTPUT_MAX)
		return wait_for_end(pid);
	kill_command(pid);
	return 0;
}

/* The same; if it is left by an error the command has not ended, and is made to. */
static int
collect_or_kill(pid_t pid, int fd, Output *output)
{
	volatile int status = 0;

	PG_TRY();
	{
		status = collect(pid, fd, output);
	}
	PG_CATCH();
	{
		kill_command(pid);
		close(fd);
		ReleaseExternalFD();
		medsync_cleanse(output->line, output->size);
		PG_RE_THROW();
	}
	PG_END_TRY();
	close(fd);
	ReleaseExternalFD();
	return status;
}

/*
 * Run a command and give the first line of its output, without the newline;
 * "line" has room for "size" bytes.  Raises no error for what the command
 * does: it returns false and says in *problem what is wrong.  Errors are a
 * cancel and the like; then, too, "line" holds nothing.  The caller wipes it.
 */
bool
medsync_key_command_run(const char *command, char *line, size_t size,
						size_t *len, MedsyncKeyCommandProblem *problem)
{
	Output		output = {line, size, 0, 0, false, false};
	pid_t		pid = 0;
	int			fd = -1;

	problem->fault = MEDSYNC_KEY_COMMAND_NOT_RUN;
	problem->number = start_command(command, &pid, &fd);
	if (problem->number != 0)
		return false;

	problem->number = collect_or_kill(pid, fd, &output);
	if (problem->number != 0)
		problem->fault = MEDSYNC_KEY_COMMAND_FAILED;
	else if (output.too_long)
		problem->fault = MEDSYNC_KEY_COMMAND_MALFORMED;
	else
		problem->fault = MEDSYNC_KEY_COMMAND_FINE;
	*len = output.len;
	return problem->fault == MEDSYNC_KEY_COMMAND_FINE;
}
