/*-------------------------------------------------------------------------
 *
 * http.h
 *		Asking several HTTP servers at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MEDSYNC_HTTP_H
#define MEDSYNC_HTTP_H

#define MEDSYNC_HTTP_URL_MAX		2048
#define MEDSYNC_HTTP_ANSWER_MAX		(64 * 1024) /* bytes of a body, and of all headers */
#define MEDSYNC_HTTP_PROBLEM_SIZE	256

/*
 * One POST.  The caller sets url and body, which stay its own and must live
 * until the request has ended; all else is filled in.
 */
typedef struct MedsyncHttpRequest
{
	const char *url;
	const char *body;
	size_t		body_len;

	char		problem[MEDSYNC_HTTP_PROBLEM_SIZE]; /* what went wrong, or empty */
	long		status;			/* of HTTP; 0: no whole answer came */
	char	   *answer;			/* its body, and a NUL */
	size_t		answer_len;
} MedsyncHttpRequest;

/*
 * Called once a request has ended; true asks for it to be sent again, as it
 * is now.  May raise errors.
 */
typedef bool (*MedsyncHttpEnded) (void *arg, MedsyncHttpRequest *request);

extern const char *medsync_http_url_problem(const char *url);
extern void medsync_http_post(MedsyncHttpRequest *requests, int count,
							  int timeout, MedsyncHttpEnded ended, void *arg);

#endif							/* MEDSYNC_HTTP_H */
