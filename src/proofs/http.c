/*-------------------------------------------------------------------------
 *
 * http.c
 *		Asking several HTTP servers at once, by libcurl.
 *
 * Stores nothing and knows no tables.  Servers are strangers: whatever they
 * answer, or do not, ends as a status or as a sentence in the request, and
 * takes no more memory than MEDSYNC_HTTP_ANSWER_MAX and no more time than the
 * caller allows.  Only http and https are spoken, certificates are checked,
 * redirects are not followed.
 *
 * The caller should hold no lock.  A statement is cancelled while it waits
 * here as anywhere else: interrupts are looked for ten times a second, and
 * all of libcurl's memory is given back then, as on every error.
 *
 * libcurl looks up names in a thread.  No signal may reach it, since handlers
 * of a backend do not expect to run there: threads are started while all
 * signals are blocked, and inherit that.  A thread that still waits for a
 * name server when its request ends is left alone and ends by itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <signal.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"

#include "proofs/http.h"

#if LIBCURL_VERSION_NUM < 0x075700
#error "libcurl 7.87 or later is needed"
#endif

#define POLL_TIME		100		/* ms between two looks for interrupts */

/* A request on its way */
typedef struct Exchange
{
	MedsyncHttpRequest *request;
	CURL	   *easy;
	size_t		header_bytes;
	bool		too_large;
	char		error[CURL_ERROR_SIZE];
} Exchange;

/* All that one call has under way */
typedef struct Exchanges
{
	CURLM	   *multi;
	struct curl_slist *headers;
	Exchange   *exchanges;
	int			count;
	int			open;			/* how many have not ended */
	instr_time	started;
	int			timeout;		/* of all together, in ms */
	MedsyncHttpEnded ended;
	void	   *arg;
} Exchanges;

static void
start_curl(void)
{
	static bool started = false;

	if (started)
		return;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not initialize libcurl")));
	started = true;
}

static void
curl_out_of_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory"),
			 errdetail("libcurl could not prepare a request.")));
}

/* Has a parsed URL this part? */
static bool
has_part(CURLU *parts, CURLUPart part)
{
	char	   *value = NULL;
	bool		found = curl_url_get(parts, part, &value, 0) == CURLUE_OK;

	curl_free(value);
	return found;
}

/* What is wrong with a URL in its parts; NULL: nothing. */
static const char *
url_part_problem(CURLU *parts, const char *url)
{
	if (curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK)
		return "It cannot be parsed.";
	if (has_part(parts, CURLUPART_USER) ||
		has_part(parts, CURLUPART_PASSWORD) ||
		has_part(parts, CURLUPART_OPTIONS))
		return "It must not hold a user name or a password.";
	if (has_part(parts, CURLUPART_QUERY) ||
		has_part(parts, CURLUPART_FRAGMENT))
		return "It must not have a query or a fragment.";
	return NULL;
}

/*
 * What keeps a text from being the URL under which a server is asked, as a
 * sentence; NULL: nothing.
 */
const char *
medsync_http_url_problem(const char *url)
{
	const char *problem;
	const char *c;
	CURLU	   *parts;

	if (strlen(url) > MEDSYNC_HTTP_URL_MAX)
		return "It is longer than 2048 bytes.";
	if (pg_strncasecmp(url, "http://", 7) != 0 &&
		pg_strncasecmp(url, "https://", 8) != 0)
		return "It must begin with http:// or https://.";
	for (c = url; *c != '\0'; c++)
		if (*c <= ' ' || *c >= 0x7f)
			return "It may hold only ASCII characters without blanks; others are written percent-encoded.";
	start_curl();
	parts = curl_url();
	if (parts == NULL)
		curl_out_of_memory();
	problem = url_part_problem(parts, url);
	curl_url_cleanup(parts);
	return problem;
}

/* libcurl's callback for the body; another result than the length ends it. */
static size_t
receive_body(char *data, size_t size, size_t nmemb, void *arg)
{
	Exchange   *exchange = arg;
	MedsyncHttpRequest *request = exchange->request;
	size_t		len = size * nmemb;

	if (len > MEDSYNC_HTTP_ANSWER_MAX - request->answer_len)
	{
		exchange->too_large = true;
		return 0;
	}
	memcpy(request->answer + request->answer_len, data, len);
	request->answer_len += len;
	return len;
}

/* The same for headers: only counted. */
static size_t
receive_header(char *data, size_t size, size_t nmemb, void *arg)
{
	Exchange   *exchange = arg;
	size_t		len = size * nmemb;

	if (len > MEDSYNC_HTTP_ANSWER_MAX - exchange->header_bytes)
	{
		exchange->too_large = true;
		return 0;
	}
	exchange->header_bytes += len;
	return len;
}

/* Milliseconds until the call's time is over. */
static long
time_left(const Exchanges *all)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, all->started);
	return all->timeout - (long) INSTR_TIME_GET_MILLISEC(now);
}

/* Say what the request is; false when libcurl does not take it. */
static bool
set_options(Exchanges *all, Exchange *exchange)
{
	MedsyncHttpRequest *request = exchange->request;
	CURL	   *easy = exchange->easy;
	bool		taken = true;

#define SET(option, value) \
	(taken = taken && curl_easy_setopt(easy, option, value) == CURLE_OK)

	SET(CURLOPT_URL, request->url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L);	/* wait for no name server at the end */
	SET(CURLOPT_TIMEOUT_MS, Max(time_left(all), 1L));
	SET(CURLOPT_USERAGENT, "medsync/" MEDSYNC_VERSION);
	SET(CURLOPT_HTTPHEADER, all->headers);
	SET(CURLOPT_POST, 1L);
	SET(CURLOPT_POSTFIELDS, request->body);
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_len);
	SET(CURLOPT_WRITEFUNCTION, receive_body);
	SET(CURLOPT_WRITEDATA, exchange);
	SET(CURLOPT_HEADERFUNCTION, receive_header);
	SET(CURLOPT_HEADERDATA, exchange);
	SET(CURLOPT_ERRORBUFFER, exchange->error);
	SET(CURLOPT_PRIVATE, exchange);
#undef SET
	return taken;
}

/* Send a request, for the first time or again. */
static void
send_request(Exchanges *all, Exchange *exchange)
{
	MedsyncHttpRequest *request = exchange->request;

	request->problem[0] = '\0';
	request->status = 0;
	request->answer_len = 0;
	exchange->header_bytes = 0;
	exchange->too_large = false;
	exchange->error[0] = '\0';
	if (exchange->easy == NULL)
		exchange->easy = curl_easy_init();
	if (exchange->easy == NULL ||
		!set_options(all, exchange) ||
		curl_multi_add_handle(all->multi, exchange->easy) != CURLM_OK)
		curl_out_of_memory();
	all->open++;
}

/* Write down how a request ended. */
static void
note_end(Exchange *exchange, CURLcode code)
{
	MedsyncHttpRequest *request = exchange->request;

	request->answer[request->answer_len] = '\0';
	if (code == CURLE_OK || exchange->too_large)
		(void) curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE,
								 &request->status);
	if (exchange->too_large)
		strlcpy(request->problem, "the answer is too large",
				sizeof(request->problem));
	else if (code != CURLE_OK)
		strlcpy(request->problem,
				exchange->error[0] ? exchange->error : curl_easy_strerror(code),
				sizeof(request->problem));
}

/* Deal with the requests that have ended since the last look. */
static void
collect_ended(Exchanges *all)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(all->multi, &left)) != NULL)
	{
		CURL	   *easy = message->easy_handle;
		CURLcode	code = message->data.result;
		Exchange   *exchange = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **) &exchange);
		(void) curl_multi_remove_handle(all->multi, easy);
		all->open--;
		note_end(exchange, code);
		if (all->ended(all->arg, exchange->request))
			send_request(all, exchange);
	}
}

/* Let libcurl do what can be done without waiting. */
static void
perform(Exchanges *all)
{
	sigset_t	every;
	sigset_t	before;
	CURLMcode	code;
	int			running;

	sigfillset(&every);
	sigprocmask(SIG_SETMASK, &every, &before);
	code = curl_multi_perform(all->multi, &running);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (code != CURLM_OK)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not send HTTP requests: %s",
						curl_multi_strerror(code))));
}

/* Go on until every request has ended. */
static void
await_all(Exchanges *all)
{
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		perform(all);
		collect_ended(all);
		if (all->open == 0)
			break;
		pgstat_report_wait_start(PG_WAIT_EXTENSION);
		(void) curl_multi_poll(all->multi, NULL, 0, POLL_TIME, NULL);
		pgstat_report_wait_end();
	}
}

/* What is the same in every request of a call. */
static void
open_all(Exchanges *all)
{
	/* without "Expect" the body is sent at once */
	static const char *const headers[] = {
		"Content-Type: text/plain; charset=utf-8", "Expect:"
	};
	int			i;

	all->multi = curl_multi_init();
	if (all->multi == NULL)
		curl_out_of_memory();
	for (i = 0; i < (int) lengthof(headers); i++)
	{
		struct curl_slist *list = curl_slist_append(all->headers, headers[i]);

		if (list == NULL)
			curl_out_of_memory();
		all->headers = list;
	}
}

/* Give back what libcurl holds, also in the middle. */
static void
close_all(Exchanges *all)
{
	int			i;

	for (i = 0; i < all->count; i++)
	{
		CURL	   *easy = all->exchanges[i].easy;

		if (easy == NULL)
			continue;
		if (all->multi != NULL)
			(void) curl_multi_remove_handle(all->multi, easy);
		curl_easy_cleanup(easy);
	}
	if (all->multi != NULL)
		(void) curl_multi_cleanup(all->multi);
	curl_slist_free_all(all->headers);
}

/*
 * Send all requests at once and wait until each has ended, "timeout"
 * milliseconds at most, repeated ones included.  "ended" is called for each
 * in the order in which they end.
 */
void
medsync_http_post(MedsyncHttpRequest *requests, int count, int timeout,
				  MedsyncHttpEnded ended, void *arg)
{
	Exchanges  *all = palloc0(sizeof(Exchanges));
	int			i;

	start_curl();
	all->exchanges = palloc0(Max(count, 1) * sizeof(Exchange));
	all->count = count;
	all->timeout = timeout;
	all->ended = ended;
	all->arg = arg;
	INSTR_TIME_SET_CURRENT(all->started);
	for (i = 0; i < count; i++)
	{
		all->exchanges[i].request = &requests[i];
		requests[i].answer = palloc(MEDSYNC_HTTP_ANSWER_MAX + 1);
	}
	PG_TRY();
	{
		open_all(all);
		for (i = 0; i < count; i++)
			send_request(all, &all->exchanges[i]);
		await_all(all);
	}
	PG_FINALLY();
	{
		close_all(all);
	}
	PG_END_TRY();
	pfree(all->exchanges);
	pfree(all);
}
