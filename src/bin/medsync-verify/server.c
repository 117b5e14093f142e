/*-------------------------------------------------------------------------
 *
 * server.c
 *		A connection to the server that is checked.
 *
 * Results are taken row by row, so that memory does not grow with a table.
 * The session is made such that no setting of the role, the database or the
 * server changes what a value looks like, and that no object in another
 * schema can take the place of a function of ours or of PostgreSQL's.
 *
 * Any error of libpq itself, a lost connection, or a server that is silent
 * for too long ends the program with status 2: what could not be read is no
 * finding.  Nothing waits for ever: the server is told how long to wait for a
 * lock, and commands are sent and answered through poll().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <dlfcn.h>
#include <libpq-fe.h>
#include <poll.h>

#include "ledger/canonical_internal.h"
#include "medsync_verify.h"
#include "server.h"

#define LIBPQ_NAME		"libpq.so.5"
#define MESSAGE_MAX		2048	/* bytes of a server's message that are shown */

struct MedsyncServer
{
	PGconn	   *connection;
	int			timeout;		/* seconds of silence; 0: no limit */
	const char **values;		/* of the row that is handed over */
	int		   *lengths;
	int			room;			/* columns that these have room for */
};

/* What we use of libpq */
static struct
{
	PGconn	   *(*connectdb_params) (const char *const *keywords,
									 const char *const *values,
									 int expand_dbname);
	void		(*finish) (PGconn *conn);
	ConnStatusType (*status) (const PGconn *conn);
	char	   *(*error_message) (const PGconn *conn);
	PQnoticeProcessor (*set_notice_processor) (PGconn *conn,
											   PQnoticeProcessor proc,
											   void *arg);
	int			(*send_query_params) (PGconn *conn, const char *command,
									  int nparams, const Oid *types,
									  const char *const *values,
									  const int *lengths, const int *formats,
									  int result_format);
	int			(*set_single_row_mode) (PGconn *conn);
	int			(*set_nonblocking) (PGconn *conn, int arg);
	int			(*socket) (const PGconn *conn);
	int			(*flush) (PGconn *conn);
	int			(*consume_input) (PGconn *conn);
	int			(*is_busy) (PGconn *conn);
	PGresult   *(*get_result) (PGconn *conn);
	ExecStatusType (*result_status) (const PGresult *res);
	char	   *(*result_error_field) (const PGresult *res, int field);
	int			(*ntuples) (const PGresult *res);
	int			(*nfields) (const PGresult *res);
	char	   *(*getvalue) (const PGresult *res, int row, int column);
	int			(*getlength) (const PGresult *res, int row, int column);
	int			(*getisnull) (const PGresult *res, int row, int column);
	void		(*clear) (PGresult *res);
}			libpq;

static const struct
{
	const char *name;
	void	   *place;
}			libpq_symbols[] =
{
	{"PQconnectdbParams", &libpq.connectdb_params},
	{"PQfinish", &libpq.finish},
	{"PQstatus", &libpq.status},
	{"PQerrorMessage", &libpq.error_message},
	{"PQsetNoticeProcessor", &libpq.set_notice_processor},
	{"PQsendQueryParams", &libpq.send_query_params},
	{"PQsetSingleRowMode", &libpq.set_single_row_mode},
	{"PQsetnonblocking", &libpq.set_nonblocking},
	{"PQsocket", &libpq.socket},
	{"PQflush", &libpq.flush},
	{"PQconsumeInput", &libpq.consume_input},
	{"PQisBusy", &libpq.is_busy},
	{"PQgetResult", &libpq.get_result},
	{"PQresultStatus", &libpq.result_status},
	{"PQresultErrorField", &libpq.result_error_field},
	{"PQntuples", &libpq.ntuples},
	{"PQnfields", &libpq.nfields},
	{"PQgetvalue", &libpq.getvalue},
	{"PQgetlength", &libpq.getlength},
	{"PQgetisnull", &libpq.getisnull},
	{"PQclear", &libpq.clear}
};

/* The libraries of a version may have the symbol or not; all are needed. */
static void
load_libpq(void)
{
	void	   *library;
	int			i;

	if (libpq.connectdb_params != NULL)
		return;
	library = dlopen(LIBPQ_NAME, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		medsync_cannot_check("mode live needs libpq, PostgreSQL's client library: %s",
							 dlerror());
	for (i = 0; i < (int) lengthof(libpq_symbols); i++)
	{
		void	   *address = dlsym(library, libpq_symbols[i].name);

		if (address == NULL)
			medsync_cannot_check("libpq is unusable: %s", dlerror());
		memcpy(libpq_symbols[i].place, &address, sizeof(address));
	}
}

/* Notices are words of the one who is checked: nobody needs them. */
static void
ignore_notice(void *arg, const char *message)
{
}

/* What the connection says of its last failure, without its newline. */
static char *
connection_message(const MedsyncServer *server)
{
	char	   *message = psprintf("%.*s", MESSAGE_MAX,
								   libpq.error_message(server->connection));
	size_t		len = strlen(message);

	while (len > 0 && message[len - 1] == '\n')
		message[--len] = '\0';
	return message;
}

/* Wait until the socket can be used; silence for too long ends the program. */
static void
wait_for_server(const MedsyncServer *server, bool writing)
{
	struct pollfd wanted = {0};
	int			ready;

	wanted.fd = libpq.socket(server->connection);
	wanted.events = writing ? POLLIN | POLLOUT : POLLIN;
	do
		ready = poll(&wanted, 1,
					 server->timeout > 0 ? server->timeout * 1000 : -1);
	while (ready < 0 && errno == EINTR);
	if (ready < 0)
		medsync_cannot_check("could not wait for the server: %s",
							 strerror(errno));
	if (ready == 0)
		medsync_cannot_check("the server has not answered for %d seconds (see --timeout)",
							 server->timeout);
}

/* Take in what the server has said. */
static void
take_input(const MedsyncServer *server)
{
	if (!libpq.consume_input(server->connection))
		medsync_cannot_check("%s", connection_message(server));
}

/* Send what is left of a command; the server may speak meanwhile. */
static void
send_rest(const MedsyncServer *server)
{
	int			left;

	while ((left = libpq.flush(server->connection)) > 0)
	{
		wait_for_server(server, true);
		take_input(server);
	}
	if (left < 0)
		medsync_cannot_check("%s", connection_message(server));
}

/* The next result of the command that was sent; NULL: there is none. */
static PGresult *
next_result(const MedsyncServer *server)
{
	while (libpq.is_busy(server->connection))
	{
		wait_for_server(server, false);
		take_input(server);
	}
	return libpq.get_result(server->connection);
}

/* Hand over the rows of a result. */
static void
deliver_rows(MedsyncServer *server, const PGresult *result, int columns,
			 MedsyncServerRowCallback row, void *arg)
{
	MedsyncServerRow delivered;
	int			n;
	int			i;

	if (libpq.nfields(result) != columns)
		medsync_cannot_check("the server answered what was not asked");
	if (columns > server->room)
	{
		server->values = pg_realloc(server->values, sizeof(char *) * columns);
		server->lengths = pg_realloc(server->lengths, sizeof(int) * columns);
		server->room = columns;
	}
	delivered.values = server->values;
	delivered.lengths = server->lengths;
	for (n = 0; n < libpq.ntuples(result); n++)
	{
		for (i = 0; i < columns; i++)
		{
			server->values[i] = libpq.getisnull(result, n, i) ? NULL :
				libpq.getvalue(result, n, i);
			server->lengths[i] = libpq.getlength(result, n, i);
		}
		row(arg, &delivered);
	}
}

static void
take_error(const PGresult *result, MedsyncServerError *error)
{
	const char *sqlstate = libpq.result_error_field(result, PG_DIAG_SQLSTATE);
	const char *message = libpq.result_error_field(result,
												   PG_DIAG_MESSAGE_PRIMARY);

	strlcpy(error->sqlstate, sqlstate ? sqlstate : "",
			sizeof(error->sqlstate));
	error->message = psprintf("%.*s", MESSAGE_MAX,
							  message ? message : "unknown error");
}

bool
medsync_server_query(MedsyncServer *server, const char *sql, int columns,
					 bool binary, MedsyncServerRowCallback row, void *arg,
					 MedsyncServerError *error)
{
	MedsyncServerError refusal = {.message = NULL};
	PGresult   *result;

	if (!libpq.send_query_params(server->connection, sql, 0, NULL, NULL, NULL,
								 NULL, binary ? 1 : 0) ||
		!libpq.set_single_row_mode(server->connection))
		medsync_cannot_check("%s", connection_message(server));
	send_rest(server);
	while ((result = next_result(server)) != NULL)
	{
		switch (libpq.result_status(result))
		{
			case PGRES_SINGLE_TUPLE:
			case PGRES_TUPLES_OK:
				if (row != NULL)
					deliver_rows(server, result, columns, row, arg);
				break;
			case PGRES_COMMAND_OK:
			case PGRES_EMPTY_QUERY:
				break;
			case PGRES_FATAL_ERROR:
				if (refusal.message == NULL)
					take_error(result, &refusal);
				break;
			default:
				medsync_cannot_check("the server answered what was not asked");
		}
		libpq.clear(result);
	}
	if (libpq.status(server->connection) != CONNECTION_OK)
		medsync_cannot_check("%s", connection_message(server));
	if (refusal.message != NULL && error == NULL)
		medsync_cannot_check("the server refused a command: %s",
							 refusal.message);
	if (error != NULL)
		*error = refusal;
	return refusal.message == NULL;
}

/* A command that gives no rows and must not fail. */
void
medsync_server_run(MedsyncServer *server, const char *sql)
{
	(void) medsync_server_query(server, sql, 0, false, NULL, NULL, NULL);
}

/* Append a name as an identifier, whatever it holds. */
void
medsync_sql_identifier(StringInfo sql, const char *name)
{
	appendStringInfoChar(sql, '"');
	for (; *name; name++)
	{
		if (*name == '"')
			appendStringInfoChar(sql, '"');
		appendStringInfoChar(sql, *name);
	}
	appendStringInfoChar(sql, '"');
}

/* Append a literal; the session has standard_conforming_strings on. */
void
medsync_sql_literal(StringInfo sql, const char *text)
{
	appendStringInfoChar(sql, '\'');
	for (; *text; text++)
	{
		if (*text == '\'')
			appendStringInfoChar(sql, '\'');
		appendStringInfoChar(sql, *text);
	}
	appendStringInfoChar(sql, '\'');
}

static void
set(MedsyncServer *server, const char *name, const char *value)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.set_config(");
	medsync_sql_literal(&sql, name);
	appendStringInfoString(&sql, ", ");
	medsync_sql_literal(&sql, value);
	appendStringInfoString(&sql, ", false)");
	medsync_server_run(server, sql.data);
	pfree(sql.data);
}

/* Set those of some settings that the server's version has. */
static void
set_known(MedsyncServer *server, const char *names, const char *value)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.set_config(s.name, ");
	medsync_sql_literal(&sql, value);
	appendStringInfo(&sql, ", false) FROM pg_catalog.pg_settings AS s"
					 " WHERE s.name = ANY ('{%s}')", names);
	medsync_server_run(server, sql.data);
	pfree(sql.data);
}

/*
 * From here on only tables can be read: what was a table when it was looked
 * up, and has become a view since, would run somebody's code as us.
 */
void
medsync_server_only_tables(MedsyncServer *server)
{
	set_known(server, "restrict_nonsystem_relation_kind",
			  "view, foreign-table");
}

/*
 * The session's settings: those that values are printed by, and those that
 * would get in our way.  Row security does not filter rows silently: where
 * it applies to us, reading the table is an error.
 */
static void
make_session(MedsyncServer *server)
{
	const MedsyncPinnedSetting *pin;

	medsync_server_run(server, "SET standard_conforming_strings = on");
	set(server, "client_encoding", "UTF8");
	for (pin = medsync_pinned_settings; pin->name != NULL; pin++)
		set(server, pin->name, pin->value);
	set(server, "row_security", "off");
	set(server, "default_transaction_deferrable", "off");
	set(server, "jit", "off");

	/* a table's rows come in their order, side by side with their openings */
	set(server, "synchronize_seqscans", "off");
	set(server, "max_parallel_workers_per_gather", "0");
	set_known(server, "restrict_nonsystem_relation_kind", "");
	set_known(server, "statement_timeout,transaction_timeout,"
			  "idle_session_timeout,idle_in_transaction_session_timeout",
			  "0");

	/* the server should be heard to give up before we do */
	set(server, "lock_timeout", psprintf("%d", server->timeout * 500));
}

/*
 * Connect; the timeout holds for the connection and for each wait after it.
 * What the connection string says of connect_timeout goes before it.
 */
MedsyncServer *
medsync_server_connect(const char *conninfo, int timeout)
{
	const char *const keywords[] = {"connect_timeout", "dbname", NULL};
	const char *const values[] = {psprintf("%d", timeout), conninfo, NULL};
	MedsyncServer *server = pg_malloc0(sizeof(MedsyncServer));

	load_libpq();
	server->timeout = timeout;
	server->connection = libpq.connectdb_params(keywords, values, 1);
	if (server->connection == NULL)
		medsync_cannot_check("out of memory");
	if (libpq.status(server->connection) != CONNECTION_OK)
		medsync_cannot_check("%s", connection_message(server));
	if (libpq.set_nonblocking(server->connection, 1) != 0)
		medsync_cannot_check("%s", connection_message(server));
	(void) libpq.set_notice_processor(server->connection, ignore_notice, NULL);
	make_session(server);
	return server;
}

void
medsync_server_close(MedsyncServer *server)
{
	libpq.finish(server->connection);
	pg_free(server->values);
	pg_free(server->lengths);
	pg_free(server);
}
