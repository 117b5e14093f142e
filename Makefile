# medsync: a PGXS extension.  The version stands in medsync.control only.
EXTENSION = medsync
EXTVERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" medsync.control)

# The rooms, in the order in which one may call another.
COMMON = src/common/wire.o src/common/json_text.o src/common/calendar.o \
	src/common/catalog.o src/common/apart.o
VAULT = src/vault/crypto.o src/vault/key_file.o src/vault/key_command.o \
	src/vault/master_key.o src/vault/kek.o src/vault/subject_key.o src/vault/rotate.o \
	src/vault/public_key.o src/vault/private_key.o src/vault/primitives.o src/vault/quiet.o
LEDGER = src/ledger/canonical.o src/ledger/canonical_json.o src/ledger/entry.o src/ledger/merkle.o src/ledger/commitment.o \
	src/ledger/manifest_text.o src/ledger/signing.o src/ledger/manifest.o src/ledger/ledger.o src/ledger/row.o \
	src/ledger/image.o src/ledger/journal.o src/ledger/capture.o \
	src/ledger/track.o src/ledger/guard.o src/ledger/walk.o \
	src/ledger/order.o src/ledger/balance.o src/ledger/sealer.o src/ledger/worker.o src/ledger/verify.o src/ledger/verify_live.o \
	src/ledger/render.o src/ledger/history.o src/ledger/status.o
PROOFS = src/proofs/note.o src/proofs/tiles.o src/proofs/signer.o src/proofs/signer_key.o \
	src/proofs/checkpoint.o src/proofs/proofs.o src/proofs/file.o \
	src/proofs/export.o src/proofs/entries.o src/proofs/key_row.o src/proofs/opening.o \
	src/proofs/receipt.o src/proofs/http.o src/proofs/witness.o \
	src/proofs/submit.o src/proofs/openings.o src/proofs/audit.o
IDENTITY = src/identity/people.o src/identity/keys.o src/identity/actor.o \
	src/identity/sign_in.o src/identity/notice.o src/identity/signature.o \
	src/identity/signed_table.o src/identity/revocation.o
RECORDS = src/records/store.o src/records/envelope.o src/records/access.o \
	src/records/event.o src/records/pending.o src/records/records.o src/records/verify_records.o

MODULE_big = medsync
OBJS = src/medsync.o $(COMMON) $(VAULT) $(LEDGER) $(PROOFS) $(IDENTITY) $(RECORDS)

# The install script is the rooms' parts in this order.
SQL_PARTS = src/common/common.sql src/vault/vault.sql src/vault/rotate.sql \
	src/vault/primitives.sql src/ledger/ledger.sql \
	src/proofs/proofs.sql src/proofs/witness.sql \
	src/identity/identity.sql src/identity/signature.sql src/records/records.sql
DATA_built = medsync--$(EXTVERSION).sql

# The offline verifier: a program of its own, and files that it shares with
# the server, compiled once more for use without one.
VERIFY_DIR = src/bin/medsync-verify
VERIFY = $(VERIFY_DIR)/medsync-verify
VERIFY_SHARED = src/common/wire.c src/common/json_text.c \
	src/common/calendar.c src/vault/crypto.c src/vault/public_key.c \
	src/ledger/canonical.c \
	src/ledger/canonical_json.c src/ledger/commitment.c src/ledger/entry.c \
	src/ledger/merkle.c src/ledger/manifest_text.c \
	src/ledger/signing.c src/proofs/note.c \
	src/proofs/key_row.c src/proofs/opening.c
VERIFY_SHARED_OBJS = $(patsubst %.c,$(VERIFY_DIR)/shared_%.o,$(notdir $(VERIFY_SHARED)))
VERIFY_OBJS = $(addprefix $(VERIFY_DIR)/, main.o input.o report.o state.o checkpoint.o \
	log.o chain.o rules.o sort.o entries.o receipt.o live.o live_table.o live_signatures.o row_balance.o \
	server.o type_tree.o text_codec.o text_time.o) $(VERIFY_SHARED_OBJS)

REGRESS = $(sort $(patsubst sql/%.sql,%,$(wildcard sql/*.sql)))
# medsync needs UTF8, whatever the cluster's default.
REGRESS_OPTS = --encoding=UTF8
ISOLATION = $(sort $(patsubst test/isolation/specs/%.spec,%,$(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation --load-extension=medsync --encoding=UTF8

# The server's headers as system headers: warnings are for our own code.
PG_CPPFLAGS = -I$(srcdir)/src -DMEDSYNC_VERSION='"$(EXTVERSION)"' -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS = -Wno-unused-parameter
SHLIB_LINK = -lcrypto -lcurl -lsodium
EXTRA_CLEAN = src/*.bc src/*/*.bc test/fuzz/build $(VERIFY) $(VERIFY_OBJS)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Every source sees every header change; the tree is small.
$(OBJS): $(wildcard $(srcdir)/src/*.h $(srcdir)/src/*/*.h)

medsync--$(EXTVERSION).sql: $(SQL_PARTS) medsync.control
	cat $(filter %.sql,$^) > $@

# The verifier.  It links PostgreSQL's frontend libraries as archives and
# libcrypto as it is: nothing of PostgreSQL need be where it runs.  libpq's
# header is needed; the library is loaded when mode live asks for it.
VERIFY_COMPILE = $(CC) $(CFLAGS) -DFRONTEND $(CPPFLAGS) -I$(libpq_srcdir) -c -o $@ $<

all: $(VERIFY)

$(VERIFY_OBJS): $(wildcard $(srcdir)/src/*.h $(srcdir)/src/*/*.h $(srcdir)/$(VERIFY_DIR)/*.h) medsync.control

$(filter-out $(VERIFY_SHARED_OBJS),$(VERIFY_OBJS)): %.o: %.c
	$(VERIFY_COMPILE)

$(foreach file,$(VERIFY_SHARED),$(eval $(VERIFY_DIR)/shared_$(basename $(notdir $(file))).o: $(file); $$(VERIFY_COMPILE)))

$(VERIFY): $(VERIFY_OBJS)
	$(CC) $(CFLAGS) $^ $(LDFLAGS) $(LDFLAGS_EX) -L$(pkglibdir) -L$(libdir) -lpgcommon -lpgport -lcrypto $(filter -ldl -lm,$(LIBS)) -o $@

.PHONY: install-verify uninstall-verify
install: install-verify
install-verify: $(VERIFY)
	$(MKDIR_P) '$(DESTDIR)$(bindir)' '$(DESTDIR)$(mandir)/man1'
	$(INSTALL_PROGRAM) $(VERIFY) '$(DESTDIR)$(bindir)/medsync-verify'
	$(INSTALL_DATA) $(srcdir)/$(VERIFY_DIR)/medsync-verify.1 '$(DESTDIR)$(mandir)/man1/medsync-verify.1'

uninstall: uninstall-verify
uninstall-verify:
	rm -f '$(DESTDIR)$(bindir)/medsync-verify' '$(DESTDIR)$(mandir)/man1/medsync-verify.1'

.PHONY: check-tap check-pgtap fuzz-replay fuzz bench-quick indent

# Tests that start servers of their own; as an unprivileged user.
check-tap:
	cd $(srcdir) && PATH="$(bindir):$$PATH" PG_REGRESS='$(top_builddir)/src/test/regress/pg_regress' \
		prove -I $(top_srcdir)/src/test/perl/ -I test/tap/lib $(PROVE_FLAGS) test/tap/*.pl

check-pgtap:
	pg_prove $(PROVE_FLAGS) $(srcdir)/test/pgtap/*.sql

# The parsers of what outsiders send: the kept corpus under ASan and UBSan, and
# libFuzzer for FUZZ_SECONDS a target (Debian: clang, libclang-rt-dev).
fuzz-replay:
	$(MAKE) -C $(srcdir)/test/fuzz replay

fuzz:
	$(MAKE) -C $(srcdir)/test/fuzz fuzz

bench-quick:
	$(srcdir)/test/bench/run --quick

# Needs pgindent and pg_bsd_indent (Debian: pg-bsd-indent); by hand only.
indent:
	pgindent --typedefs=typedefs.list $(wildcard src/*.[ch] src/*/*.[ch] src/bin/*/*.[ch])
