#!/usr/bin/env python3
"""What tracking a table costs, beside the same work untracked and beside
other ways to keep an audit.  docs/benchmarks.md says how to read the output.

Every variant has its own database with the same table.  In a round each
workload runs once on every variant, one right after the other, in an order
that rotates; ratios are taken inside a round and the median over the rounds
is printed.  CPU time is that of the backends, from /proc; WAL is the distance
between two insert positions.

Nothing is installed.  The clusters are private: own directory, unix socket
only, an unprivileged user, removed at the end.
"""

import argparse
import csv
import ctypes
import glob
import os
import pwd
import random
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from records import Records  # noqa: E402
from signatures import Signatures  # noqa: E402
from vault import Vault  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """A workload did not run, or what it did was not recorded."""


class Missing(Exception):
    """Something has to be installed first."""


def say(text=""):
    """A line of progress: on stderr, so that stdout is the report alone."""
    print(text, file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------
# libpq, as far as it is needed here
# ---------------------------------------------------------------------------

class Session:
    """One connection.  query() waits in select(), so that a signal gets
    through and the backend's memory can be sampled meanwhile."""

    libpq = None

    @classmethod
    def load(cls, libdir):
        for name in (os.path.join(libdir, "libpq.so.5"), "libpq.so.5"):
            try:
                lib = ctypes.CDLL(name)
                break
            except OSError:
                continue
        else:
            raise Missing("libpq.so.5 is missing (apt-get install libpq5)")
        pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
        for function, result, *arguments in (
                ("PQconnectdb", pointer, text),
                ("PQfinish", None, pointer),
                ("PQstatus", number, pointer),
                ("PQerrorMessage", text, pointer),
                ("PQbackendPID", number, pointer),
                ("PQsocket", number, pointer),
                ("PQsendQuery", number, pointer, text),
                ("PQconsumeInput", number, pointer),
                ("PQisBusy", number, pointer),
                ("PQgetResult", pointer, pointer),
                ("PQresultStatus", number, pointer),
                ("PQresultErrorMessage", text, pointer),
                ("PQntuples", number, pointer),
                ("PQnfields", number, pointer),
                ("PQgetisnull", number, pointer, number, number),
                ("PQgetvalue", text, pointer, number, number),
                ("PQclear", None, pointer)):
            f = getattr(lib, function)
            f.restype, f.argtypes = result, arguments
        cls.libpq = lib

    def __init__(self, conninfo):
        self.connection = self.libpq.PQconnectdb(conninfo.encode())
        if self.libpq.PQstatus(self.connection) != 0:
            message = self.error()
            self.close()
            raise Failure("cannot connect: " + message)
        self.pid = self.libpq.PQbackendPID(self.connection)
        self.peak = 0

    def error(self):
        return self.libpq.PQerrorMessage(self.connection).decode().strip()

    def close(self):
        if self.connection:
            self.libpq.PQfinish(self.connection)
        self.connection = None

    def query(self, sql, sample=False):
        """Run sql; the last result's rows as lists of str or None.  With
        sample, self.peak is the largest private memory seen, in kB."""
        lib, connection = self.libpq, self.connection
        if not lib.PQsendQuery(connection, sql.encode()):
            raise Failure(self.error())
        rows, failed = [], None
        while True:
            while lib.PQisBusy(connection):
                select.select([lib.PQsocket(connection)], [], [],
                              0.05 if sample else None)
                if sample:
                    self.peak = max(self.peak, private_memory(self.pid))
                if not lib.PQconsumeInput(connection):
                    raise Failure(self.error())
            result = lib.PQgetResult(connection)
            if not result:
                break
            status = lib.PQresultStatus(result)
            if status == 2:         # PGRES_TUPLES_OK
                rows = [[None if lib.PQgetisnull(result, i, j) else
                         lib.PQgetvalue(result, i, j).decode()
                         for j in range(lib.PQnfields(result))]
                        for i in range(lib.PQntuples(result))]
            elif status not in (0, 1):
                failed = failed or lib.PQresultErrorMessage(result).decode()
            lib.PQclear(result)
        if failed:
            raise Failure(failed.strip())
        return rows

    def value(self, sql):
        return self.query(sql)[0][0]


# ---------------------------------------------------------------------------
# /proc
# ---------------------------------------------------------------------------

def process_stat(pid):
    """The fields of /proc/PID/stat from the state on, or None."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()
    except OSError:
        return None


def children(pid):
    result = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            stat = process_stat(name)
            if stat and int(stat[1]) == pid:
                result[int(name)] = (int(stat[11]) + int(stat[12])) / TICK
    return result


def process_cpu(pid):
    """Seconds of one process: to the nanosecond where the kernel says so."""
    try:
        with open(f"/proc/{pid}/schedstat") as f:
            return int(f.read().split()[0]) / 1e9
    except (OSError, IndexError):
        stat = process_stat(pid)
        return (int(stat[11]) + int(stat[12])) / TICK


def private_memory(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return int(re.search(r"RssAnon:\s+(\d+)", f.read()).group(1))
    except (OSError, AttributeError):
        return 0


# ---------------------------------------------------------------------------
# Clusters
# ---------------------------------------------------------------------------

class Server:
    """Where PostgreSQL's programs are, and as whom they run."""

    def __init__(self, pg_config):
        for name in [pg_config] if pg_config else \
                [os.environ.get("PG_CONFIG"), "pg_config"] + \
                sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_config")):
            path = shutil.which(name or "")
            if path and os.path.exists(os.path.join(self.ask(
                    path, "--bindir"), "initdb")):
                break
        else:
            raise Missing("no PostgreSQL server found; set PG_CONFIG "
                          "(apt-get install postgresql-15)")
        self.bin = self.ask(path, "--bindir")
        self.share = self.ask(path, "--sharedir")
        self.major = self.ask(path, "--version").split()[1].split(".")[0]
        Session.load(self.ask(path, "--libdir"))
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            try:
                pwd.getpwnam(self.user)
            except KeyError:
                raise Missing("the server refuses to run as root, and there "
                              "is no user postgres")

    @staticmethod
    def ask(pg_config, option):
        return subprocess.run([pg_config, option], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def run(self, program, *arguments):
        command = [os.path.join(self.bin, program), *arguments]
        if self.user:
            command = ["runuser", "-u", self.user, "--", *command]
        done = subprocess.run(command, text=True, cwd="/",
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise Failure(f"{program}: {done.stdout.strip()}")

    def has_extension(self, name):
        return os.path.exists(os.path.join(self.share, "extension",
                                           name + ".control"))


class Cluster:
    def __init__(self, server, directory, name, port, settings):
        self.server = server
        self.home = os.path.join(directory, name)
        os.mkdir(self.home)
        if server.user:
            shutil.chown(self.home, server.user)
        self.data = os.path.join(self.home, "data")
        self.log = os.path.join(self.home, "log")
        self.where = f"host={self.home} port={port} connect_timeout=10"
        self.environment = dict(os.environ, PGHOST=self.home,
                                PGPORT=str(port))
        self.running = False
        self.admin = None
        self.settings = settings
        self.port = port

    def start(self):
        server, port = self.server, self.port
        server.run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres",
                   "-E", "UTF8", "--locale=C", "--no-sync")
        with open(os.path.join(self.data, "postgresql.conf"), "a") as f:
            f.write(f"listen_addresses = ''\nport = {port}\n"
                    f"unix_socket_directories = '{self.home}'\n")
            for key, value in self.settings.items():
                f.write(f"{key} = '{value}'\n")
        self.running = True
        server.run("pg_ctl", "-w", "-t", "120", "-D", self.data,
                   "-l", self.log, "start")
        self.connect_admin()
        self.admin.query("CREATE ROLE bench_app LOGIN; "
                         "GRANT pg_read_server_files TO bench_app")

    def connect_admin(self):
        """A session of our own, and what else the postmaster has as
        children while no work is going on."""
        if self.admin:
            self.admin.close()
        for attempt in range(60):
            try:
                self.admin = self.session("postgres", "postgres")
                break
            except Failure:
                if attempt == 59:
                    raise
                time.sleep(0.5)     # perhaps in recovery after a crash
        with open(os.path.join(self.data, "postmaster.pid")) as f:
            self.postmaster = int(f.readline())
        self.auxiliary = set(children(self.postmaster))

    def stop(self):
        if self.admin:
            self.admin.close()
        if self.running:
            self.running = False
            self.server.run("pg_ctl", "-D", self.data, "-m", "immediate",
                            "-w", "stop")

    def session(self, database, user="bench_app", options=""):
        return Session(f"{self.where} dbname={database} user={user} "
                       f"options='-c client_min_messages=warning {options}'")

    def insert_position(self):
        return int(self.admin.value(
            "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))

    def log_lines(self, word):
        """Lines of the server's collected log that contain word."""
        count = 0
        for name in glob.glob(os.path.join(self.data, "log", "*")):
            with open(name, errors="replace") as f:
                count += sum(word in line for line in f)
        return count

    def wait_idle(self, *but):
        """Wait until the backends of the last run are gone: what they used
        is then in the postmaster's account of reaped children."""
        deadline = time.monotonic() + 10
        while set(children(self.postmaster)) - self.auxiliary - set(but):
            if time.monotonic() > deadline:
                raise Failure("backends did not go away")
            time.sleep(0.01)

    def reaped_cpu(self):
        stat = process_stat(self.postmaster)
        return (int(stat[13]) + int(stat[14])) / TICK

    def background_cpu(self):
        """The postmaster itself, WAL writer, checkpointer, logger and so on."""
        alive = children(self.postmaster)
        return sum(process_cpu(pid) for pid in alive
                   if pid != self.admin.pid and pid in self.auxiliary) + \
            process_cpu(self.postmaster)


# ---------------------------------------------------------------------------
# Variants
# ---------------------------------------------------------------------------

def script(name, **values):
    with open(os.path.join(HERE, "sql", name)) as f:
        text = f.read()
    for key, value in values.items():
        text = text.replace(f"@{key.upper()}@", str(value))
    return text


class Variant:
    """One way to record changes.  setup names its script; count is the query
    that says how many changes it has recorded."""

    def __init__(self, name, title, setup=None, extension=None, package=None,
                 count=None, cluster="plain"):
        self.name, self.title, self.setup = name, title, setup
        self.extension, self.package = extension, package
        self.count, self.cluster = count, cluster

    @property
    def ours(self):
        return self.extension == "medsync"


VARIANTS = [
    Variant("baseline", "untracked"),
    Variant("control", "untracked, again"),
    Variant("hash", "medsync, hash", "medsync_hash.sql", "medsync"),
    Variant("full", "medsync, full", "medsync_full.sql", "medsync"),
    Variant("jsonb", "PL/pgSQL jsonb audit", "jsonb_audit.sql",
            count="SELECT count(*) FROM audit.logged_action"),
    Variant("pgaudit", "pgaudit", "pgaudit.sql", "pgaudit",
            "postgresql-{}-pgaudit", cluster="pgaudit"),
    Variant("tablelog", "tablelog", "tablelog.sql", "table_log",
            "postgresql-{}-tablelog",
            count="SELECT count(*) FROM bench.t_log "
                  "WHERE trigger_tuple = 'new'"),
    Variant("chain", "locked hash chain", "locked_chain.sql",
            count="SELECT count(*) FROM chain.link"),
]
PEERS = ["jsonb", "pgaudit", "tablelog", "chain"]


class Table:
    """A database with the table of one variant."""

    def __init__(self, bench, variant, name, rows):
        self.bench, self.variant, self.name = bench, variant, name
        self.cluster = bench.cluster(variant.cluster)
        self.live = 0           # rows that the table must have
        self.changes = 0        # changes that must have been recorded
        self.statements = 0     # the same, counted in statements
        self.cluster.admin.query(f"DROP DATABASE IF EXISTS {name} "
                                 "WITH (FORCE)")
        self.cluster.admin.query(f"CREATE DATABASE {name}")
        self.owner = self.cluster.session(name, "postgres",
                                          "-c synchronous_commit=off")
        self.owner.query(script("table.sql"))
        self.owner.query(script("staging.sql", rows=rows,
                                patients=bench.patients))
        if variant.setup:
            self.owner.query(script(variant.setup))
        self.log_start = self.cluster.log_lines("AUDIT:")
        self.cluster.connect_admin()    # owner is one of its children now

    def drop(self):
        self.owner.close()
        self.cluster.admin.query(f"DROP DATABASE {self.name} WITH (FORCE)")

    def did(self, changes, live=0, statements=1):
        self.changes += changes
        self.live += live
        self.statements += statements

    def session(self, options=""):
        return self.cluster.session(self.name, options=options)

    def seed(self):
        """Rows for the updates; every patient gets a subject key."""
        session = self.session("-c synchronous_commit=off")
        session.query(INSERT_SELECT)
        session.close()
        self.did(self.bench.bulk, self.bench.bulk)

    def ledger_size(self):
        """Seal; the number of entries then."""
        return int(self.owner.query("SELECT * FROM medsync.seal()")[0][1]
                   or 0)

    def check(self):
        """Every change must be there, in the table and in the record."""
        live = int(self.owner.value("SELECT count(*) FROM bench.t"))
        if live != self.live:
            raise Failure(f"{self.live} rows expected, {live} found")
        wanted = self.changes
        if self.variant.ours:
            recorded = self.ledger_size()
            row = self.owner.query("SELECT errors, entries, rows, unsealed "
                                   "FROM medsync.verify_summary()")[0]
            if None in row:
                raise Failure("verify_summary() returned NULL")
            if row[0] != "0":
                raise Failure(f"verify found {row[0]} errors")
            if int(row[2]) != live or int(row[1]) < wanted:
                raise Failure(f"verify saw {row[1]} entries and {row[2]} "
                              f"rows of {wanted} and {live}")
        elif self.variant.count:
            recorded = int(self.owner.value(self.variant.count))
        elif self.variant.name == "pgaudit":
            wanted = self.statements
            recorded = self.cluster.log_lines("AUDIT:") - self.log_start
        else:
            return
        if recorded < wanted:
            raise Failure(f"{wanted} changes made, {recorded} recorded")


# ---------------------------------------------------------------------------
# Workloads
# ---------------------------------------------------------------------------

COLUMNS = "patient_id, taken_at, code, value, note, status"
INSERT_SELECT = (f"INSERT INTO bench.t ({COLUMNS}) "
                 f"SELECT {COLUMNS} FROM bench.staging")
KNOWN = f"""\\set patient random(1, :patients)
\\set value random(10, 2000)
INSERT INTO bench.t ({COLUMNS}) VALUES (:patient, now(), '8480-6', :value / 10.0, 'measured at rest, ward 12, sample 4711', 'final');
"""
NEW = f"""\\set n :n + 1
\\set patient :base + :client_id * 1000000 + :n
\\set value random(10, 2000)
INSERT INTO bench.t ({COLUMNS}) VALUES (:patient, now(), '8480-6', :value / 10.0, 'measured at rest, ward 12, sample 4711', 'final');
"""
UPDATE = """\\set id random(1, :seeded)
\\set value random(10, 2000)
UPDATE bench.t SET value = :value / 10.0, status = 'amended' WHERE id = :id;
"""
# A batch: one sample each of a hundred patients that follow each other
BATCH = f"""\\set first random(1, :patients)
INSERT INTO bench.t ({COLUMNS}) VALUES
""" + ",\n".join(
    f"((:first + {i}) % :patients + 1, now(), '718-7', {70 + i * 0.7:.1f}, "
    f"'measured at rest, ward {i % 40}, sample {4711 + i}', 'final')"
    for i in range(100)).replace(":patients", "@PATIENTS@") + ";\n"


class Bulk:
    """One statement over many rows, in a session that has touched the table
    before.  sql may name the bulk file; live says whether rows are added."""

    clients = 1
    bulk = True

    def __init__(self, name, title, sql, live):
        self.name, self.title, self.sql, self.live = name, title, sql, live

    def run(self, bench, table):
        rows = bench.bulk
        cluster = table.cluster
        session = table.session("-c synchronous_commit=off")
        try:
            session.query(f"INSERT INTO bench.t ({COLUMNS}) SELECT {COLUMNS} "
                          "FROM bench.staging LIMIT 10")
            session.query("UPDATE bench.t SET status = 'final' WHERE id = 1")
            table.did(11, 10, 2)
            cluster.admin.query("CHECKPOINT")
            sql = self.sql.format(file=bench.copy_file(table), rows=rows)
            background = cluster.background_cpu()
            wal = cluster.insert_position()
            cpu = process_cpu(session.pid)
            start = time.perf_counter()
            session.query(sql)
            seconds = time.perf_counter() - start
            cpu = process_cpu(session.pid) - cpu
            wal = cluster.insert_position() - wal
            background = cluster.background_cpu() - background
        finally:
            session.close()
        table.did(rows, rows if self.live else 0)
        return dict(seconds=seconds, cpu=cpu, cpu_all=cpu + background,
                    wal=wal, changes=rows)


class Clients:
    """pgbench with a fixed number of transactions, prepared."""

    def __init__(self, name, title, text, clients=8, per=1, live=True,
                 share=1.0, commit="off"):
        self.name, self.title, self.text = name, title, text
        self.clients, self.per, self.live = clients, per, live
        self.share, self.commit = share, commit
        self.bulk = per > 1

    def pgbench(self, bench, table, count, base):
        arguments = {"patients": bench.patients, "seeded": bench.bulk,
                     "n": 0, "base": base}
        command = [os.path.join(bench.server.bin, "pgbench"), "-n",
                   "-M", "prepared", "-c", str(self.clients),
                   "-j", str(min(self.clients, bench.cores)), "-t", str(count),
                   "-U", "bench_app", "-f", bench.script_file(self),
                   f"--random-seed={bench.round * 1000 + base}"]
        for key, value in arguments.items():
            command += ["-D", f"{key}={value}"]
        environment = dict(table.cluster.environment, PGOPTIONS="-c "
                           f"synchronous_commit={self.commit}")
        done = subprocess.run(command + [table.name], env=environment,
                              text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        total = count * self.clients
        if done.returncode or f"processed: {total}/{total}\n" not in \
                done.stdout:
            raise Failure("pgbench: " + (done.stderr or done.stdout).strip())
        tps = re.search(r"^tps = ([\d.]+)", done.stdout, re.M)
        table.did(total * self.per, total * self.per if self.live else 0,
                  total)
        return total / float(tps.group(1))

    def run(self, bench, table):
        count = max(2, int(bench.transactions * self.share * 8
                           / self.clients))
        cluster = table.cluster
        self.pgbench(bench, table, max(1, count // 50), 1000000000)
        cluster.wait_idle()
        cluster.admin.query("CHECKPOINT")
        background = cluster.background_cpu()
        wal = cluster.insert_position()
        cpu = cluster.reaped_cpu()
        seconds = self.pgbench(bench, table, count, 100000000)
        cluster.wait_idle()
        cpu = cluster.reaped_cpu() - cpu
        wal = cluster.insert_position() - wal
        background = cluster.background_cpu() - background
        return dict(seconds=seconds, cpu=cpu, cpu_all=cpu + background,
                    wal=wal, changes=count * self.clients * self.per)


WORKLOADS = [
    Bulk("copy", "COPY",
         f"COPY bench.t ({COLUMNS}) FROM '{{file}}'", True),
    Bulk("insert_select", "INSERT .. SELECT", INSERT_SELECT, True),
    Clients("insert100", "100-row INSERT, 8 clients", BATCH, per=100,
            share=0.02),
    Clients("insert", "1-row INSERT, known subject, 8 clients", KNOWN),
    Clients("insert_new", "1-row INSERT, new subject, 8 clients", NEW),
    Clients("update", "UPDATE by key, 8 clients", UPDATE, live=False),
    Bulk("bulk_update", "UPDATE of many rows",
         "UPDATE bench.t SET value = value + 1, status = 'amended' "
         "WHERE id <= {rows}", False),
    Clients("insert_sync",
            "1-row INSERT, 32 clients, synchronous_commit on", KNOWN,
            clients=32, share=1.0, commit="on"),
]
# What --only takes beside the names of workloads
EXTRA = {"rates": "sealing and verification of a large table",
         "open": "seal() while one transaction stays open",
         "proofs": "proofs, receipts, signing, export, offline verification",
         "records": "putting, getting and re-keying records",
         "vault": "the vault's primitives beside pgcrypto and openssl speed",
         "signatures": "rows that must be signed, beside openssl speed"}


# ---------------------------------------------------------------------------
# The run
# ---------------------------------------------------------------------------

class Bench:
    def __init__(self, options):
        self.options = options
        self.server = Server(options.pg_config)
        self.cores = os.cpu_count()
        self.round = 0
        self.patients = options.patients
        self.bulk = options.bulk
        self.transactions = options.transactions
        self.results = {}       # (workload, variant) -> {round: measurement}
        self.rates = []         # lines of the report on seal and verify
        self.proof_rates = []   # the same on export and offline verification
        self.latencies = []     # (entries, {what: milliseconds of each call})
        self.signed = {}        # "signed", "unsigned" -> milliseconds of seals
        self.records = None     # what records take
        self.vault = None       # what the vault's primitives take
        self.signatures = None  # what rows that must be signed take
        self.measured = {}      # name -> figure, for the goals
        self.failures = []
        self.clusters = {}
        self.directory = None
        self.csv = None

    # -- what is there ------------------------------------------------------

    def choose(self):
        wanted = self.options.variants
        self.variants, self.skipped = [], []
        for variant in VARIANTS:
            if wanted and variant.name not in wanted:
                continue
            if variant.extension and \
                    not self.server.has_extension(variant.extension):
                if variant.ours:
                    raise Missing(
                        "medsync is not installed in this server (make "
                        "install), or leave it out with --variants")
                self.skipped.append(
                    f"{variant.title}: skipped, package "
                    f"{variant.package.format(self.server.major)} "
                    "is not installed")
                continue
            self.variants.append(variant)
        for line in self.skipped:
            say(line)
        only = self.options.only
        self.workloads = [w for w in WORKLOADS if not only or w.name in only]

    def wants(self, extra):
        return (not self.options.only or extra in self.options.only) and \
            any(v.ours for v in self.variants)

    # -- clusters and files --------------------------------------------------

    def open(self):
        self.directory = tempfile.mkdtemp(prefix="medsync-bench-",
                                          dir=self.options.dir)
        os.chmod(self.directory, 0o755)
        if self.options.csv:
            self.csv_file = open(self.options.csv, "w", newline="")
            self.csv = csv.writer(self.csv_file)
            self.csv.writerow(["round", "workload", "variant", "seconds",
                               "backend_cpu_seconds", "server_cpu_seconds",
                               "wal_bytes", "changes"])

    def cluster(self, name):
        """The cluster of that name; a second one for pgaudit, whose hooks
        would otherwise be in every backend."""
        if name not in self.clusters:
            settings = {
                "shared_buffers": self.options.shared_buffers,
                "max_connections": "60",
                "max_wal_size": "32GB",
                "checkpoint_timeout": "1h",
                "full_page_writes": "off",
                "autovacuum": "off",
                "jit": "off",
                "fsync": "on",
            }
            if name == "pgaudit":
                settings.update({
                    "shared_preload_libraries": "pgaudit",
                    "pgaudit.log": "write",
                    "logging_collector": "on",
                    "log_directory": "log",
                    "log_line_prefix": "%m [%p] %q%u@%d ",
                })
            self.clusters[name] = Cluster(self.server, self.directory, name,
                                          self.options.port, settings)
            self.clusters[name].start()
        return self.clusters[name]

    def close(self):
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_IGN)
        for cluster in self.clusters.values():
            try:
                cluster.stop()
            except Failure as failure:
                say(f"could not stop a server: {failure}")
        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)
        if self.csv:
            self.csv_file.close()

    def script_file(self, workload):
        path = os.path.join(self.directory, workload.name + ".sql")
        if not os.path.exists(path):
            with open(path, "w") as f:
                f.write(workload.text.replace("@PATIENTS@",
                                              str(self.patients)))
        return path

    def copy_file(self, table):
        """The rows of staging as a file, for COPY."""
        path = os.path.join(table.cluster.home, "staging.txt")
        if not os.path.exists(path):
            table.owner.query(f"COPY bench.staging TO '{path}'")
        return path

    # -- rounds ---------------------------------------------------------------

    def fail(self, what, failure):
        self.failures.append(f"{what}: {failure}")
        say(f"FAILED {what}: {failure}")
        if self.options.keep_log:
            for name, cluster in self.clusters.items():
                shutil.copy(cluster.log, f"{self.options.keep_log}.{name}")
        for cluster in self.clusters.values():
            cluster.connect_admin()

    def one_round(self):
        tables = {}
        for variant in self.variants:
            try:
                table = Table(self, variant, "bench_" + variant.name,
                              self.bulk)
                tables[variant.name] = table
                table.seed()
            except Failure as failure:
                tables.pop(variant.name, None)
                self.fail(f"{variant.title}, set up", failure)
        for number, workload in enumerate(self.workloads):
            turn = (self.round + number) % len(self.variants)
            line = []
            for variant in self.variants[turn:] + self.variants[:turn]:
                table = tables.get(variant.name)
                if not table:
                    continue
                try:
                    m = workload.run(self, table)
                except Failure as failure:
                    # its state is no longer that of the others
                    del tables[variant.name]
                    self.fail(f"{variant.title}, {workload.title}", failure)
                    continue
                self.results.setdefault((workload.name, variant.name),
                                        {})[self.round] = m
                line.append(f"{variant.name} {m['seconds']:.2f}")
                self.record(workload.name, variant.name, m)
            say(f"[round {self.round + 1}/{self.options.rounds}] "
                f"{workload.name}: {', '.join(line)} s")
        for name, table in tables.items():
            try:
                if table.variant.ours:
                    self.seal_of_round(table)
                table.check()
            except Failure as failure:
                self.fail(f"{table.variant.title}, check", failure)
        for table in tables.values():
            table.drop()

    def record(self, workload, variant, m):
        if self.csv:
            self.csv.writerow([
                self.round + 1, workload, variant, f"{m['seconds']:.6f}",
                f"{m['cpu']:.6f}", f"{m.get('cpu_all', m['cpu']):.6f}",
                m.get("wal", ""), m["changes"]])
            self.csv_file.flush()

    def timed(self, cluster, session, sql):
        """Run sql in session, alone; rows and a measurement.  Parallel
        workers, if it has any, are the children reaped meanwhile."""
        session.peak = 0
        reaped = cluster.reaped_cpu()
        cpu = process_cpu(session.pid)
        start = time.perf_counter()
        rows = session.query(sql, sample=True)
        seconds = time.perf_counter() - start
        cpu = process_cpu(session.pid) - cpu
        return rows, dict(seconds=seconds,
                          cpu=cpu + cluster.reaped_cpu() - reaped,
                          peak=max(session.peak, private_memory(session.pid)))

    def seal_of_round(self, table):
        """Sealing what all the workloads of a round left."""
        rows, m = self.timed(table.cluster, table.owner,
                             "SELECT * FROM medsync.seal()")
        m["changes"] = int(rows[0][1])
        self.record("seal", table.variant.name, m)
        self.results.setdefault(("seal", table.variant.name),
                                {})[self.round] = m

    # -- seal and verify ------------------------------------------------------

    def seal_and_verify(self):
        """A large table of each kind: seal it, then verify it."""
        rows = self.options.rows
        chunk = min(rows, 100000)
        for variant in [v for v in self.variants if v.ours]:
            try:
                table = Table(self, variant, "bench_large", chunk)
                start = time.perf_counter()
                session = table.session("-c synchronous_commit=off")
                for _ in range(rows // chunk):
                    session.query(INSERT_SELECT)
                    table.did(chunk, chunk)
                session.close()
                say(f"[rates] {variant.name}: {table.live} rows loaded in "
                    f"{time.perf_counter() - start:.1f} s")
                # a session of its own each: nothing cached by the last one
                found, seal = self.alone(table,
                                         "SELECT * FROM medsync.seal()")
                seal["changes"] = int(found[0][1])
                verify = []
                for _ in range(min(3, self.options.rounds)):
                    found, m = self.alone(
                        table, "SELECT errors, rows, entries "
                        "FROM medsync.verify_summary()")
                    if None in found[0]:
                        raise Failure("verify_summary() returned NULL")
                    m["changes"] = int(found[0][1])
                    if found[0][0] != "0":
                        raise Failure(f"verify found {found[0][0]} errors")
                    verify.append(m)
                    self.record("verify", variant.name, m)
                self.record("seal_large", variant.name, seal)
                size = int(table.owner.value(
                    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
                    "WHERE relnamespace = 'medsync'::regnamespace "
                    "AND relkind = 'r'"))
                self.rate_line(f"seal(), {variant.title}, "
                               f"{seal['changes']:,} entries", [seal],
                               "seal_" + variant.name)
                self.rate_line(f"verify_summary(), {variant.title}, "
                               f"{table.live:,} rows", verify,
                               "verify_" + variant.name)
                self.rates.append((
                    f"ledger on disk, {variant.title}",
                    f"{size / seal['changes']:.0f} B an entry", "", "", ""))
                table.check()
                table.drop()
            except Failure as failure:
                self.fail(f"{variant.title}, seal and verify", failure)

    def alone(self, table, sql):
        session = table.cluster.session(table.name, "postgres")
        try:
            table.cluster.wait_idle(session.pid)
            return self.timed(table.cluster, session, sql)
        finally:
            session.close()

    def rate_line(self, title, runs, name, lines=None):
        lines = self.rates if lines is None else lines
        seconds = statistics.median(m["seconds"] for m in runs)
        cpu = statistics.median(m["cpu"] for m in runs)
        count = runs[0]["changes"]
        self.measured[name] = count / cpu
        lines.append((title, f"{seconds:.2f} s", f"{cpu:.2f} s",
                      f"{count / cpu / 1e6:.2f} M/s",
                      f"{max(m['peak'] for m in runs) / 1024:.0f} MB"))
        say(f"[rates] {title}: {seconds:.2f} s, {cpu:.2f} s CPU, "
            f"{count / cpu / 1e6:.2f} M/s")

    def seal_while_open(self):
        """Entries pass, many transactions and many seals, while one
        transaction that has written stays open."""
        variant = next(v for v in self.variants if v.ours)
        batch = next(w for w in WORKLOADS if w.name == "insert100")
        steps = max(6, min(20, self.options.open_entries // 50000))
        count = max(1, self.options.open_entries // steps // 800)
        try:
            table = Table(self, variant, "bench_open", 100)
            size = table.ledger_size()
            holder = table.session()
            holder.query("BEGIN")
            holder.query(f"INSERT INTO bench.t ({COLUMNS}) SELECT {COLUMNS} "
                         "FROM bench.staging LIMIT 1")
            holder.query("SELECT pg_current_xact_id()")
            costs = []
            for step in range(steps):
                batch.pgbench(self, table, count, 100000000 + step)
                table.cluster.wait_idle(holder.pid)
                rows, m = self.timed(table.cluster, table.owner,
                                     "SELECT * FROM medsync.seal()")
                m["changes"] = int(rows[0][1]) - size
                size += m["changes"]
                if m["changes"] < count * 800:
                    raise Failure(f"{m['changes']} entries sealed of "
                                  f"{count * 800}")
                self.record("seal_open", variant.name, m)
                costs.append([m[key] * 100000 / m["changes"]
                              for key in ("seconds", "cpu")])
                say(f"[open] {size:,} entries: {costs[-1][0]:.3f} s, "
                    f"{costs[-1][1]:.3f} s CPU for 100,000")
            holder.query("COMMIT")
            holder.close()
            table.did(1, 1)
            if table.ledger_size() <= size:
                raise Failure("the open transaction's entry was not sealed "
                              "after its commit")
            first, last = costs[:3], costs[-3:]
            seconds, cpu = [[statistics.median(c[i] for c in part)
                             for part in (first, last)] for i in (0, 1)]
            self.measured["open"] = cpu[1] / cpu[0]
            for title, i in (("first", 0), ("last", 1)):
                self.rates.append((
                    f"seal() while a transaction stays open, 100,000 entries,"
                    f" {title} of {size:,}", f"{seconds[i]:.3f} s",
                    f"{cpu[i]:.3f} s", f"{0.1 / cpu[i]:.2f} M/s", ""))
            table.check()
            table.drop()
        except Failure as failure:
            self.fail(f"{variant.title}, seal while open", failure)

    # -- proofs ---------------------------------------------------------------

    def prove(self):
        """A ledger that grows: what proofs and receipts take at each size,
        and at the last one signing, export and offline verification."""
        variant = next((v for v in self.variants if v.name == "full"),
                       next(v for v in self.variants if v.ours))
        sizes = self.options.proof_sizes
        try:
            table = Table(self, variant, "bench_proofs",
                          min(sizes[-1], 100000))
            for size in sizes:
                self.grow(table, size)
                self.latency_of(table, size)
            self.export(table, sizes[-1])
            self.signing(table)
            table.check()
            table.drop()
        except Failure as failure:
            self.fail(f"{variant.title}, proofs", failure)

    def grow(self, table, size):
        """Rows until the ledger has so many sealed entries."""
        session = table.session("-c synchronous_commit=off")
        missing = size - table.ledger_size()
        while missing > 0:
            count = min(missing, 100000)
            session.query(f"{INSERT_SELECT} LIMIT {count}")
            table.did(count, count)
            missing -= count
        session.close()
        found = table.ledger_size()
        if found != size:
            raise Failure(f"{size} entries wanted, {found} sealed")

    def latency_of(self, table, size):
        """Calls one by one, each of other entries, as a client sees them."""
        chance = random.Random(size)
        session = table.cluster.session(table.name, "postgres")
        key = session.value("SELECT medsync.verifier_key()")
        receipt = "SELECT medsync.receipt("
        calls = {
            "nothing": lambda: "SELECT 1",
            "inclusion": lambda: "SELECT medsync.prove_inclusion("
            f"{chance.randrange(size)})",
            "consistency": lambda: "SELECT medsync.prove_consistency("
            f"{chance.randrange(1, size)})",
            "receipt_at": lambda: f"{receipt}{chance.randrange(size)})",
            "receipt": lambda: f"{receipt}'bench.t', '{{\"id\": "
            f"{chance.randrange(1, table.live + 1)}}}')",
        }
        found = {}
        for name, make in calls.items():
            found[name], values = self.one_by_one(
                session, [make() for _ in range(self.options.calls)])
            if None in values:
                raise Failure(f"{name}: NULL")
        receipts = values
        found["verify"], values = self.one_by_one(session, [
            f"SELECT verdict FROM medsync.verify_receipt($r${text}$r$, "
            f"'{key}')" for text in receipts])
        if set(values) != {"valid"}:
            raise Failure(f"verify_receipt() said {sorted(set(values))}")
        session.close()
        found["bytes"] = [len(text.encode()) for text in receipts]
        self.latencies.append((size, found))
        say(f"[proofs] {size:,} entries: " + ", ".join(
            f"{name} {statistics.median(m):.3f}" for name, m in found.items()
            if name != "bytes") + " ms")

    @staticmethod
    def one_by_one(session, statements):
        """Milliseconds of each, and the values that they gave."""
        times, values = [], []
        for sql in statements:
            start = time.perf_counter()
            values.append(session.value(sql))
            times.append((time.perf_counter() - start) * 1000)
        return times, values

    def export(self, table, size):
        """The public and the private export, and the program that checks
        them from outside."""
        home = table.cluster.home
        log, file = os.path.join(home, "log-export"), \
            os.path.join(home, "entries-export")
        key = os.path.join(self.directory, "key")
        with open(key, "w") as f:
            f.write(table.owner.value("SELECT medsync.verifier_key()") + "\n")

        _, public = self.alone(table, f"SELECT medsync.export('{log}')")
        _, private = self.alone(table,
                                f"SELECT medsync.export_entries('{file}')")
        self.proof_rate(f"export(), {directory_size(log) / size:.0f} B an "
                        "entry", size, public)
        self.proof_rate("export_entries(), "
                        f"{os.path.getsize(file) / size:.0f} B an entry",
                        size, private)
        for title, arguments in (
                ("medsync-verify log", ["log", log]),
                ("medsync-verify entries", ["entries", file, "--log", log]),
                ("medsync-verify live", [
                    "live", f"{table.cluster.where} dbname={table.name} "
                    "user=postgres"])):
            self.proof_rate(title, size, self.outside(
                "medsync-verify", *arguments, "--key", key))

        # what a nightly export of a day's entries takes
        session = table.session("-c synchronous_commit=off")
        more = min(10000, size)
        session.query(f"{INSERT_SELECT} LIMIT {more}")
        session.close()
        table.did(more, more)
        table.ledger_size()
        _, again = self.alone(table, f"SELECT medsync.export('{log}')")
        self.proof_rate("export() of more into the same directory", more,
                        again)
        shutil.rmtree(log)
        os.unlink(file)

    def proof_rate(self, title, count, m):
        m["changes"] = count
        self.record(title, "", m)
        self.rate_line(f"{title}, {count:,} entries", [m], title,
                       self.proof_rates)

    def outside(self, program, *arguments):
        """A program that is no server; status 0 is expected of it."""
        path = os.path.join(self.server.bin, program)
        with tempfile.TemporaryFile("w+", dir=self.directory) as output:
            start = time.perf_counter()
            try:
                child = subprocess.Popen(
                    [path, *arguments], stdin=subprocess.DEVNULL,
                    stdout=output, stderr=subprocess.STDOUT)
            except OSError as error:
                raise Failure(f"{path}: {error.strerror}")
            _, status, usage = os.wait4(child.pid, 0)
            seconds = time.perf_counter() - start
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                output.seek(0)
                raise Failure(f"{program} {arguments[0]} ended with "
                              f"{child.returncode}: {output.read(2000)}")
        return dict(seconds=seconds, cpu=usage.ru_utime + usage.ru_stime,
                    peak=usage.ru_maxrss)

    def signing(self, table):
        """seal() of one entry, signed and not: without its key file a block
        stays unsigned."""
        session = table.cluster.session(table.name, "postgres",
                                        "-c client_min_messages=error")
        admin = table.cluster.admin
        admin.query("LOAD 'medsync'")
        found = {"signed": [], "unsigned": []}
        for step in range(2 * self.options.signing_rounds):
            name = "unsigned" if step % 2 else "signed"
            if step % 2:
                admin.query("ALTER SYSTEM SET medsync.signer_key_file = "
                            "'/nonexistent/medsync_signer.key'")
            else:
                admin.query("ALTER SYSTEM RESET medsync.signer_key_file")
            admin.query("SELECT pg_reload_conf()")
            time.sleep(0.2)         # until it has reached the session
            session.query("SELECT 1")
            for _ in range(self.options.calls // 50 + 1):
                session.query(f"{INSERT_SELECT} LIMIT 1")
                table.did(1, 1)
                start = time.perf_counter()
                session.query("SELECT * FROM medsync.seal()")
                found[name].append((time.perf_counter() - start) * 1000)
            count = session.value(
                "SELECT count(note) FROM (SELECT note FROM medsync.checkpoint "
                "ORDER BY height DESC LIMIT 1) AS newest")
            if count != ("0" if step % 2 else "1"):
                raise Failure(f"the last block should be {name}")
        session.close()
        self.signed = found

    # -- figures --------------------------------------------------------------

    # -- vault ----------------------------------------------------------------

    def measure_vault(self):
        """In a database of its own, which is gone with the cluster."""
        cluster = self.cluster("plain")
        cluster.admin.query("CREATE DATABASE bench_vault")
        session = cluster.session("bench_vault", "postgres")
        try:
            if not self.server.has_extension("pgcrypto"):
                self.skipped.append("pgcrypto: skipped, the package of "
                                    "contrib is not installed")
            self.vault = Vault(session, process_cpu, self.options.quick,
                               self.server.has_extension("pgcrypto"))
            for number in range(self.options.rounds):
                self.vault.round()
                say(f"[vault] round {number + 1}")
        except Failure as failure:
            self.fail("vault", failure)
        finally:
            session.close()

    # -- signed rows ----------------------------------------------------------

    def measure_signatures(self):
        """In a database of its own, which is gone with the cluster."""
        cluster = self.cluster("plain")
        cluster.admin.query("CREATE DATABASE bench_signatures")
        session = cluster.session("bench_signatures", "postgres")
        try:
            self.signatures = Signatures(session, process_cpu,
                                         self.options.quick)
            for number in range(self.options.rounds):
                self.signatures.round()
                say(f"[signatures] round {number + 1}")
        except Failure as failure:
            self.fail("signatures", failure)
        finally:
            session.close()

    # -- records --------------------------------------------------------------

    def measure_records(self):
        """In a database of its own, which is gone with the cluster."""
        cluster = self.cluster("plain")
        cluster.admin.query("CREATE DATABASE bench_records")
        session = cluster.session("bench_records", "postgres")
        try:
            self.records = Records(session, process_cpu,
                                   cluster.insert_position,
                                   self.options.quick)
            for number in range(self.options.rounds):
                self.records.round()
                say(f"[records] round {number + 1}")
        except (Failure, RuntimeError) as failure:
            self.fail("records", failure)
        finally:
            session.close()

    def median(self, workload, variant, key):
        runs = self.results.get((workload, variant))
        if not runs:
            return None
        if key == "wal":
            return statistics.median(m["wal"] / m["changes"]
                                     for m in runs.values())
        return statistics.median(m[key] for m in runs.values())

    def ratio(self, workload, variant, key="seconds", against="baseline"):
        """Median over the rounds of the ratio inside a round."""
        ours = self.results.get((workload, variant), {})
        theirs = self.results.get((workload, against), {})
        both = [ours[r][key] / theirs[r][key] for r in ours
                if r in theirs and theirs[r][key] > 0]
        return statistics.median(both) if both else None

    def wal_added(self, workload, variant):
        ours = self.median(workload, variant, "wal")
        theirs = self.median(workload, "baseline", "wal")
        return None if ours is None or theirs is None else ours - theirs

    # -- report ---------------------------------------------------------------

    def report(self):
        self.report_facts()
        if self.results:
            self.report_workloads()
        if self.rates or ("seal", "hash") in self.results:
            self.report_rates()
        if self.latencies:
            self.report_proofs()
        if self.vault:
            self.vault.report(table_out)
        if self.signatures:
            self.signatures.report(table_out)
        if self.records:
            self.records.report(table_out)
        if any(v.ours for v in self.variants):
            self.report_goals()
        for line in self.skipped:
            print(line)
        if self.failures:
            print("\n## Failures\n")
            for line in self.failures:
                print("* " + line.replace("\n", " / "))

    def report_facts(self):
        facts = [
            ("CPU", f"{cpu_model()}, {self.cores} cores"),
            ("memory", memory_total()),
            ("kernel", re.match(r"[\d.]*\d", os.uname().release).group()),
            ("file system", f"{filesystem(self.directory)}"),
            ("PostgreSQL", self.version),
            ("OpenSSL", openssl_version()),
            ("load when started", f"{self.load:.2f}"),
            ("rounds", str(self.options.rounds)),
            ("one bulk statement", f"{self.bulk:,} rows"),
            ("1-row workloads", f"{self.transactions * 8:,} transactions"),
            ("known subjects", f"{self.patients:,}"),
        ]
        if self.medsync_version:
            facts.insert(5, ("medsync", self.medsync_version))
        print("## Machine and run\n")
        table_out(("", ""), facts)
        if self.options.quick:
            print("\nA smoke run: its figures say nothing.")

    def report_workloads(self):
        print("\n## Workloads\n\nMedians; ratios against untracked inside the "
              "same round.\n")
        rows = []
        for workload in self.workloads:
            for variant in self.variants:
                key = workload.name, variant.name
                if key not in self.results:
                    continue
                changes = next(iter(self.results[key].values()))["changes"]
                seconds = self.median(*key, "seconds")
                added = self.wal_added(*key)
                rows.append((
                    workload.title if variant is self.variants[0] else "",
                    variant.title, f"{seconds:.2f}",
                    f"{changes / seconds:,.0f}",
                    number(self.ratio(*key)),
                    f"{self.median(*key, 'cpu') / changes * 1e6:.1f}",
                    number(self.ratio(*key, "cpu")),
                    number(self.ratio(*key, "cpu_all")),
                    f"{self.median(*key, 'wal'):.0f}",
                    "" if added is None else f"{added:+.0f}"))
        table_out(("workload", "variant", "s", "changes/s", "time ratio",
                   "backend CPU us/change", "backend CPU ratio",
                   "server CPU ratio", "WAL B/change", "WAL B added"), rows,
                  left=2)
        self.report_peers()

    def report_peers(self):
        peers = [v for v in self.variants if v.name in PEERS]
        rows = []
        for workload in self.workloads:
            for ours in ("hash", "full"):
                cells = [self.ratio(workload.name, v.name, against=ours)
                         for v in peers]
                if any(cells):
                    rows.append((workload.title, "medsync, " + ours,
                                 *map(number, cells)))
        if rows:
            print("\n## Peers' time against ours\n")
            table_out(("workload", "against", *(v.title for v in peers)),
                      rows, left=2)

    def report_rates(self):
        print("\n## Sealing and verification\n")
        rows = []
        for variant in [v for v in self.variants if v.ours]:
            runs = self.results.get(("seal", variant.name))
            if runs:
                cpu = statistics.median(m["cpu"] for m in runs.values())
                count = statistics.median(m["changes"] for m in runs.values())
                rate = statistics.median(m["changes"] / m["cpu"]
                                         for m in runs.values())
                rows.append((
                    f"seal(), {variant.title}, all workloads, "
                    f"{count:,.0f} entries",
                    f"{self.median('seal', variant.name, 'seconds'):.2f} s",
                    f"{cpu:.2f} s", f"{rate / 1e6:.2f} M/s",
                    f"{max(m['peak'] for m in runs.values()) / 1024:.0f} MB"))
        table_out(("", "time", "CPU", "a second and core", "private memory"),
                  rows + self.rates)

    def report_proofs(self):
        print("\n## Proofs\n\nMilliseconds of one statement: median "
              "(99th percentile).\n")
        rows = []
        for size, found in self.latencies:
            low, high = min(found["bytes"]), max(found["bytes"])
            rows.append((f"{size:,}", *(
                spread(found[name]) for name in
                ("nothing", "inclusion", "consistency", "receipt_at",
                 "receipt", "verify")),
                f"{statistics.median(found['bytes']):.0f} "
                f"({low} to {high})"))
            self.measured["proof"] = max(
                statistics.median(found[name])
                for name in ("inclusion", "consistency"))
        table_out(("entries", "empty statement", "prove_inclusion()",
                   "prove_consistency()", "receipt(entry)",
                   "receipt(table, key)", "verify_receipt()",
                   "receipt, bytes"), rows)
        if self.proof_rates:
            print("\n## Export and verification from outside\n")
            table_out(("", "time", "CPU", "a second and core",
                       "private memory"), self.proof_rates)
        if self.signed:
            print("\n## Signing\n\nseal() of one entry, milliseconds: "
                  "median (99th percentile).\n")
            table_out(("", "seal()"), [(name, spread(times)) for name, times
                                       in self.signed.items()])

    def report_goals(self):
        """The goals of the design, beside what was measured."""
        rows = []

        def goal(title, must, aim, value, text=None, least=False, unit=""):
            if value is None:
                rows.append((title, f"{must}{unit}", f"{aim}{unit}",
                             "not measured", ""))
                return
            better = (lambda g: value >= g) if least else \
                (lambda g: value <= g)
            rows.append((title, f"{must}{unit}", f"{aim}{unit}",
                         text or f"{value:.2f}{unit}",
                         "aim" if better(aim) else
                         "must" if better(must) else "MISS"))

        def time_goal(workload, variant, must, aim):
            title = next(w.title for w in WORKLOADS if w.name == workload)
            value = self.ratio(workload, variant)
            cpu = self.ratio(workload, variant, "cpu")
            goal(f"{title}, {variant}", must, aim, value,
                 value and f"{value:.2f} (CPU {number(cpu)})")

        bulk = ["insert100", "insert_select", "copy"]
        time_goal("insert", "hash", 1.25, 1.15)
        time_goal("insert_new", "hash", 1.60, 1.35)
        for name in bulk:
            time_goal(name, "hash", 1.45, 1.25)
        time_goal("update", "hash", 1.50, 1.35)
        for name in ["insert", "insert_new"] + bulk + ["update"]:
            time_goal(name, "full", 1.9, 1.5)
        time_goal("insert_sync", "hash", 1.3, 1.2)
        for name, what in (("jsonb", "PL/pgSQL jsonb audit"),
                           ("tablelog", "tablelog"),
                           ("chain", "locked chain")):
            values = [(w, self.ratio(w, name, against="hash"))
                      for w in bulk + ["bulk_update"]]
            values = [(w, v) for w, v in values if v is not None]
            goal(f"{what}, bulk, slower than hash by", 2.5, 4,
                 min((v for _, v in values), default=None),
                 ", ".join(f"{w} {v:.2f}" for w, v in values), least=True)
        millions = {key: value / 1e6 for key, value in self.measured.items()}
        goal("sealing, entries a second and core", 0.4, 1.0,
             millions.get("seal_hash"), least=True, unit=" M")
        goal("verify with images, rows a second and core", 0.6, 1.2,
             millions.get("verify_full"), least=True, unit=" M")
        goal("verify live table, rows a second and core", 0.5, 1.0,
             millions.get("verify_hash"), least=True, unit=" M")
        for title, must, aim, names in (
                ("WAL added, hash: 1-row transaction", 260, 230, ["insert"]),
                ("WAL added, hash: bulk INSERT row", 115, 100,
                 ["insert_select", "copy"]),
                ("WAL added, hash: bulk UPDATE row", 160, 140,
                 ["bulk_update"])):
            for name in names:
                value = self.wal_added(name, "hash")
                goal(title + (f", {name}" if len(names) > 1 else ""),
                     must, aim, value, value and f"{value:.0f} B", unit=" B")
        goal("seal() while one transaction stays open, CPU per entry, "
             "last / first", 1.25, 1.1, self.measured.get("open"))
        if self.latencies:
            goal(f"a proof, {self.latencies[-1][0]:,} entries", 1.0, 1.0,
                 self.measured.get("proof"), unit=" ms")
        if self.vault:
            self.vault.goals(goal)
        if self.signatures:
            self.signatures.goals(goal)
        print("\n## Goals\n")
        table_out(("work", "must", "aim", "measured", ""), rows)

    def main(self):
        self.choose()
        self.load = os.getloadavg()[0]
        if self.load > 0.5 and not self.options.quick:
            say(f"load is {self.load:.2f}: something else is running, and "
                "times will be wrong")
        self.open()
        self.version = self.cluster("plain").admin.value(
            "SHOW server_version")
        found = self.cluster("plain").admin.query(
            "SELECT default_version FROM pg_available_extensions "
            "WHERE name = 'medsync'")
        self.medsync_version = found[0][0] if found and any(
            v.ours for v in self.variants) else None
        say(f"private clusters in {self.directory}")
        if self.workloads:
            for self.round in range(self.options.rounds):
                self.one_round()
        if self.wants("rates"):
            self.seal_and_verify()
        if self.wants("open"):
            self.seal_while_open()
        if self.wants("proofs"):
            self.prove()
        if self.wants("vault"):
            self.measure_vault()
        if self.wants("signatures"):
            self.measure_signatures()
        if self.wants("records"):
            self.measure_records()
        self.report()
        return 1 if self.failures else 0


# ---------------------------------------------------------------------------
# Small things
# ---------------------------------------------------------------------------

def number(value):
    return "" if value is None else f"{value:.2f}"


def spread(values):
    """Median and 99th percentile."""
    ordered = sorted(values)
    return f"{statistics.median(ordered):.2f} " \
        f"({ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]:.2f})"


def directory_size(path):
    return sum(os.path.getsize(os.path.join(where, name))
               for where, _, files in os.walk(path) for name in files)


def table_out(head, rows, left=1):
    """A markdown table, aligned for those who read it as it is."""
    rows = [tuple(map(str, row)) for row in rows]
    widths = [max(len(row[i]) for row in [tuple(head)] + rows)
              for i in range(len(head))]

    def line(row):
        return "| " + " | ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))) + " |"

    print(line(head))
    print("|" + "|".join(
        "-" * (width + 2) if i < left else "-" * (width + 1) + ":"
        for i, width in enumerate(widths)) + "|")
    for row in rows:
        print(line(row))


def cpu_model():
    with open("/proc/cpuinfo") as f:
        found = re.search(r"^(?:model name|Processor)\s*: (.*)$", f.read(),
                          re.M)
    return found.group(1) if found else os.uname().machine


def memory_total():
    with open("/proc/meminfo") as f:
        kilobytes = int(re.search(r"MemTotal:\s+(\d+)", f.read()).group(1))
    return f"{kilobytes / 1048576:.1f} GB"


def filesystem(path):
    """Type of the file system that path is on: fsync on tmpfs is no fsync."""
    best = ("", "?")
    with open("/proc/mounts") as f:
        for line in f:
            _, where, kind, *_ = line.split()
            if (path + "/").startswith(where.rstrip("/") + "/"):
                best = max(best, (where, kind), key=lambda b: len(b[0]))
    return best[1]


def openssl_version():
    for name in ("libcrypto.so.3", "libcrypto.so"):
        try:
            lib = ctypes.CDLL(name)
            lib.OpenSSL_version.restype = ctypes.c_char_p
            return lib.OpenSSL_version(0).decode()
        except (OSError, AttributeError):
            continue
    return "not found"


def names(allowed):
    def check(text):
        given = text.split(",")
        for name in given:
            if name not in allowed:
                raise argparse.ArgumentTypeError(
                    f"{name}: not one of {', '.join(allowed)}")
        return given
    return check


def sizes(text):
    """Ascending numbers; a ledger has two entries before the first row."""
    found = [int(size) for size in text.split(",")]
    if found != sorted(set(found)) or found[0] < 10:
        raise argparse.ArgumentTypeError("10 or more, ascending")
    return found


def parse():
    parser = argparse.ArgumentParser(
        prog="test/bench/run", description="Measure what tracking costs.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="workloads:\n" + "\n".join(
            f"  {w.name:<14} {w.title}" for w in WORKLOADS) + "\n" +
        "\n".join(f"  {k:<14} {v}" for k, v in EXTRA.items()) +
        "\n\nvariants:\n" + "\n".join(
            f"  {v.name:<14} {v.title}" for v in VARIANTS))
    add = parser.add_argument
    add("--rounds", type=int, help="rounds (5)")
    add("--quick", action="store_true",
        help="smoke run: everything once, with tiny counts")
    add("--only", type=names([w.name for w in WORKLOADS] + list(EXTRA)),
        metavar="NAME,..", help="these workloads only")
    add("--variants", type=names([v.name for v in VARIANTS]),
        metavar="NAME,..", help="these variants only; without baseline "
        "there are no ratios")
    add("--transactions", type=int, metavar="N",
        help="1-row transactions of each of 8 clients (8000)")
    add("--bulk", type=int, metavar="N", help="rows of a bulk statement "
        "(100000)")
    add("--patients", type=int, metavar="N", help="known subjects (1000)")
    add("--rows", type=int, metavar="N",
        help="rows of the table that is verified (1000000)")
    add("--open-entries", type=int, metavar="N",
        help="entries that pass while a transaction stays open (1000000)")
    add("--proof-sizes", type=sizes, metavar="N,..", help="entries of the "
        "ledger when proofs are measured (10000,100000,1000000)")
    add("--heavy", action="store_true", help="proofs at 10000000 entries too")
    add("--calls", type=int, metavar="N", help="calls of each function that "
        "gives or checks a proof (1000)")
    add("--csv", metavar="FILE", help="write every measurement")
    add("--shared-buffers", metavar="SIZE", help="of the clusters (1GB)")
    add("--dir", metavar="DIR", help="where the clusters are made (TMPDIR or "
        "/tmp); the path must be short, sockets are in it")
    add("--port", type=int, default=55504, help="names the socket (55504)")
    add("--pg-config", metavar="FILE", help="which server (PG_CONFIG, or the "
        "one in PATH)")
    add("--keep-log", metavar="FILE",
        help="copy the servers' logs there when something fails")
    options = parser.parse_args()
    usual = dict(rounds=5, transactions=8000, bulk=100000, patients=1000,
                 rows=1000000, open_entries=1000000, shared_buffers="1GB",
                 proof_sizes=[10000, 100000, 1000000], calls=1000,
                 signing_rounds=5)
    quick = dict(rounds=1, transactions=20, bulk=2000, patients=200,
                 rows=4000, open_entries=4800, shared_buffers="64MB",
                 proof_sizes=[300, 3000], calls=20, signing_rounds=1)
    for key, value in (quick if options.quick else usual).items():
        if getattr(options, key, None) is None:
            setattr(options, key, value)
    if options.heavy:
        options.proof_sizes.append(10000000)
    for key in ("rounds", "transactions", "bulk", "patients", "rows",
                "open_entries", "calls"):
        if getattr(options, key) < 1:
            parser.error(f"--{key.replace('_', '-')} must be at least 1")
    return options


def interrupt(number, frame):
    raise KeyboardInterrupt


def main():
    options = parse()
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, interrupt)
    bench = None
    try:
        bench = Bench(options)
        return bench.main()
    except Missing as missing:
        say(f"{missing}")
        return 2
    except Failure as failure:
        say(f"FAILED: {failure}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        if bench:
            bench.close()


if __name__ == "__main__":
    sys.exit(main())
