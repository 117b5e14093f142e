"""What the vault's primitives take, beside pgcrypto and the openssl program.

Everything is called from SQL, many times in one statement, and CPU of the
backend is what counts; `openssl speed` counts CPU as well.  A round measures
each once, one after the other, and medians of the rounds are reported.
"""

import re
import statistics
import struct
import subprocess

SIZES = (1024, 65536, 1048576)
PGP = "cipher-algo=aes256, compress-algo=0"
KEY = "'\\x" + bytes(range(32)).hex() + "'::bytea"
SIGNING = {"ed25519": "Ed25519", "p-256": "nistp256", "rsa-2048": "rsa 2048",
           "rsa-3072": "rsa 3072", "rsa-4096": "rsa 4096"}

# name -> what encrypts d, what opens c again
SYMMETRIC = {
    "medsync": (f"medsync.encrypt(d, {KEY})", f"medsync.decrypt(c, {KEY})"),
    "pgp": (f"pgp_sym_encrypt_bytea(d, 'password', '{PGP}')",
            "pgp_sym_decrypt_bytea(c, 'password')"),
    "pgp, salt only": (f"pgp_sym_encrypt_bytea(d, 'password', '{PGP}, s2k-mode=1')",
                       "pgp_sym_decrypt_bytea(c, 'password')"),
    "aes-cbc": (f"encrypt(d, {KEY}, 'aes-cbc')",
                f"decrypt(c, {KEY}, 'aes-cbc')"),
}
# The same with a key pair, of a key of 32 bytes
ASYMMETRIC = {
    "medsync": ("medsync.rsa_encrypt(d, spki)",
                "medsync.rsa_decrypt(c, pkcs8)"),
    "pgp": (f"pgp_pub_encrypt_bytea(d, pgp_public, '{PGP}')",
            "pgp_pub_decrypt_bytea(c, pgp_secret)"),
}


# ---- an OpenPGP key of the numbers of an RSA key ----

def der_numbers(der):
    """The integers of the RSA key in a PKCS#8 key."""

    def item(at):
        length, at = der[at + 1], at + 2
        if length >= 0x80:
            count = length & 0x7f
            length = int.from_bytes(der[at:at + count], "big")
            at += count
        return at, length

    at, _ = item(0)                     # PrivateKeyInfo
    for _ in range(2):                  # version, algorithm
        at, length = item(at)
        at += length
    at, _ = item(at)                    # OCTET STRING
    at, length = item(at)               # RSAPrivateKey
    end, numbers = at + length, []
    while at < end:
        at, length = item(at)
        numbers.append(int.from_bytes(der[at:at + length], "big"))
        at += length
    return numbers[1:]


def pgp_keys(der):
    """RFC 4880: a main key and a subkey, as pgcrypto wants them, unprotected."""
    n, e, d, p, q = der_numbers(der)[:5]

    def mpi(number):
        bits = number.bit_length()
        return struct.pack(">H", bits) + number.to_bytes((bits + 7) // 8, "big")

    def packet(tag, body):
        return bytes((0x80 | tag << 2 | 1,)) + struct.pack(">H", len(body)) + body

    public = b"\x04" + bytes(4) + b"\x01" + mpi(n) + mpi(e)
    secret = mpi(d) + mpi(p) + mpi(q) + mpi(pow(p, -1, q))
    secret = public + b"\x00" + secret + struct.pack(">H", sum(secret) % 65536)
    return (packet(6, public) + packet(14, public),
            packet(5, secret) + packet(7, secret))


class Vault:
    """Measures; the caller gives the session and says how its CPU is read."""

    def __init__(self, session, cpu, quick, has_pgcrypto):
        self.session = session
        self.cpu = cpu
        self.quick = quick
        self.results = {}       # (what, size or algorithm, name) -> seconds of one call, each round
        self.peers = ["medsync"] if not has_pgcrypto else None
        session.query("CREATE EXTENSION medsync")
        if has_pgcrypto:
            session.query("CREATE EXTENSION pgcrypto")
        session.query("SET max_parallel_workers_per_gather = 0")
        session.query("SET search_path = public, pg_temp")
        self.prepare()

    def prepare(self):
        """Inputs are stored as they are, and detoasted before a loop."""
        run = self.session.query
        run("CREATE TABLE input (size int, d bytea)")
        run("ALTER TABLE input ALTER d SET STORAGE external")
        run("INSERT INTO input SELECT size, (SELECT string_agg(sha256("
            "int4send(i)), '') FROM generate_series(1, size / 32) AS i) "
            "FROM unnest(ARRAY[32, 1024, 65536, 1048576]) AS size")
        run("CREATE TABLE pair AS SELECT algorithm, public_key AS spki, "
            "private_key AS pkcs8, '\\x'::bytea AS pgp_public, "
            "'\\x'::bytea AS pgp_secret FROM unnest(ARRAY['"
            + "','".join(SIGNING) + "']) AS algorithm, "
            "medsync.generate_key_pair(algorithm)")
        pkcs8 = self.session.value("SELECT pkcs8 FROM pair "
                                   "WHERE algorithm = 'rsa-2048'")
        public, secret = pgp_keys(bytes.fromhex(pkcs8[2:]))
        run(f"UPDATE pair SET pgp_public = '\\x{public.hex()}', "
            f"pgp_secret = '\\x{secret.hex()}' "
            "WHERE algorithm = 'rsa-2048'")

    def timed(self, key, expression, source, count):
        """CPU seconds of one call; the values come from "source"."""
        count = max(1, count // 100) if self.quick else max(3, count)
        if "check_signature" in expression:
            expression = f"nullif({expression}, false)"
        else:
            expression = f"length({expression})"
        # the values first, then the loop over them
        sql = (f"SELECT count({expression}) FROM (SELECT y.*, {count} AS times "
               f"FROM ({source}) AS y OFFSET 0) AS x, "
               "LATERAL generate_series(1, times)")
        before = self.cpu(self.session.pid)
        found = int(self.session.value(sql))
        self.results.setdefault(key, []).append(
            (self.cpu(self.session.pid) - before) / count)
        if found != count:
            raise RuntimeError(f"{key}: {count} calls, {found} results")

    def names(self, table):
        return [n for n in table if self.peers is None or n in self.peers]

    def symmetric(self, size):
        # enough calls for a fifth of a second or so
        calls = {"medsync": 600e6, "aes-cbc": 150e6, "pgp": 50e6,
                 "pgp, salt only": 50e6}
        slow = {"pgp": 300, "pgp, salt only": 10000}
        plain = f"SELECT d || '' AS d FROM input WHERE size = {size}"
        for name in self.names(SYMMETRIC):
            count = int(calls[name] / (size + 1000))
            count = min(count, slow.get(name, count))
            seal, unseal = SYMMETRIC[name]
            self.timed(("encrypt", size, name), seal, plain, count)
            self.timed(("decrypt", size, name), unseal,
                       f"SELECT {seal} AS c FROM ({plain} OFFSET 0) AS z", count)

    def asymmetric(self):
        source = ("SELECT d || '' AS d, spki, pkcs8, pgp_public, pgp_secret "
                  "FROM input, pair WHERE size = 32 AND algorithm = 'rsa-2048'")
        for name in self.names(ASYMMETRIC):
            seal, unseal = ASYMMETRIC[name]
            self.timed(("rsa encrypt", 32, name), seal, source, 2000)
            self.timed(("rsa decrypt", 32, name), unseal,
                       f"SELECT {seal} AS c, z.* FROM ({source} OFFSET 0) AS z", 300)

    def signatures(self, algorithm):
        source = ("SELECT d || '' AS d, spki, pkcs8 FROM input, pair "
                  f"WHERE size = 32 AND algorithm = '{algorithm}'")
        count = {"ed25519": 2000, "p-256": 4000, "rsa-2048": 8000}.get(algorithm, 4000)
        self.timed(("sign", algorithm, "medsync"), "medsync.sign(d, pkcs8)", source,
                   count if algorithm in ("ed25519", "p-256") else count // 20)
        self.timed(("verify", algorithm, "medsync"), "medsync.check_signature(d, s, spki)",
                   f"SELECT medsync.sign(d, pkcs8) AS s, z.* FROM ({source} OFFSET 0) AS z",
                   count)

    # -- the openssl program ---------------------------------------------------

    def speed(self, *arguments):
        done = subprocess.run(["openssl", "speed", "-seconds", "1", *arguments],
                              capture_output=True, text=True)
        return done.stdout

    def openssl(self):
        try:
            for size in SIZES:
                text = self.speed("-bytes", str(size), "-evp", "aes-256-gcm")
                found = re.search(r"^AES-256-GCM\s+([\d.]+)k", text, re.M | re.I)
                if found:
                    seconds = size / (float(found.group(1)) * 1000)
                    for what in ("encrypt", "decrypt"):
                        self.results.setdefault((what, size, "openssl"), []).append(seconds)
            self.openssl_signatures()
        except OSError:
            pass                # it is not there

    def openssl_signatures(self):
        text = self.speed("ed25519", "ecdsap256", "rsa2048", "rsa3072", "rsa4096")
        for algorithm, name in SIGNING.items():
            found = re.search(rf"^.*{re.escape(name)}.*?([\d.]+)\s+([\d.]+)$", text, re.M)
            if found:
                for what, rate in zip(("sign", "verify"), found.groups()):
                    self.results.setdefault((what, algorithm, "openssl"), []).append(
                        1 / float(rate))

    def round(self):
        if not self.quick:
            self.openssl()
        for size in SIZES:
            self.symmetric(size)
        self.asymmetric()
        for algorithm in SIGNING:
            self.signatures(algorithm)

    # -- report ----------------------------------------------------------------

    def median(self, *key):
        found = self.results.get(key)
        return statistics.median(found) if found else None

    def ratio(self, what, of, name):
        """How many times faster medsync is."""
        ours, theirs = self.median(what, of, "medsync"), self.median(what, of, name)
        return theirs / ours if ours and theirs else None

    def report(self, table_out):
        def micro(seconds):
            if seconds is None:
                return "-"
            return f"{seconds * 1e6:,.{1 if seconds < 1e-4 else 0}f}"

        def times(value):
            return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"

        print("\n## Vault\n\nMicroseconds of CPU of one call, from SQL.\n")
        rows = []
        for what in ("encrypt", "decrypt"):
            for size in SIZES:
                rows.append([f"{what}, {size:,} bytes"]
                            + [micro(self.median(what, size, name)) for name in
                               ("medsync", "openssl", "pgp", "pgp, salt only", "aes-cbc")]
                            + [times(self.ratio(what, size, name)) for name in
                               ("openssl", "pgp", "pgp, salt only")])
        table_out(("AES-256", "medsync, GCM", "openssl speed, GCM", "pgcrypto PGP",
                   "PGP, s2k-mode=1", "pgcrypto aes-cbc", "x openssl", "x PGP",
                   "x PGP, s2k-mode=1"), rows)
        print()
        table_out(("RSA-2048, a key of 32 bytes", "medsync, OAEP", "pgcrypto PGP", "x PGP"),
                  [[what, micro(self.median(what, 32, "medsync")),
                    micro(self.median(what, 32, "pgp")), times(self.ratio(what, 32, "pgp"))]
                   for what in ("rsa encrypt", "rsa decrypt")])
        print()
        table_out(("signature", "sign()", "openssl speed", "check_signature()",
                   "openssl speed", "x openssl, verifying"),
                  [[algorithm] + [micro(self.median(what, algorithm, name))
                                  for what in ("sign", "verify")
                                  for name in ("medsync", "openssl")]
                   + [times(self.ratio("verify", algorithm, "openssl"))]
                   for algorithm in SIGNING])

    def goals(self, goal):
        for size in SIZES:
            goal(f"AES-256-GCM, {size:,} bytes, times pgcrypto's PGP", 3, 3,
                 self.least(size, "pgp"), least=True)
        goal("AES-256-GCM, 1,048,576 bytes, of OpenSSL's rate", 0.8, 0.9,
             self.least(SIZES[-1], "openssl"), least=True)
        for algorithm in SIGNING:
            goal(f"check_signature(), {algorithm}, of OpenSSL's rate", 0.8, 0.95,
                 self.ratio("verify", algorithm, "openssl"), least=True)

    def least(self, size, name):
        """The worse of encrypting and decrypting."""
        found = [self.ratio(what, size, name) for what in ("encrypt", "decrypt")]
        return None if None in found else min(found)
