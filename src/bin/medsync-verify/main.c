/*-------------------------------------------------------------------------
 *
 * main.c
 *		medsync-verify: check a medsync ledger without trusting its server.
 *
 * Runs on a machine without PostgreSQL.  It trusts the verifier keys on its
 * command line, and the state file that it wrote itself.
 *
 * Exit status, for cron: 0 nothing was found, 1 there are findings, 2 it
 * could not check.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <unistd.h>

#include "getopt_long.h"
#include "medsync_verify.h"
#include "server.h"

#define KEYS_MAX			1024
#define KEY_FILE_MAX		(KEYS_MAX * (MEDSYNC_VKEY_MAX + 1))
#define DEFAULT_MAX_AGE		86400	/* seconds: a day */
#define DEFAULT_TIMEOUT		600 /* seconds */

static const struct
{
	const char *name;
	MedsyncMode mode;
	void		(*verify) (const MedsyncOptions *options);
}			modes[] =
{
	{"log", MEDSYNC_MODE_LOG, medsync_verify_log},
	{"entries", MEDSYNC_MODE_ENTRIES, medsync_verify_entries},
	{"receipt", MEDSYNC_MODE_RECEIPT, medsync_verify_receipt},
	{"live", MEDSYNC_MODE_LIVE, medsync_verify_live}
};

static void
print_help(void)
{
	printf("medsync-verify checks a medsync ledger without trusting its server.\n\n"
		   "Usage:\n"
		   "  medsync-verify log DIR --key KEY [OPTION]...\n"
		   "  medsync-verify entries FILE --log DIR --key KEY [OPTION]...\n"
		   "  medsync-verify receipt FILE --key KEY [OPTION]...\n"
		   "  medsync-verify live CONNINFO --key KEY [OPTION]...\n\n"
		   "Modes:\n"
		   "  log DIR              a public export: checkpoint, tree and entries\n"
		   "  entries FILE         a private export, against the public one\n"
		   "  receipt FILE         a receipt of one row\n"
		   "  live CONNINFO        a running server: its ledger and its tables\n\n"
		   "Options:\n"
		   "  -k, --key=KEY        verifier key of the log or of a witness, or a file with\n"
		   "                       one on each line; may be given more than once\n"
		   "  -l, --log=DIR        the public export\n"
		   "  -s, --state=FILE     remember the checkpoint here, and compare with the one\n"
		   "                       remembered: finds what was cut off, replaced or forked\n"
		   "  -w, --witnesses=NUM  demand cosignatures of so many of the given witnesses\n"
		   "  -a, --max-age=SECS   a checkpoint is stale after this time (default %d;\n"
		   "                       0: never)\n"
		   "  -t, --timeout=SECS   mode live: give up where the server says nothing for so\n"
		   "                       long (default %d; 0: never)\n"
		   "  -j, --json           write one JSON object\n"
		   "  -p, --progress       tell progress, also where stderr is no terminal\n"
		   "  -q, --quiet          write nothing where nothing was found\n"
		   "  -V, --version        show the version, then exit\n"
		   "  -?, --help           show this help, then exit\n\n"
		   "Exit status: 0 nothing was found, 1 there are findings, 2 could not check.\n",
		   DEFAULT_MAX_AGE, DEFAULT_TIMEOUT);
}

static void
hint_and_exit(void)
{
	fprintf(stderr, "Try \"medsync-verify --help\" for more information.\n");
	exit(MEDSYNC_EXIT_NOT_CHECKED);
}

/* ---- keys ---- */

/* Add a key, unless it was given already. */
static void
add_key(MedsyncOptions *options, const MedsyncVerifierKey *key)
{
	int			i;

	for (i = 0; i < options->key_count; i++)
		if (options->keys[i].type == key->type &&
			strcmp(options->keys[i].name, key->name) == 0 &&
			memcmp(options->keys[i].public_key, key->public_key,
				   MEDSYNC_ED25519_KEY_SIZE) == 0)
			return;
	if (options->key_count == KEYS_MAX)
		medsync_cannot_check("more than %d keys", KEYS_MAX);
	options->keys = pg_realloc(options->keys, sizeof(MedsyncVerifierKey) *
							   (options->key_count + 1));
	options->keys[options->key_count++] = *key;
}

/* The keys in a file, one a line; empty lines are nothing. */
static void
add_keys_of_text(MedsyncOptions *options, const char *path, const char *text,
				 size_t len)
{
	const char *end = text + len;
	int			number = 0;
	int			found = 0;

	while (text < end)
	{
		const char *newline = memchr(text, '\n', end - text);
		size_t		line = (newline ? newline : end) - text;
		MedsyncVerifierKey key;

		number++;
		if (line > 0)
		{
			if (!medsync_vkey_parse(text, line, &key))
				medsync_cannot_check("line %d of file \"%s\" is not a verifier key",
									 number, path);
			add_key(options, &key);
			found++;
		}
		text += line + 1;
	}
	if (found == 0)
		medsync_cannot_check("file \"%s\" holds no verifier key", path);
}

static void
add_keys_of_file(MedsyncOptions *options, const char *path)
{
	int64		size;
	FILE	   *file;
	char	   *text;
	size_t		len;

	if (access(path, F_OK) != 0 && (errno == ENOENT || errno == ENAMETOOLONG))
		medsync_cannot_check("\"%s\" is neither a verifier key nor a file",
							 path);
	file = medsync_open_input(path, "key file", &size);
	text = pg_malloc(KEY_FILE_MAX + 1);
	len = fread(text, 1, KEY_FILE_MAX + 1, file);
	if (ferror(file))
		medsync_cannot_check("could not read key file \"%s\": %s", path,
							 strerror(errno));
	if (len > KEY_FILE_MAX)
		medsync_cannot_check("key file \"%s\" is too large", path);
	add_keys_of_text(options, path, text, len);
	pg_free(text);
	fclose(file);
}

/* What --key names: a verifier key, or a file of them. */
static void
add_keys(MedsyncOptions *options, const char *argument)
{
	MedsyncVerifierKey key;

	if (medsync_vkey_parse(argument, strlen(argument), &key))
		add_key(options, &key);
	else
		add_keys_of_file(options, argument);
}

/* How many log keys there are, and how many witnesses, by name. */
static void
count_keys(const MedsyncOptions *options, int *log_keys, int *witnesses)
{
	int			i;
	int			k;

	*log_keys = 0;
	*witnesses = 0;
	for (i = 0; i < options->key_count; i++)
	{
		const MedsyncVerifierKey *key = &options->keys[i];

		if (key->type == MEDSYNC_SIGNATURE_ED25519)
		{
			(*log_keys)++;
			continue;
		}
		for (k = 0; k < i; k++)
			if (options->keys[k].type == key->type &&
				strcmp(options->keys[k].name, key->name) == 0)
				break;
		if (k == i)
			(*witnesses)++;
	}
}

/* ---- the command line ---- */

static int64
parse_number(const char *option, const char *text, int64 max)
{
	char	   *end;
	long long	value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < 0 || value > max)
		medsync_cannot_check("invalid value \"%s\" for option %s", text,
							 option);
	return (int64) value;
}

static void
parse_options(MedsyncOptions *options, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"key", required_argument, NULL, 'k'},
		{"log", required_argument, NULL, 'l'},
		{"state", required_argument, NULL, 's'},
		{"witnesses", required_argument, NULL, 'w'},
		{"max-age", required_argument, NULL, 'a'},
		{"timeout", required_argument, NULL, 't'},
		{"json", no_argument, NULL, 'j'},
		{"progress", no_argument, NULL, 'p'},
		{"quiet", no_argument, NULL, 'q'},
		{"help", no_argument, NULL, '?'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0}
	};
	int			c;

	while ((c = getopt_long(argc, argv, "k:l:s:w:a:t:jpqV", long_options,
							NULL)) != -1)
	{
		switch (c)
		{
			case 'k':
				add_keys(options, optarg);
				break;
			case 'l':
				options->log_dir = optarg;
				break;
			case 's':
				options->state_path = optarg;
				break;
			case 'w':
				options->witnesses = (int) parse_number("--witnesses", optarg,
														KEYS_MAX);
				break;
			case 'a':
				options->max_age = parse_number("--max-age", optarg,
												PG_INT32_MAX);
				break;
			case 't':
				options->timeout = (int) parse_number("--timeout", optarg,
													  MEDSYNC_TIMEOUT_MAX);
				break;
			case 'j':
				options->json = true;
				break;
			case 'p':
				options->progress = true;
				break;
			case 'q':
				options->quiet = true;
				break;
			default:			/* getopt_long has said what is wrong */
				hint_and_exit();
		}
	}
}

/* The arguments that are no options: a mode, and what to check. */
static int
parse_mode(MedsyncOptions *options, int argc, char **argv)
{
	int			nth;

	if (argc - optind < 2)
		medsync_cannot_check("a mode and what to check must be given");
	if (argc - optind > 2)
		medsync_cannot_check("too many arguments (first is \"%s\")",
							 argv[optind + 2]);
	for (nth = 0; nth < (int) lengthof(modes); nth++)
		if (strcmp(argv[optind], modes[nth].name) == 0)
			break;
	if (nth == (int) lengthof(modes))
		medsync_cannot_check("unknown mode \"%s\"", argv[optind]);
	options->mode = modes[nth].mode;
	options->target = argv[optind + 1];
	return nth;
}

/* What must be given, and what must not. */
static void
check_options(MedsyncOptions *options)
{
	int			log_keys;
	int			witnesses;

	if (options->mode == MEDSYNC_MODE_ENTRIES && options->log_dir == NULL)
		medsync_cannot_check("mode entries needs the public export, --log");
	if (options->mode != MEDSYNC_MODE_ENTRIES && options->log_dir != NULL)
		medsync_cannot_check("only mode entries takes --log");
	if (options->mode == MEDSYNC_MODE_LOG)
		options->log_dir = options->target;
	count_keys(options, &log_keys, &witnesses);
	if (log_keys == 0)
		medsync_cannot_check("the log's verifier key must be given, --key");
	if (options->witnesses > witnesses)
		medsync_cannot_check("%d witnesses are demanded, and keys of %d are given",
							 options->witnesses, witnesses);
}

int
main(int argc, char **argv)
{
	static MedsyncOptions options;
	int			nth;

	if (argc > 1)
	{
		if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)
		{
			print_help();
			return MEDSYNC_EXIT_CLEAN;
		}
		if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		{
			printf("medsync-verify %s\n", MEDSYNC_VERSION);
			return MEDSYNC_EXIT_CLEAN;
		}
	}
	options.max_age = DEFAULT_MAX_AGE;
	options.timeout = DEFAULT_TIMEOUT;
	options.progress = isatty(fileno(stderr)) != 0;
	medsync_report_begin(&options);
	parse_options(&options, argc, argv);
	nth = parse_mode(&options, argc, argv);
	check_options(&options);
	medsync_state_load(&options);
	modes[nth].verify(&options);
	medsync_checkpoint_finish(&options);
	return medsync_report_end();
}
