"""What it takes to enter rows that must be signed, beside verifying alone.

Rows are signed beforehand and stand in a staging table; a round inserts them
for each algorithm into a table that demands signatures, and the same rows
into one that does not.  CPU of the backend is what counts.  The raw rate is
that of OpenSSL on the same core: what `openssl speed` says, and, since that
has no RSA-PSS, verifying with libcrypto in a loop.
"""

import ctypes
import re
import statistics
import subprocess
import time

ALGORITHMS = {"ed25519": "Ed25519", "p-256": "nistp256",
              "rsa-2048": "rsa 2048"}
MUST = {"ed25519": 0.7, "p-256": 0.8, "rsa-2048": 0.8}
COLUMNS = "id, patient, at, code, value, signer, signature"
SHAPE = ("(id int PRIMARY KEY, patient int, at timestamptz, code text, "
         "value numeric, signer uuid, signature bytea)")


class Libcrypto:
    """EVP_PKEY_verify() and EVP_DigestVerify(), as far as needed here."""

    def __init__(self):
        lib = self.lib = ctypes.CDLL("libcrypto.so.3")
        pointer, number, size, data = (ctypes.c_void_p, ctypes.c_int,
                                       ctypes.c_size_t, ctypes.c_char_p)
        for name, result, *arguments in (
                ("d2i_PUBKEY", pointer, pointer, pointer, ctypes.c_long),
                ("EVP_PKEY_CTX_new", pointer, pointer, pointer),
                ("EVP_PKEY_verify_init", number, pointer),
                ("EVP_PKEY_CTX_set_rsa_padding", number, pointer, number),
                ("EVP_PKEY_CTX_set_signature_md", number, pointer, pointer),
                ("EVP_PKEY_CTX_set_rsa_pss_saltlen", number, pointer, number),
                ("EVP_sha256", pointer),
                ("EVP_PKEY_verify", number, pointer, data, size, data, size),
                ("CRYPTO_memcmp", number, data, data, size, data, size)):
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments

    def rsa_pss(self, spki, digest, signature, count):
        """Seconds of one verification, without what the call costs."""
        lib = self.lib
        buffer = ctypes.create_string_buffer(spki, len(spki))
        at = ctypes.c_void_p(ctypes.addressof(buffer))
        key = lib.d2i_PUBKEY(None, ctypes.byref(at), len(spki))
        context = lib.EVP_PKEY_CTX_new(key, None)
        if lib.EVP_PKEY_verify_init(context) != 1 or \
                lib.EVP_PKEY_CTX_set_rsa_padding(context, 6) != 1 or \
                lib.EVP_PKEY_CTX_set_signature_md(context,
                                                  lib.EVP_sha256()) != 1 or \
                lib.EVP_PKEY_CTX_set_rsa_pss_saltlen(context, 32) != 1 or \
                lib.EVP_PKEY_verify(context, signature, 256, digest, 32) != 1:
            raise RuntimeError("libcrypto does not verify what medsync signed")
        verify = self.loop(lib.EVP_PKEY_verify, count,
                           context, signature, 256, digest, 32)
        return verify - self.loop(lib.CRYPTO_memcmp, count,
                                  digest, digest, 32, signature, 256)

    @staticmethod
    def loop(function, count, *arguments):
        start = time.process_time()
        for _ in range(count):
            function(*arguments)
        return (time.process_time() - start) / count


class Signatures:
    """Measures; the caller gives the session and says how its CPU is read."""

    def __init__(self, session, cpu, quick):
        self.session = session
        self.cpu = cpu
        self.rows = 50 if quick else 5000
        self.quick = quick
        self.results = {}       # (algorithm, what) -> seconds of a row, each round
        session.query("CREATE EXTENSION medsync")
        session.query("SET synchronous_commit = off")
        session.query("SET max_parallel_workers_per_gather = 0")
        self.prepare()

    def prepare(self):
        """Signed rows of each algorithm, one table a payload and algorithm."""
        run = self.session.query
        run("CREATE TABLE held (algorithm text, id uuid, spki bytea, pkcs8 bytea)")
        person = self.session.value(
            "SELECT medsync.register_person('practitioner', 'bench')")
        run(f"SELECT medsync.verify_person('{person}')")
        run(f"SELECT medsync.add_licence('{person}', 'MD', '4711', 'state', now())")
        for algorithm in ALGORITHMS:
            run("WITH k AS MATERIALIZED (SELECT * FROM "
                f"medsync.generate_key_pair('{algorithm}')) "
                f"INSERT INTO held SELECT '{algorithm}', "
                f"medsync.add_key('{person}', '{algorithm}', public_key), "
                "public_key, private_key FROM k")
        self.stage("hash")
        self.stage("full")

    def stage(self, payload):
        """A table for signed rows, one for the same rows unsigned, and the rows."""
        run = self.session.query
        for name in f"signed_{payload}", f"plain_{payload}":
            run(f"CREATE TABLE {name} {SHAPE}")
            run(f"SELECT medsync.track('{name}', 'patient', '{payload}')")
        run(f"SELECT medsync.require_signature('signed_{payload}', "
            "'signer', 'signature')")
        for algorithm in ALGORITHMS:
            staging = self.staging(payload, algorithm)
            run(f"CREATE TABLE {staging} AS SELECT (r).id, "
                "(r).patient, (r).at, (r).code, (r).value, (r).signer, "
                "medsync.sign(medsync.signing_bytes(r), pkcs8) AS signature "
                "FROM (SELECT pkcs8, ROW(i, i / 100, now(), 'code-' || i, "
                f"i / 7.0, k.id, NULL)::signed_{payload} AS r "
                f"FROM held AS k, generate_series(1, {self.rows}) AS i "
                f"WHERE algorithm = '{algorithm}') AS x")
            run(f"VACUUM ANALYZE {staging}")
            run(f"CREATE TABLE message_of_{staging} AS SELECT s.signer, "
                f"medsync.signing_bytes(s::text::signed_{payload}) AS message, "
                f"s.signature FROM {staging} AS s")
            run(f"VACUUM ANALYZE message_of_{staging}")

    @staticmethod
    def staging(payload, algorithm):
        return f"staging_{payload}_{algorithm.replace('-', '')}"

    def note(self, algorithm, what, seconds):
        self.results.setdefault((algorithm, what), []).append(seconds)

    def timed(self, sql):
        """CPU seconds of one row."""
        before = self.cpu(self.session.pid)
        found = self.session.query(sql)
        return (self.cpu(self.session.pid) - before) / self.rows, found

    def one(self, algorithm):
        run = self.session.query
        for payload in "hash", "full":
            source = (f"SELECT {COLUMNS} FROM "
                      f"{self.staging(payload, algorithm)}")
            for name in f"signed_{payload}", f"plain_{payload}":
                seconds, _ = self.timed(f"INSERT INTO {name} {source}")
                self.note(algorithm, name, seconds)
                run(f"DELETE FROM {name}")
                run(f"VACUUM {name}")
        seconds, found = self.timed(
            "SELECT count(nullif(medsync.verify_signature(signer, message, "
            "signature), false)) FROM message_of_"
            f"{self.staging('hash', algorithm)}")
        if int(found[0][0]) != self.rows:
            raise RuntimeError(f"{algorithm}: a signature does not hold")
        self.note(algorithm, "verify", seconds)

    def openssl(self):
        try:
            text = subprocess.run(
                ["openssl", "speed", "-seconds", "1", "ed25519", "ecdsap256",
                 "rsa2048"], capture_output=True, text=True).stdout
        except OSError:
            return              # it is not there
        for algorithm, name in ALGORITHMS.items():
            found = re.search(rf"^.*{re.escape(name)}.*?([\d.]+)\s+([\d.]+)$",
                              text, re.M)
            if found:
                self.note(algorithm, "openssl", 1 / float(found.group(2)))

    def pss(self):
        row = self.session.query(
            "SELECT spki, sha256(message), signature FROM held, message_of_"
            f"{self.staging('hash', 'rsa-2048')} "
            "WHERE algorithm = 'rsa-2048' LIMIT 1")[0]
        spki, digest, signature = (bytes.fromhex(value[2:]) for value in row)
        try:
            seconds = Libcrypto().rsa_pss(spki, digest, signature,
                                          self.rows)
        except OSError:
            return              # it is not there
        self.note("rsa-2048", "libcrypto", seconds)

    def round(self):
        if not self.quick:
            self.openssl()
        for algorithm in ALGORITHMS:
            self.one(algorithm)
        self.pss()

    # -- report ----------------------------------------------------------------

    def median(self, algorithm, what):
        found = self.results.get((algorithm, what))
        return statistics.median(found) if found else None

    def raw(self, algorithm):
        """Of the same algorithm: openssl speed has no RSA-PSS."""
        return "libcrypto" if algorithm == "rsa-2048" else "openssl"

    def share(self, algorithm, what, raw):
        """Signed inserts, as a part of the raw rate; rounds apart."""
        ours = self.results.get((algorithm, what))
        theirs = self.results.get((algorithm, raw))
        if not ours or not theirs:
            return None
        return statistics.median(b / a for a, b in zip(ours, theirs))

    def report(self, table_out):
        def micro(seconds):
            return "-" if seconds is None else f"{seconds * 1e6:.1f}"

        def part(value):
            return "-" if value is None else f"{value * 100:.0f} %"

        print("\n## Signed rows\n\nMicroseconds of CPU of one row in an INSERT of "
              f"{self.rows:,} rows, and of one verification.\n")
        rows = []
        for algorithm in ALGORITHMS:
            for payload in "hash", "full":
                signed = self.median(algorithm, f"signed_{payload}")
                rows.append((
                    algorithm, payload, micro(signed),
                    f"{1 / signed:,.0f}" if signed else "-",
                    micro(self.median(algorithm, f"plain_{payload}")),
                    micro(self.median(algorithm, "verify")),
                    micro(self.median(algorithm, "openssl")),
                    micro(self.median(algorithm, "libcrypto")),
                    part(self.share(algorithm, f"signed_{payload}",
                                    self.raw(algorithm)))))
        table_out(("key", "payload", "signed row", "rows a second and core",
                   "not demanded", "verify_signature()", "openssl speed",
                   "RSA-PSS, libcrypto", "of the raw rate"), rows, left=2)

    def goals(self, goal):
        for algorithm, must in MUST.items():
            goal(f"signed rows, {algorithm}, of OpenSSL's rate", must, 0.9,
                 self.share(algorithm, "signed_hash", self.raw(algorithm)),
                 least=True)
