# medsync: a PGXS extension.  The version stands in medsync.control only.
EXTENSION = medsync
EXTVERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" medsync.control)

# The rooms, in the order in which one may call another.
COMMON = src/common/wire.o src/common/json_text.o src/common/catalog.o
VAULT = src/vault/crypto.o src/vault/key_file.o src/vault/master_key.o src/vault/subject_key.o
LEDGER = src/ledger/canonical.o src/ledger/entry.o src/ledger/merkle.o src/ledger/commitment.o \
	src/ledger/manifest_text.o src/ledger/manifest.o src/ledger/ledger.o src/ledger/row.o \
	src/ledger/image.o src/ledger/journal.o src/ledger/capture.o \
	src/ledger/track.o src/ledger/guard.o src/ledger/walk.o \
	src/ledger/order.o src/ledger/balance.o src/ledger/sealer.o src/ledger/worker.o src/ledger/verify.o src/ledger/verify_live.o \
	src/ledger/render.o src/ledger/history.o src/ledger/status.o
PROOFS = src/proofs/note.o src/proofs/tiles.o src/proofs/signer.o \
	src/proofs/checkpoint.o src/proofs/proofs.o src/proofs/file.o \
	src/proofs/export.o src/proofs/entries.o

MODULE_big = medsync
OBJS = src/medsync.o $(COMMON) $(VAULT) $(LEDGER) $(PROOFS)

# The install script is the rooms' parts in this order.
SQL_PARTS = src/common/common.sql src/vault/vault.sql src/ledger/ledger.sql \
	src/proofs/proofs.sql
DATA_built = medsync--$(EXTVERSION).sql

REGRESS = $(sort $(patsubst sql/%.sql,%,$(wildcard sql/*.sql)))
# medsync needs UTF8, whatever the cluster's default.
REGRESS_OPTS = --encoding=UTF8
ISOLATION = $(sort $(patsubst test/isolation/specs/%.spec,%,$(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation --load-extension=medsync --encoding=UTF8

# The server's headers as system headers: warnings are for our own code.
PG_CPPFLAGS = -I$(srcdir)/src -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS = -Wno-unused-parameter
SHLIB_LINK = -lcrypto
EXTRA_CLEAN = src/*.bc src/*/*.bc

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Every source sees every header change; the tree is small.
$(OBJS): $(wildcard $(srcdir)/src/*.h $(srcdir)/src/*/*.h)

medsync--$(EXTVERSION).sql: $(SQL_PARTS) medsync.control
	cat $(filter %.sql,$^) > $@

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
	pgindent --typedefs=typedefs.list $(wildcard src/*.[ch] src/*/*.[ch])
