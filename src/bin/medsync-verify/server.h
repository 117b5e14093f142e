/*-------------------------------------------------------------------------
 *
 * server.h
 *		A connection to the server that is checked.
 *
 * libpq is loaded when the first connection is made, so that the other
 * modes run where it is not installed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_SERVER_H
#define MEDSYNC_SERVER_H

#define SQLSTATE_LOCK_NOT_AVAILABLE	"55P03"

typedef struct MedsyncServer MedsyncServer;

/* A row of a result; valid during the call */
typedef struct MedsyncServerRow
{
	const char **values;		/* NULL: SQL's NULL */
	const int  *lengths;
} MedsyncServerRow;

typedef void (*MedsyncServerRowCallback) (void *arg,
										  const MedsyncServerRow *row);

/* Why the server refused a command */
typedef struct MedsyncServerError
{
	char		sqlstate[6];
	char	   *message;
} MedsyncServerError;

#define MEDSYNC_TIMEOUT_MAX		1000000	/* seconds: in milliseconds an int */

extern MedsyncServer *medsync_server_connect(const char *conninfo,
											 int timeout);	/* seconds; 0: none */
extern void medsync_server_close(MedsyncServer *server);

/*
 * Run one command and hand over its rows of so many columns one by one, as
 * text or as binary.  False when the server refused it: then "error" says
 * why, or, where that is NULL, the program ends with status 2.  It also ends
 * so where the connection is lost, the server says nothing for longer than
 * the timeout, or rows have other columns.
 */
extern bool medsync_server_query(MedsyncServer *server, const char *sql,
								 int columns, bool binary,
								 MedsyncServerRowCallback row, void *arg,
								 MedsyncServerError *error);
extern void medsync_server_run(MedsyncServer *server, const char *sql);
extern void medsync_server_only_tables(MedsyncServer *server);

extern void medsync_sql_identifier(StringInfo sql, const char *name);
extern void medsync_sql_literal(StringInfo sql, const char *text);

#endif							/* MEDSYNC_SERVER_H */
