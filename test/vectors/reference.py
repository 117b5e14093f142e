#!/usr/bin/env python3
"""A second implementation of docs/formats.md, written to prove it complete.

    reference.py vectors DOC             recompute the fenced vectors of DOC
    reference.py ledger EXPORT [KEY]     verify a ledger that export.sql wrote;
                                         with the master key file, keys, seeds,
                                         images and live rows too
    reference.py published LOG FILE VKEY verify a public export and a private one of
                                         the whole ledger: export(), export_entries()
    reference.py receipt FILE VKEY
                                         check a receipt, and say what it shows
    reference.py table DOC               the SQL that puts the values of DOC's
                                         table of canonical encodings into a row
    reference.py values EXPORT KEY DOC   is that row encoded as DOC says?

DOC is docs/formats.md.  Nothing but Python's standard library is needed: where
the package "cryptography" is missing (or MEDSYNC_OWN_AES is set), AES is
computed here, slowly; signatures are always.  Exit status 0: all agrees, 1: something does not,
2: not used as above.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import struct
import sys

# ---- primitives ----


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key, *parts):
    return hmac.digest(key, b"".join(parts), "sha256")


def hkdf(key, info):
    """HKDF-Expand (RFC 5869), SHA-256, 32 bytes: one block."""
    return mac(key, info, b"\x01")


def u16(value):
    return struct.pack(">H", value)


def u32(value):
    return struct.pack(">I", value & 0xFFFFFFFF)


def u64(value):
    return struct.pack(">Q", value & 0xFFFFFFFFFFFFFFFF)


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value):
    return varint(2 * value if value >= 0 else -2 * value - 1)


def counted(data):
    return varint(len(data)) + data


class OwnAesGcm:
    """AES-256-GCM (FIPS 197, SP 800-38D), for where no library is at hand."""

    SBOX = TABLE = None

    @classmethod
    def make_tables(cls):
        p = q = 1
        sbox = [0x63] * 256
        while True:
            p ^= (p << 1 ^ (0x11B if p & 0x80 else 0)) & 0x1FF
            p &= 0xFF
            for shift in 1, 2, 4:
                q ^= q << shift
            q &= 0xFF
            if q & 0x80:
                q ^= 0x09
            x = q
            for shift in 1, 2, 3, 4:
                x ^= (q << shift | q >> 8 - shift) & 0xFF
            sbox[p] = x ^ 0x63
            if p == 1:
                break
        cls.SBOX = sbox
        cls.TABLE = [[0] * 256 for _ in range(4)]
        for i, s in enumerate(sbox):
            double = (s << 1 ^ (0x11B if s & 0x80 else 0)) & 0xFF
            word = double << 24 | s << 16 | s << 8 | (double ^ s)
            for t in range(4):
                cls.TABLE[t][i] = word
                word = word >> 8 | (word & 0xFF) << 24

    def __init__(self, key):
        if self.TABLE is None:
            self.make_tables()
        sbox = self.SBOX
        words = list(struct.unpack(">8I", key))
        constant = 1
        for i in range(8, 60):
            word = words[i - 1]
            if i % 8 == 0:
                word = (word << 8 | word >> 24) & 0xFFFFFFFF
            if i % 4 == 0:
                word = int.from_bytes(bytes(sbox[b] for b in word.to_bytes(4, "big")), "big")
            if i % 8 == 0:
                word ^= constant << 24
                constant = constant << 1 ^ (0x11B if constant & 0x80 else 0)
            words.append(words[i - 8] ^ word)
        self.words = words
        # multiples of H by four-bit numbers, for GHASH
        h = int.from_bytes(self.encrypt_block(bytes(16)), "big")
        self.multiples = [0] * 16
        for bit in 8, 4, 2, 1:
            self.multiples[bit] = h
            h = h >> 1 ^ (0xE1 << 120 if h & 1 else 0)
        for i in range(16):
            for bit in 8, 4, 2, 1:
                if i & bit and i != bit:
                    self.multiples[i] ^= self.multiples[bit]
        self.reduction = []
        for i in range(16):
            for _ in range(4):
                i = i >> 1 ^ (0xE1 << 120 if i & 1 else 0)
            self.reduction.append(i)

    def encrypt_block(self, block):
        t0, t1, t2, t3 = self.TABLE
        k = self.words
        a, b, c, d = struct.unpack(">4I", block)
        a, b, c, d = a ^ k[0], b ^ k[1], c ^ k[2], d ^ k[3]
        for i in range(4, 56, 4):
            a, b, c, d = (
                t0[a >> 24] ^ t1[b >> 16 & 255] ^ t2[c >> 8 & 255] ^ t3[d & 255] ^ k[i],
                t0[b >> 24] ^ t1[c >> 16 & 255] ^ t2[d >> 8 & 255] ^ t3[a & 255] ^ k[i + 1],
                t0[c >> 24] ^ t1[d >> 16 & 255] ^ t2[a >> 8 & 255] ^ t3[b & 255] ^ k[i + 2],
                t0[d >> 24] ^ t1[a >> 16 & 255] ^ t2[b >> 8 & 255] ^ t3[c & 255] ^ k[i + 3])
        s = self.SBOX
        out = []
        for i, (w, x, y, z) in enumerate(((a, b, c, d), (b, c, d, a), (c, d, a, b), (d, a, b, c))):
            out.append((s[w >> 24] << 24 | s[x >> 16 & 255] << 16 | s[y >> 8 & 255] << 8 | s[z & 255]) ^ k[56 + i])
        return struct.pack(">4I", *out)

    def ghash(self, data):
        multiples, reduction = self.multiples, self.reduction
        y = 0
        for i in range(0, len(data), 16):
            x = y ^ int.from_bytes(data[i:i + 16], "big")
            y = 0
            for _ in range(32):
                y = y >> 4 ^ reduction[y & 15] ^ multiples[x & 15]
                x >>= 4
        return y

    def apply(self, nonce, data):
        out = bytearray()
        for i in range(0, len(data), 16):
            pad = self.encrypt_block(nonce + u32(2 + i // 16))
            out += bytes(p ^ q for p, q in zip(data[i:i + 16], pad))
        return bytes(out)

    def tag(self, nonce, sealed, aad):
        padded = b"".join(x + bytes(-len(x) % 16) for x in (aad, sealed))
        y = self.ghash(padded + u64(8 * len(aad)) + u64(8 * len(sealed)))
        return (y ^ int.from_bytes(self.encrypt_block(nonce + u32(1)), "big")).to_bytes(16, "big")

    def encrypt(self, nonce, plain, aad):
        sealed = self.apply(nonce, plain)
        return sealed + self.tag(nonce, sealed, aad)

    def decrypt(self, nonce, data, aad):
        sealed, tag = data[:-16], data[-16:]
        if len(tag) < 16 or not hmac.compare_digest(tag, self.tag(nonce, sealed, aad)):
            raise ValueError("does not open")
        return self.apply(nonce, sealed)


if os.environ.get("MEDSYNC_OWN_AES"):
    AesGcm = OwnAesGcm
else:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM as AesGcm
    except ImportError:
        AesGcm = OwnAesGcm


def gcm_seal(key, nonce, plain, aad):
    return AesGcm(key).encrypt(nonce, plain, aad)


def gcm_open(key, nonce, data, aad):
    """The plaintext, or None where anything does not fit."""
    try:
        return AesGcm(key).decrypt(nonce, data, aad)
    except Exception:           # each implementation has an exception of its own
        return None


# ---- reading ----


class Malformed(Exception):
    pass


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def take(self, count):
        if count > self.left():
            raise Malformed("short field")
        self.at += count
        return self.data[self.at - count:self.at]

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return int.from_bytes(self.take(2), "big")

    def u32(self):
        return int.from_bytes(self.take(4), "big")

    def u64(self):
        return int.from_bytes(self.take(8), "big")

    def i64(self):
        return int.from_bytes(self.take(8), "big", signed=True)

    def varint(self):
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        if value >= 1 << 64 or (byte == 0 and shift > 0):
            raise Malformed("a varint is not in its shortest form")
        return value

    def zigzag(self):
        value = self.varint()
        return value >> 1 if value & 1 == 0 else -(value >> 1) - 1

    def counted(self):
        return self.take(self.varint())


# ---- Ed25519 (RFC 8032) ----

ED_P = 2 ** 255 - 19
ED_ORDER = 2 ** 252 + 27742317777372353535851937790883648493
ED_D = -121665 * pow(121666, -1, ED_P) % ED_P


def ed_x(y, odd):
    """The x of a point of the curve, from its y and the lowest bit of x."""
    square = (y * y - 1) * pow(ED_D * y * y + 1, -1, ED_P) % ED_P
    x = pow(square, (ED_P + 3) // 8, ED_P)
    if x * x % ED_P != square:
        x = x * pow(2, (ED_P - 1) // 4, ED_P) % ED_P
    if x * x % ED_P != square or (x == 0 and odd):
        raise Malformed("no point of the curve")
    return x if x & 1 == odd else ED_P - x


def ed_point(y, odd):
    """Extended coordinates: x z, y z, z, x y z."""
    x = ed_x(y, odd)
    return x, y, 1, x * y % ED_P


def ed_sum(p, q):
    a = (p[1] - p[0]) * (q[1] - q[0])
    b = (p[1] + p[0]) * (q[1] + q[0])
    c = 2 * ED_D * p[3] * q[3]
    d = 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % ED_P, g * h % ED_P, f * g % ED_P, e * h % ED_P


def ed_times(number, point):
    total = 0, 1, 1, 0
    while number:
        if number & 1:
            total = ed_sum(total, point)
        point = ed_sum(point, point)
        number >>= 1
    return total


def ed_bytes(point):
    inverse = pow(point[2], -1, ED_P)
    x, y = point[0] * inverse % ED_P, point[1] * inverse % ED_P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def ed_base():
    return ed_point(4 * pow(5, -1, ED_P) % ED_P, 0)


def ed_hash(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ED_ORDER


def ed_secret(seed):
    """The number that a seed stands for, and the bytes that make nonces."""
    digest = hashlib.sha512(seed).digest()
    number = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    return number, digest[32:]


def ed25519_public(seed):
    return ed_bytes(ed_times(ed_secret(seed)[0], ed_base()))


def ed25519_sign(seed, message):
    number, prefix = ed_secret(seed)
    public = ed25519_public(seed)
    nonce = ed_hash(prefix, message)
    point = ed_bytes(ed_times(nonce, ed_base()))
    rest = (nonce + ed_hash(point, public, message) * number) % ED_ORDER
    return point + rest.to_bytes(32, "little")


def ed25519_verify(public, message, signature):
    """By the equation without cofactor; good enough for honest keys."""
    number = int.from_bytes(public, "little")
    rest = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or rest >= ED_ORDER or number % (1 << 255) >= ED_P:
        return False
    x, y, z, t = ed_point(number % (1 << 255), number >> 255)
    hashed = ed_hash(signature[:32], public, message)
    point = ed_sum(ed_times(rest, ed_base()), ed_times(hashed, (ED_P - x, y, z, ED_P - t)))
    return ed_bytes(point) == signature[:32]


# ---- P-256 (FIPS 186-4) and RSASSA-PSS (RFC 8017), as far as verifying goes ----

EC_P = 2 ** 256 - 2 ** 224 + 2 ** 192 + 2 ** 96 - 1
EC_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
EC_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
EC_BASE = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
           0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5)


def ec_sum(p, q):
    """Points as (x, y); None is the point at infinity."""
    if p is None or q is None:
        return p or q
    if p[0] == q[0]:
        if (p[1] + q[1]) % EC_P == 0:
            return None
        slope = (3 * p[0] * p[0] - 3) * pow(2 * p[1], -1, EC_P)
    else:
        slope = (q[1] - p[1]) * pow(q[0] - p[0], -1, EC_P)
    x = (slope * slope - p[0] - q[0]) % EC_P
    return x, (slope * (p[0] - x) - p[1]) % EC_P


def ec_times(number, point):
    total = None
    while number:
        if number & 1:
            total = ec_sum(total, point)
        point = ec_sum(point, point)
        number >>= 1
    return total


def p256_verify(public, message, signature):
    x, y = (int.from_bytes(part, "big") for part in (public[1:33], public[33:]))
    if (len(public), public[0], len(signature)) != (65, 4, 64) or \
            max(x, y) >= EC_P or (y * y - x * x * x + 3 * x - EC_B) % EC_P:
        raise Malformed("no point of the curve")
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
    if not (0 < r < EC_ORDER and 0 < s < EC_ORDER):
        return False
    inverse = pow(s, -1, EC_ORDER)
    digest = int.from_bytes(sha256(message), "big")
    point = ec_sum(ec_times(digest * inverse % EC_ORDER, EC_BASE), ec_times(r * inverse % EC_ORDER, (x, y)))
    return point is not None and point[0] % EC_ORDER == r


def mgf1(seed, size):
    return b"".join(sha256(seed, u32(n)) for n in range((size + 31) // 32))[:size]


def pss_verify(modulus, exponent, message, signature):
    """SHA-256, MGF1 with SHA-256, a salt of 32 bytes; modulus of 8 n bits."""
    size = (modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if len(signature) != size or number >= modulus:
        return False
    encoded = pow(number, exponent, modulus).to_bytes(size, "big")
    masked, digest = encoded[:size - 33], encoded[size - 33:size - 1]
    data = bytes(a ^ b for a, b in zip(masked, mgf1(digest, len(masked))))
    data = bytes((data[0] & 0x7F,)) + data[1:]
    return (encoded[-1] == 0xBC and encoded[0] < 0x80 and data[:-32] == bytes(len(data) - 33) + b"\x01" and
            sha256(bytes(8), sha256(message), data[-32:]) == digest)


SPKI_ED25519 = bytes.fromhex("302a300506032b6570032100")
SPKI_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
RSA_ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")


def der_part(r, tag):
    """The content of an element in its one encoding."""
    if r.u8() != tag:
        raise Malformed("DER")
    size = r.u8()
    if size >= 0x80:
        data = r.take(size & 0x7F)
        size = int.from_bytes(data, "big")
        if not data or data[0] == 0 or size < 0x80:
            raise Malformed("DER")
    return Reader(r.take(size))


def der_number(r):
    data = der_part(r, 0x02).data
    if not data or data[0] >= 0x80 or (data[0] == 0 and data[1:2] < b"\x80"):
        raise Malformed("DER")
    return int.from_bytes(data, "big")


def read_rsa_key(der):
    r = Reader(der)
    outer = der_part(r, 0x30)
    if outer.take(len(RSA_ALGORITHM)) != RSA_ALGORITHM:
        raise Malformed("algorithm of a public key")
    bits = der_part(outer, 0x03)
    if bits.u8() != 0:
        raise Malformed("DER")
    key = der_part(bits, 0x30)
    modulus, exponent = der_number(key), der_number(key)
    if r.left() or outer.left() or bits.left() or key.left() or modulus.bit_length() not in (2048, 3072, 4096):
        raise Malformed("public key")
    return modulus, exponent


def key_verify(der, algorithm, message, signature):
    """Is it a signature by a SubjectPublicKeyInfo of that algorithm?"""
    if algorithm == b"ed25519":
        if len(der) != 44 or not der.startswith(SPKI_ED25519):
            raise Malformed("public key")
        return ed25519_verify(der[12:], message, signature)
    if algorithm == b"p-256":
        if not der.startswith(SPKI_P256):
            raise Malformed("public key")
        return p256_verify(der[len(SPKI_P256):], message, signature)
    modulus, exponent = read_rsa_key(der)
    if algorithm != b"rsa-%d" % modulus.bit_length():
        raise Malformed("algorithm of a public key")
    return pss_verify(modulus, exponent, message, signature)


# ---- packed rows, entries, leaves ----

HAS_OPERATION, HAS_TABLE, HAS_COMMAND, HAS_STATEMENT_TIME = 1, 2, 4, 8
HAS_ORDINAL_GAP, HAS_ROLE, HAS_KEY_ID, HAS_ROW_KEY = 16, 32, 64, 128
HAS_OLD, HAS_NEW, HAS_IMAGE, HAS_LARGE_IMAGE = 256, 512, 1024, 2048
HAS_REPLICA, HAS_PERSON, HAS_SIGNATURE, HAS_OBJECT, HAS_DETAIL = 4096, 8192, 16384, 32768, 65536
HAS_SAME_PERSON, HAS_SAME_SIGNER = 131072, 262144
ENTRY_FIELDS = (HAS_KEY_ID | HAS_ROW_KEY | HAS_OLD | HAS_NEW | HAS_REPLICA | HAS_PERSON |
                HAS_SIGNATURE | HAS_OBJECT | HAS_DETAIL)

DDL, ERA, SIGNER = 9, 13, 15
NO_ID = bytes(16)


class Entry:
    pass


class PackedRow:
    def __init__(self, xid, ordinal, body):
        r = Reader(body)
        self.xid, self.ordinal, self.body = xid, ordinal, body
        if r.u8() != 1:
            raise Malformed("version of a packed row")
        self.seed = r.take(16)
        flags = r.u8()
        if flags > 1:
            raise Malformed("flags of a packed row")
        self.era_number = r.varint()
        self.era_id = r.take(16) if self.era_number == 0 else None
        self.position = r.varint()
        self.time = r.i64()
        self.session_role = r.counted()
        self.image_seed = r.take(32) if flags & 1 else None
        count = r.varint()
        if count == 0:
            raise Malformed("a packed row without entries")
        self.entries = []
        before = Entry()
        before.ordinal = ordinal - 1
        before.operation = before.table = before.manifest = before.command = 0
        before.statement_time = self.time
        before.role = self.session_role
        before.key_id = NO_ID
        before.person = before.signature = before.detail = None
        for _ in range(count):
            before = self.read_entry(r, before)
            self.entries.append(before)
        if r.left() != 0:
            raise Malformed("bytes after the last entry")

    def read_entry(self, r, before):
        e = Entry()
        flags = r.varint()
        if flags >= 1 << 19 or (flags & HAS_IMAGE and flags & HAS_LARGE_IMAGE):
            raise Malformed("flags of an entry")
        e.row = self
        e.operation = r.u8() if flags & HAS_OPERATION else before.operation
        e.table, e.manifest = (r.varint(), r.varint()) if flags & HAS_TABLE else (before.table, before.manifest)
        e.command = r.varint() if flags & HAS_COMMAND else before.command
        e.statement_time = before.statement_time - (r.zigzag() if flags & HAS_STATEMENT_TIME else 0)
        e.ordinal = before.ordinal + 1 + (r.varint() if flags & HAS_ORDINAL_GAP else 0)
        e.role = r.counted() if flags & HAS_ROLE else before.role
        e.key_id = r.take(16) if flags & HAS_KEY_ID else before.key_id
        e.row_key = r.take(16) if flags & HAS_ROW_KEY else None
        e.old = r.take(32) if flags & HAS_OLD else None
        e.new = r.take(32) if flags & HAS_NEW else None
        e.image = r.counted() if flags & HAS_IMAGE else None
        e.large_seed, e.large_length = (r.take(32), r.varint()) if flags & HAS_LARGE_IMAGE else (None, 0)
        if flags & HAS_SAME_PERSON and (flags & HAS_PERSON or before.person is None):
            raise Malformed("person of an entry")
        e.person = (r.take(16) if flags & HAS_PERSON else
                    before.person if flags & HAS_SAME_PERSON else None)
        if flags & HAS_SAME_SIGNER and (flags & (HAS_SIGNATURE | HAS_DETAIL) or
                                        before.signature is None or before.detail is None):
            raise Malformed("signer of an entry")
        e.signature = (r.take(16 + 32) if flags & HAS_SIGNATURE else
                       before.signature[:16] + r.take(32) if flags & HAS_SAME_SIGNER else None)
        e.object = r.take(32) if flags & HAS_OBJECT else None
        e.detail = (r.counted() if flags & HAS_DETAIL else
                    before.detail if flags & HAS_SAME_SIGNER else None)
        e.fields = (flags & ENTRY_FIELDS & ~HAS_KEY_ID | (HAS_KEY_ID if e.key_id != NO_ID else 0) |
                    (HAS_SIGNATURE | HAS_DETAIL if flags & HAS_SAME_SIGNER else 0) |
                    (HAS_PERSON if e.person is not None else 0))
        return e


def packed_row_seed(seal_key, ledger_id, xid, ordinal, body):
    return mac(seal_key, ledger_id, u64(xid), u64(ordinal), body[:1], body[17:])[:16]


def encode_entry(era_id, e):
    row = e.row
    return b"".join((
        b"\x01\x01", era_id, u64(row.xid), u64(e.ordinal), u64(row.position), u64(row.time),
        u64(e.statement_time), bytes((e.operation,)), u32(e.table), u32(e.manifest), u32(e.command),
        u32(e.fields), u16(len(row.session_role)), row.session_role, u16(len(e.role)), e.role,
        e.key_id if e.fields & HAS_KEY_ID else b"", e.row_key or b"", e.old or b"", e.new or b"",
        e.person or b"", e.signature or b"", e.object or b"",
        u16(len(e.detail)) + e.detail if e.detail is not None else b""))


class FullEntry(Entry):
    """An entry from its full encoding; its packed row has what stands there once."""

    def __init__(self, data):
        r = Reader(data)
        if r.take(2) != b"\x01\x01":
            raise Malformed("version of an entry")
        self.era_id, self.xid, self.ordinal = r.take(16), r.u64(), r.u64()
        self.position, self.time, self.statement_time = r.u64(), r.i64(), r.i64()
        self.operation, self.table, self.manifest, self.command = r.u8(), r.u32(), r.u32(), r.u32()
        self.fields = r.u32()
        if self.fields & ~ENTRY_FIELDS:
            raise Malformed("fields of an entry")
        self.session_role, self.role = r.take(r.u16()), r.take(r.u16())
        self.key_id = r.take(16) if self.fields & HAS_KEY_ID else NO_ID
        self.row_key = r.take(16) if self.fields & HAS_ROW_KEY else None
        self.old = r.take(32) if self.fields & HAS_OLD else None
        self.new = r.take(32) if self.fields & HAS_NEW else None
        self.person = r.take(16) if self.fields & HAS_PERSON else None
        self.signature = r.take(16 + 32) if self.fields & HAS_SIGNATURE else None
        self.object = r.take(32) if self.fields & HAS_OBJECT else None
        self.detail = r.take(r.u16()) if self.fields & HAS_DETAIL else None
        self.row = self         # as encode_entry() wants it
        if encode_entry(self.era_id, self) != data:
            raise Malformed("an entry is not as it is encoded")


def entry_salt(e):
    return mac(e.row.seed, u64(e.ordinal))


def leaf_data(era_id, e):
    return b"\x01" + sha256(entry_salt(e), encode_entry(era_id, e))


def leaf_hash(data):
    return sha256(b"\x00", data)


# ---- tree, tiles, blocks, eras ----


def node_hash(left, right):
    return sha256(b"\x01", left, right)


def tree_levels(leaves):
    """Hashes of all perfect subtrees; levels[h] those of 2^h leaves."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
    return levels


def tree_root(levels, size):
    """RFC 6962 root over the first "size" leaves."""
    root = None
    for height in range(size.bit_length()):
        if size >> height & 1:
            left = levels[height][(size >> height) - 1]
            root = left if root is None else node_hash(left, root)
    return sha256() if root is None else root


def proven_root(leaf, index, size, proof):
    """The root that an inclusion proof of RFC 6962 leads to."""
    last = size - 1
    for other in proof:
        if last == 0:
            raise Malformed("an inclusion proof is too long")
        if index & 1 or index == last:
            leaf = node_hash(other, leaf)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            leaf = node_hash(leaf, other)
        index, last = index >> 1, last >> 1
    if last != 0:
        raise Malformed("an inclusion proof is too short")
    return leaf


def tiles_of(levels, size):
    """Tiles as _tile stores them: (level, tile) -> hashes."""
    tiles = {}
    for level in range(8):
        count = size >> 8 * level
        hashes = levels[8 * level][:count] if count else []
        for tile in range(0, (count + 255) // 256):
            tiles[level, tile] = b"".join(hashes[256 * tile:256 * tile + 256])
    return tiles


def block_hash(ledger_id, ledger_time, b, era_id):
    snapshot = b.snapshot.encode()
    return sha256(
        b"medsync block v1", ledger_id, u64(ledger_time), u64(b.height), b.previous, u64(b.first),
        u64(b.count), b.root, u64(b.sealer), u64(b.time), u32(b.era), era_id, u32(len(snapshot)), snapshot)


def era_id_of(ledger_id, system_identifier, timeline, database):
    return sha256(ledger_id, u64(system_identifier), u32(timeline), u32(database))[:16]


class Snapshot:
    """A pg_snapshot, xmin:xmax:xip,..."""

    def __init__(self, text):
        _, xmax, members = text.split(":")
        self.xmax = int(xmax)
        self.in_progress = {int(x) for x in members.split(",") if x}

    def finished(self, xid):
        return xid < self.xmax and xid not in self.in_progress


ORDER_ROW_MAX = 7900


def order_rows(first, runs):
    """Rows of _block_order for a block: runs are (xid, ordinal, count, time)."""
    rows = []
    data, start, at, last_xid, last_time = b"", first, first, 0, 0
    for xid, ordinal, count, time in runs:
        data += zigzag(xid - last_xid) + varint(ordinal) + varint(count)
        if xid != last_xid:
            data += zigzag(time - last_time)
            last_time = time
        last_xid = xid
        at += count
        if len(data) > ORDER_ROW_MAX:
            rows.append((start, data))
            data, start, last_xid, last_time = b"", at, 0, 0
    if data:
        rows.append((start, data))
    return rows


SEGMENT, POSTINGS_PER_CHUNK = 65536, 790


def lookup_rows(entries):
    """Rows of _lookup for the full segments: (kind, segment, chunk) -> postings."""
    rows = {}
    for segment in range(len(entries) // SEGMENT):
        part = entries[segment * SEGMENT:(segment + 1) * SEGMENT]
        for kind in "rsm":
            postings = []
            for offset, e in enumerate(part):
                if kind == "r":
                    key = e.row_key
                elif kind == "s":
                    key = e.key_id if e.fields & HAS_KEY_ID else None
                else:
                    key = u32(e.table) + u32(e.manifest) if e.operation == DDL else None
                if key is not None:
                    postings.append(key[:8] + u16(offset))
            postings.sort()
            for chunk in range(0, (len(postings) + POSTINGS_PER_CHUNK - 1) // POSTINGS_PER_CHUNK):
                at = chunk * POSTINGS_PER_CHUNK
                rows[kind, segment, chunk] = b"".join(postings[at:at + POSTINGS_PER_CHUNK])
    return rows


# ---- keys ----


def read_master_key(text):
    match = re.fullmatch(r"medsync-master-key-v1:([0-9a-f]{64})\n", text)
    if not match:
        raise Malformed("master key file")
    return bytes.fromhex(match.group(1))


def master_key_id(master):
    return hkdf(master, b"medsync master key id v1")[:8]


def kek_aad(number, created_at, master_id):
    return b"medsync kek v1" + u32(number) + u64(created_at) + master_id


def subject_aad(tag, key_id, kek, duplicate):
    return b"medsync subject key v1" + tag + key_id + u32(kek) + (b"\x01" if duplicate else b"\x00")


def unwrap(key, wrapped, aad):
    if len(wrapped) != 60:
        return None
    return gcm_open(key, wrapped[:12], wrapped[12:], aad)


def derive(secret, use):
    return hkdf(secret, b"medsync " + use.encode() + b" v1")


def subject_tag(tag_key, kind, content):
    return mac(tag_key, kind + content)[:16]


def row_commitment(table, row, commit_key):
    h = sha256(b"\x01", u32(table), row)
    r = mac(commit_key, h)
    return h, r, sha256(r, h)


# ---- images ----

CHUNK = 1024 * 1024


def inline_image(e, image_key):
    key = hkdf(image_key, e.row.image_seed)
    return gcm_open(key, bytes(4) + u64(e.ordinal), e.image, u64(e.row.xid) + u64(e.ordinal))


def large_image_id(seed):
    return sha256(seed)[:16]


def large_image(e, image_key, chunks):
    """chunks: chunk number -> body, of this image's id; they are used up."""
    key = hkdf(image_key, e.large_seed)
    aad = u64(e.row.xid) + u64(e.ordinal) + u64(e.large_length)
    count = max(1, (e.large_length + CHUNK - 1) // CHUNK)
    plain = []
    for chunk in range(count):
        last = chunk == count - 1
        nonce = bytes(7) + u32(chunk) + (b"\x01" if last else b"\x00")
        part = gcm_open(key, nonce, chunks.pop(chunk, b""), aad)
        if part is None or len(part) != (e.large_length - chunk * CHUNK if last else CHUNK):
            return None
        plain.append(part)
    return b"".join(plain)


# ---- canonical values ----


def skip_jsonb(r):
    stack = []
    after_key = False
    while True:
        token = chr(r.u8())
        in_object = bool(stack) and stack[-1] == "{"
        is_value = token in "zftns[{"
        if is_value and in_object != after_key:
            raise Malformed("jsonb")
        if token in "nsk":
            r.counted()
        if token == "k" and (not in_object or after_key):
            raise Malformed("jsonb")
        if token in "[{":
            stack.append(token)
        elif token in "]}":
            if not stack or after_key or (stack.pop() == "{") != (token == "}"):
                raise Malformed("jsonb")
        elif token not in "zftnsk":
            raise Malformed("jsonb")
        after_key = token == "k"
        if not stack:
            return


FIXED = {"b": 1, "i": 8, "e": 4, "f": 8, "d": 4, "h": 8, "H": 12, "S": 8, "T": 8, "v": 16, "u": 16}


def skip_range(r, depth):
    flags = r.u8()
    if flags > 0x1F or (flags & 1 and flags != 1) or flags & 0x0A == 0x0A or flags & 0x14 == 0x14:
        raise Malformed("range")
    for infinite in 0x08, 0x10:
        if not flags & (infinite | 1):
            skip_value(r, depth + 1)


def skip_value(r, depth=1):
    """Step over a value without knowing its type."""
    if depth > 250:
        raise Malformed("nested too deep")
    tag = chr(r.u8())
    if tag in FIXED:
        if r.take(FIXED[tag])[0] > 1 and tag == "b":
            raise Malformed("boolean")
    elif tag in "ntyEx":
        r.counted()
    elif tag == "j":
        skip_jsonb(r)
    elif tag == "r":
        skip_range(r, depth)
    elif tag == "m":
        for _ in range(r.varint()):
            skip_range(r, depth)
    elif tag in "ac":
        count = r.varint()
        if tag == "a":
            lengths = [(r.varint(), r.zigzag())[0] for _ in range(count)]
            count = 1 if lengths else 0
            for length in lengths:
                count *= length
        for _ in range(count):
            present = r.u8()
            if present > 1:
                raise Malformed("flag of an element")
            if present:
                skip_value(r, depth + 1)
    else:
        raise Malformed("unknown tag")


def split_row(row):
    """A canonical row as column number -> value with its tag."""
    r = Reader(row)
    columns = {}
    last = 0
    while r.left():
        number = r.varint()
        if number <= last:
            raise Malformed("columns of a row are not in order")
        last = number
        start = r.at
        skip_value(r)
        columns[number] = r.data[start:r.at]
    return columns


# ---- signed rows ----

INSERT, UPDATE, UPDATE_IN = 1, 2, 4


def signing_message(ledger_id, manifest, root, row):
    """What the signature of a canonical row is over; root: of the partitioned table, or the same."""
    numbers = {c["name"]: c["number"] for c in root["columns"]}
    names = {c["number"]: c["name"] for c in manifest["columns"]}
    columns = split_row(row)
    kept = sorted((numbers[names[n]], value) for n, value in columns.items() if n != manifest["signature"])
    return (b"medsync row signature v1\n" + ledger_id + u32(root["table"]) + uuid_of(columns[manifest["signer"]]) +
            b"".join(varint(n) + value for n, value in kept))


def uuid_of(value):
    if value[:1] != b"u":
        raise Malformed("a value is no uuid")
    return value[1:]


def bytea_of(value):
    if value[:1] != b"y":
        raise Malformed("a value is no bytea")
    return Reader(value[1:]).counted()


class PersonKey:
    """A row of person_key."""

    GRACE = 60 * 1000000        # after a revocation, for statements that were running

    def __init__(self, manifest, row):
        columns = split_row(row)
        column = {c["name"]: columns.get(c["number"]) for c in manifest["columns"]}
        self.id, self.person = uuid_of(column["id"]), uuid_of(column["person"])
        self.algorithm = value_text(column["algorithm"])
        self.public_key = bytea_of(column["public_key"])
        times = [column[name] for name in ("valid_from", "valid_until", "revoked_at")]
        if any(t is not None and t[:1] != b"T" for t in times):
            raise Malformed("times of a key")
        self.valid_from, self.valid_until, self.revoked_at = (
            None if t is None else Reader(t[1:]).i64() for t in times)

    def valid_at(self, time):
        return (self.valid_from <= time and (self.valid_until is None or time < self.valid_until) and
                (self.revoked_at is None or time < self.revoked_at + self.GRACE))


def is_key_table(manifest):
    return (manifest["schema"], manifest["name"], manifest["parent"]) == ("medsync", "person_key", 0)


def signature_problem(ledger_id, e, row, manifest, root, key):
    """What is wrong with the signature of a row that an entry brought; None: nothing."""
    columns = split_row(row)
    signer, signature = uuid_of(columns[manifest["signer"]]), bytea_of(columns[manifest["signature"]])
    if e.signature != signer + sha256(signature):
        return "the entry names another signature"
    if key is None or key.id != signer:
        return "the key is not the signer's"
    if not key_verify(key.public_key, key.algorithm, signing_message(ledger_id, manifest, root, row), signature):
        return "the signature is wrong"
    signed_now = e.operation in (INSERT, UPDATE_IN) or (e.operation == UPDATE and e.old != e.new)
    if signed_now and not key.valid_at(e.statement_time):
        return "the key was not valid"
    return None


def value_text(value):
    """The text of a value, as a subject; None where it is not worked out here."""
    tag, content = chr(value[0]), Reader(value[1:])
    if tag == "i":
        return str(content.i64()).encode()
    if tag in "tnEx":
        return content.counted()
    if tag == "u":
        h = content.take(16).hex()
        return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:])).encode()
    return None


class JsonNumber(str):
    pass


def put_jsonb(value):
    if value is None:
        return b"z"
    if value is True:
        return b"t"
    if value is False:
        return b"f"
    if isinstance(value, JsonNumber):
        return b"n" + counted(value.encode())
    if isinstance(value, str):
        return b"s" + counted(value.encode())
    if isinstance(value, list):
        return b"[" + b"".join(map(put_jsonb, value)) + b"]"
    members = sorted((k.encode(), v) for k, v in value.items())
    members.sort(key=lambda member: len(member[0]))
    return b"{" + b"".join(b"k" + counted(k) + put_jsonb(v) for k, v in members) + b"}"


def days_of(date):
    """Days since 2000-01-01 of an ISO date."""
    y, m, d = map(int, date.split("-"))
    y, m = (y - 1, m + 12) if m <= 2 else (y, m)
    return 365 * y + y // 4 - y // 100 + y // 400 + (153 * m - 457) // 5 + d - 306 - 730120


def microseconds_of(time):
    h, m, s = time.split(":")
    whole, _, fraction = s.partition(".")
    return (int(h) * 3600 + int(m) * 60 + int(whole)) * 1000000 + int((fraction + "000000")[:6])


def put_value(type_name, text):
    """Encode a value from its type's text output (DateStyle ISO, TimeZone UTC)."""
    name = re.sub(r"\([\d,]*\)", "", type_name.removeprefix("pg_catalog."))
    if name == "boolean":
        return b"b\x01" if text == "true" else b"b\x00"
    if name in ("smallint", "integer", "bigint"):
        return b"i" + u64(int(text))
    if name == "real":
        return b"e" + struct.pack(">f", float(text))
    if name == "double precision":
        return b"f" + struct.pack(">d", float(text))
    if name == "numeric":
        return b"n" + counted(text.encode())
    if name in ("text", "character varying", "name"):
        return b"t" + counted(text.encode())
    if name == "bytea":
        return b"y" + counted(bytes.fromhex(text[2:]))
    if name == "date":
        return b"d" + u32(days_of(text))
    if name == "time without time zone":
        return b"h" + u64(microseconds_of(text))
    if name in ("timestamp without time zone", "timestamp with time zone"):
        date, time = text.removesuffix("+00").split(" ")
        tag = b"T" if name.endswith("with time zone") else b"S"
        return tag + u64(days_of(date) * 86400000000 + microseconds_of(time))
    if name == "uuid":
        return b"u" + bytes.fromhex(text.replace("-", ""))
    if name == "jsonb":
        return b"j" + put_jsonb(json.loads(text, parse_int=JsonNumber, parse_float=JsonNumber))
    if name == "json":
        return b"x" + counted(text.encode())
    return None


# ---- an exported ledger ----


class Block:
    pass


class Era:
    pass


class Ledger:
    def __init__(self, path):
        self.errors = []
        self.tables = {}
        for line in open(path, encoding="ascii"):
            name, *columns = line.rstrip("\n").split("\t")
            self.tables.setdefault(name, []).append([None if c == "\\N" else c for c in columns])
        rows = self.rows("_ledger")
        if len(rows) != 1:
            raise Malformed("a ledger has one identity")
        self.id, self.time = bytes.fromhex(rows[0][0]), int(rows[0][1])

    def rows(self, name):
        return self.tables.get(name, [])

    def error(self, text):
        self.errors.append(text)

    def check(self, holds, text):
        if not holds:
            self.error(text)
        return holds

    # -- what needs no key --

    def read(self):
        self.read_eras()
        self.read_journal()
        self.read_blocks()
        self.seal_again()
        self.check_manifests()

    def read_eras(self):
        self.eras = {}
        for number, era_id, system_identifier, timeline, database in self.rows("_era"):
            era = Era()
            era.number, era.id = int(number), bytes.fromhex(era_id)
            era.known = system_identifier is not None
            if era.known:
                era.place = int(system_identifier), int(timeline), int(database)
                self.check(era_id_of(self.id, *era.place) == era.id, f"id of era {number}")
            self.eras[era.id] = era
        self.era_numbers = {era.number: era for era in self.eras.values()}

    def line_of(self, era):
        """Eras of one database of one cluster share a line; an unknown one stands alone."""
        return (era.place[0], era.place[2]) if era.known else era.id

    def read_journal(self):
        self.packed_rows = []
        self.xacts = {}
        for xid, ordinal, body in self.rows("_journal"):
            row = PackedRow(int(xid), int(ordinal or 0), bytes.fromhex(body))
            if row.era_number:
                row.era = self.era_numbers[row.era_number]
            elif row.era_id in self.eras:
                row.era = self.eras[row.era_id]
            else:               # not sealed yet
                row.era = Era()
                row.era.number, row.era.id, row.era.known = 0, row.era_id, False
                self.eras[row.era_id] = row.era
            self.packed_rows.append(row)
            self.xacts.setdefault((row.era.id, row.xid), []).append(row)
        for rows in self.xacts.values():
            rows.sort(key=lambda row: row.ordinal)

    def read_blocks(self):
        self.blocks = []
        for height, era, previous, first, count, root, snapshot, sealer, time, digest in self.rows("_block"):
            b = Block()
            b.height, b.era, b.first, b.count = int(height), int(era), int(first), int(count)
            b.previous, b.root, b.hash = bytes.fromhex(previous), bytes.fromhex(root), bytes.fromhex(digest)
            b.snapshot, b.sealer, b.time = snapshot, int(sealer), int(time)
            self.blocks.append(b)
        self.blocks.sort(key=lambda b: b.height)

    def in_order(self, xact):
        """A transaction's entries in ledger order."""
        return sorted((e for row in xact for e in row.entries), key=lambda e: (e.command, e.ordinal))

    def xacts_of_block(self, b, lines):
        """The transactions of a block, in order; see "Blocks" in the page."""
        era = self.era_numbers[b.era]
        now = Snapshot(b.snapshot)
        line = lines.setdefault(self.line_of(era), [])
        # blocks of one call share both: the block before is that of an earlier call
        groups = [g for g in line if (g.sealer, g.snapshot) != (b.sealer, b.snapshot)]
        before = groups[-1] if groups else None
        seen = Snapshot(before.snapshot) if before else None
        line.append(b)

        def fresh(xid):
            return not (before and (seen.finished(xid) or xid == before.sealer))

        chosen = [rows for (era_id, xid), rows in self.xacts.items()
                  if era_id == era.id and now.finished(xid) and fresh(xid)]
        chosen.sort(key=lambda rows: (max(row.position for row in rows), rows[0].xid))
        own = self.xacts.get((era.id, b.sealer))
        if own and not now.finished(b.sealer) and fresh(b.sealer):
            chosen.append(own)
        return chosen

    def seal_again(self):
        """Compute every block from journal and snapshots, and compare."""
        self.entries = []       # sealed, in ledger order
        hashes = []
        runs_of_block = []
        lines = {}
        sealed = set()
        for b in self.blocks:
            era = self.era_numbers[b.era]
            runs = []
            for xact in self.xacts_of_block(b, lines):
                sealed.add((era.id, xact[0].xid))
                _, time = max((row.position, row.time) for row in xact)
                last = None
                for e in self.in_order(xact):
                    if last is not None and e.ordinal == last + 1:
                        runs[-1][2] += 1
                    else:
                        runs.append([xact[0].xid, e.ordinal, 1, time])
                    last = e.ordinal
                    self.entries.append(e)
                    hashes.append(leaf_hash(self.leaf_of(era, e)))
            runs_of_block.append(runs)
            self.check(len(self.entries) == b.first + b.count,
                       f"block {b.height} has {len(self.entries) - b.first} entries, not {b.count}")
        self.unsealed = [e for key, rows in self.xacts.items() if key not in sealed
                         for e in self.in_order(rows)]
        levels = tree_levels(hashes)
        self.check_blocks(levels)
        self.check_stored(levels, hashes, runs_of_block)

    def leaf_of(self, era, e):
        return leaf_data(era.id, e)

    def check_stored(self, levels, hashes, runs_of_block):
        self.compare("_tile", {(int(l), int(t)): bytes.fromhex(h) for l, t, h in self.rows("_tile")},
                     tiles_of(levels, len(hashes)))
        order = {}
        for b, runs in zip(self.blocks, runs_of_block):
            order.update(order_rows(b.first, runs))
        self.compare("_block_order", {int(f): bytes.fromhex(r) for f, r in self.rows("_block_order")}, order)
        self.compare("_lookup", {(k, int(s), int(c)): bytes.fromhex(p) for k, s, c, p in self.rows("_lookup")},
                     lookup_rows(self.entries))

    def check_blocks(self, levels):
        previous, first, time = bytes(32), 0, None
        for height, b in enumerate(self.blocks):
            era = self.era_numbers[b.era]
            self.check(b.height == height, f"height of block {b.height}")
            self.check(b.first == first, f"first index of block {b.height}")
            self.check(b.previous == previous, f"previous hash of block {b.height}")
            self.check(time is None or b.time >= time, f"time of block {b.height}")
            self.check(b.root == tree_root(levels, b.first + b.count), f"root of block {b.height}")
            self.check(b.hash == block_hash(self.id, self.time, b, era.id), f"hash of block {b.height}")
            previous, first, time = b.hash, b.first + b.count, b.time
        for e in self.entries:
            if e.operation == ERA:
                self.check(e.detail == u32(e.row.era.number) + u64(e.row.era.place[0]) +
                           u32(e.row.era.place[1]) + u32(e.row.era.place[2]), "detail of an era entry")

    def compare(self, name, stored, computed):
        for key in sorted(set(stored) | set(computed)):
            self.check(stored.get(key) == computed.get(key), f"{name} {key}")

    def check_manifests(self):
        texts = {(int(t), int(v)): bytes.fromhex(c) for t, v, c in self.rows("_manifest")}
        self.manifests = {}
        announced = {}
        for e in self.entries + self.unsealed:
            if e.operation != DDL:
                continue
            key = e.table, e.manifest
            self.check(e.manifest == announced.get(e.table, 0) + 1, f"manifest {key} out of turn")
            announced[e.table] = e.manifest
            if not self.check(key in texts and sha256(texts[key]) == e.object, f"manifest {key}"):
                continue
            manifest = json.loads(texts[key])
            self.manifests[key] = manifest
            again = json.dumps(manifest, ensure_ascii=False, separators=(",", ":")).encode()
            demanded = [name for name in ("signer", "signature", "on_behalf_of") if name in manifest]
            self.check(again == texts[key] and demanded[:2] in ([], ["signer", "signature"]) and list(manifest) == [
                "table", "version", "schema", "name", "parent", "tracked", "partitioned", "payload",
                "subject", "next_column", "key"] + demanded + ["columns"], f"text of manifest {key}")
            self.check((manifest["table"], manifest["version"]) == key, f"numbers of manifest {key}")
        self.check(set(texts) == set(self.manifests), "manifests that no entry announced")
        self.check_demanded()
        self.newest = {}
        for number, schema, name, version, tracked in self.rows("_table"):
            number = int(number)
            manifest = self.manifests.get((number, int(version)))
            self.check(manifest is not None and announced.get(number) == int(version) and
                       manifest["schema"].encode().hex() == schema and manifest["name"].encode().hex() == name and
                       manifest["tracked"] == (tracked == "t"), f"table {number}")
            self.newest[number] = manifest

    def check_demanded(self):
        """A signature is there exactly where the manifest demands one."""
        for e in self.entries + self.unsealed:
            manifest = self.manifests.get((e.table, e.manifest), {})
            demanded = e.new is not None and "signer" in manifest
            self.check((e.signature is not None) == demanded, f"signature of entry ({e.row.xid}, {e.ordinal})")

    # -- what needs the master key --

    def open_keys(self, path):
        master = read_master_key(open(path, encoding="ascii").read())
        keks = {}
        for number, created_at, master_id, wrapped in self.rows("_key_encryption_key"):
            self.check(bytes.fromhex(master_id) == master_key_id(master), f"master key id of key {number}")
            keks[int(number)] = unwrap(hkdf(master, b"medsync master key wrap v1"), bytes.fromhex(wrapped),
                                       kek_aad(int(number), int(created_at), bytes.fromhex(master_id)))
            self.check(keks[int(number)] is not None, f"key-encryption key {number} does not open")
        self.by_tag, self.by_id = {}, {}
        for tag, key_id, kek, duplicate, wrapped in self.rows("_subject_key"):
            tag, key_id = bytes.fromhex(tag), bytes.fromhex(key_id)
            secret = unwrap(keks[int(kek)], bytes.fromhex(wrapped),
                            subject_aad(tag, key_id, int(kek), duplicate == "t"))
            if not self.check(secret is not None, f"subject key {key_id.hex()} does not open"):
                continue
            self.check(self.by_tag.setdefault(tag, (key_id, secret)) == (key_id, secret), "two keys of one tag")
            self.check(self.by_id.setdefault(key_id, (tag, secret)) == (tag, secret), "one key of two tags")
        root = self.by_tag[NO_ID][1]
        self.tag_key, self.seal_key = derive(root, "tag"), derive(root, "seal")

    def table_key(self, table):
        return self.by_tag[subject_tag(self.tag_key, b"t", u32(table))]

    def check_entries(self):
        """Seeds of packed rows; every key that an entry names must be there."""
        for e in self.entries + self.unsealed:
            self.check(e.key_id == NO_ID or e.key_id in self.by_id, f"key of entry ({e.row.xid}, {e.ordinal})")
            if e.operation == DDL:
                self.check(e.key_id == self.table_key(e.table)[0], f"own key of table {e.table}")
        for row in self.packed_rows:
            seed = packed_row_seed(self.seal_key, self.id, row.xid, row.ordinal, row.body)
            self.check(seed == row.seed, f"seed of packed row ({row.xid}, {row.ordinal})")

    def key_columns(self, manifest, columns):
        return b"".join(varint(n) + columns[n] for n in sorted(manifest["key"]) if n in columns)

    def check_row(self, e, row):
        """Does a row's image give what its entry says?"""
        tag, secret = self.by_id[e.key_id]
        place = f"entry ({e.row.xid}, {e.ordinal})"
        manifest = self.manifests[e.table, e.manifest]
        columns = split_row(row)
        self.check(row_commitment(e.table, row, derive(secret, "commit"))[2] == e.new, f"commitment of {place}")
        self.check(set(columns) <= {c["number"] for c in manifest["columns"] if not c["excluded"]},
                   f"columns of {place}")
        subject = columns.get(manifest["subject"])
        if subject is None:
            self.check(tag == subject_tag(self.tag_key, b"t", u32(e.table)), f"subject of {place}")
        elif value_text(subject) is not None:
            self.check(tag == subject_tag(self.tag_key, b"s", value_text(subject)), f"subject of {place}")
        if manifest["key"]:
            label = derive(self.table_key(e.table)[1], "label")
            self.check(mac(label, self.key_columns(manifest, columns))[:16] == e.row_key, f"row key of {place}")
        else:
            self.check(e.row_key is None, f"{place} should have no row key")

    def open_images(self):
        chunks = {}
        for image_id, chunk, body in self.rows("_image"):
            chunks.setdefault(bytes.fromhex(image_id), {})[int(chunk)] = bytes.fromhex(body)
        self.images = []
        for e in self.entries + self.unsealed:
            if e.image is None and e.large_seed is None:
                continue
            image_key = derive(self.by_id[e.key_id][1], "image")
            row = (inline_image(e, image_key) if e.image is not None else
                   large_image(e, image_key, chunks.get(large_image_id(e.large_seed), {})))
            if self.check(row is not None, f"image of entry ({e.row.xid}, {e.ordinal})"):
                self.check((len(row) > 6000) == (e.large_seed is not None), "size of an image")
                self.check_row(e, row)
                self.images.append((e, row))
        self.check(not any(chunks.values()), "images that no entry has")

    def check_signatures(self):
        """Every signed row whose image is there, by the keys as they were then."""
        images = {id(e): row for e, row in self.images}
        keys, newest, count = {}, {}, 0
        for e in self.entries + self.unsealed:
            manifest, row = self.manifests.get((e.table, e.manifest)), images.get(id(e))
            if e.operation == DDL:
                newest[e.table] = manifest
            if row is None:
                continue
            if is_key_table(manifest):
                key = PersonKey(manifest, row)
                keys[key.id] = key
            if e.signature is None:
                continue
            root = manifest
            while root["parent"]:
                root = newest[root["parent"]]
            problem = signature_problem(self.id, e, row, manifest, root, keys.get(e.signature[:16]))
            self.check(problem is None, f"signed entry ({e.row.xid}, {e.ordinal}): {problem}")
            count += 1
        return count

    def live_row(self, table, texts):
        """The commitment of a live row; None where a type is not worked out here."""
        manifest = self.newest[table]
        kept = [c for c in manifest["columns"] if not c["excluded"]]
        columns = {}
        for column, text in zip(kept, texts):
            if text is not None:
                value = put_value(column["type"], bytes.fromhex(text).decode())
                if value is None:
                    return None
                columns[column["number"]] = value
        subject = columns.get(manifest["subject"])
        name = (b"t", u32(table)) if subject is None else (b"s", value_text(subject))
        secret = self.by_tag[subject_tag(self.tag_key, *name)][1]
        row = b"".join(varint(n) + columns[n] for n in sorted(columns))
        return row_commitment(table, row, derive(secret, "commit"))[2]

    def check_balance(self):
        """What entries made less what they ended is what the tables hold."""
        balance = {}
        live = 0
        unknown = set()
        for e in self.entries + self.unsealed:
            for commitment, change in ((e.old, -1), (e.new, 1)):
                if commitment is not None:
                    balance[e.table, commitment] = balance.get((e.table, commitment), 0) + change
        for number, *texts in self.rows("live"):
            number = int(number)
            commitment = self.live_row(number, texts)
            live += 1
            if commitment is None:
                unknown.add(number)
            else:
                balance[number, commitment] = balance.get((number, commitment), 0) - 1
        for (table, commitment), count in balance.items():
            if self.newest[table]["tracked"] and table not in unknown:
                self.check(count == 0, f"table {table} holds {commitment.hex()} {-count} times too often")
        return live, unknown

    def report(self):
        for text in self.errors[:20]:
            print("differs:", text)
        if len(self.errors) > 20:
            print("and", len(self.errors) - 20, "more")
        return 1 if self.errors else 0


def verify_ledger(path, key_path=None):
    ledger = Ledger(path)
    ledger.read()
    print(f"{len(ledger.entries)} sealed and {len(ledger.unsealed)} unsealed entries, {len(ledger.blocks)} blocks, "
          f"{len(ledger.eras)} eras, {len(ledger.rows('_tile'))} tiles, {len(ledger.manifests)} manifests, "
          f"{len(ledger.rows('_lookup'))} rows of look-ups")
    if key_path is not None:
        ledger.open_keys(key_path)
        ledger.check_entries()
        ledger.open_images()
        live, unknown = ledger.check_balance()
        signatures = ledger.check_signatures()
        print(f"{len(ledger.by_id)} keys, {len(ledger.packed_rows)} seeds, {len(ledger.images)} images"
              f" ({sum(e.large_seed is not None for e, _ in ledger.images)} large), {live} live rows"
              + (f", {signatures} signatures" if signatures else "")
              + (f", without those of tables {sorted(unknown)}" if unknown else "")
              + (", own AES" if AesGcm is OwnAesGcm else ""))
    return ledger.report()


# ---- a published ledger ----


def read_note(data, vkey):
    """Origin, size and root of a checkpoint that a key has signed."""
    text, empty, signatures = data.rpartition(b"\n\n")
    text += b"\n"
    origin, size, root = text.split(b"\n")[:3]
    name, key_id, key = vkey.encode().split(b"+", 2)
    key = base64.b64decode(key, validate=True)
    if key[:1] != b"\x01" or verifier_key(name, key[1:]) != vkey.encode():
        raise Malformed("verifier key")
    root = base64.b64decode(root, validate=True)
    if not empty or name != origin or text != checkpoint_text(origin, int(size), root):
        raise Malformed("text of the checkpoint")
    signed = [base64.b64decode(line.split(b" ")[2], validate=True) for line in signatures.splitlines()
              if line.startswith(b"\xe2\x80\x94 " + name + b" ")]
    signed = [s[4:] for s in signed if s[:4] == bytes.fromhex(key_id.decode())]
    if not signed or not all(ed25519_verify(key[1:], text, s) for s in signed):
        raise Malformed("signature of the checkpoint")
    return int(size), root


def read_records(path):
    """Type and payload of each record of a private export."""
    data = open(path, "rb").read()
    r = Reader(data)
    if r.take(19) != b"medsync-entries v1\n":
        raise Malformed("no private export")
    count = 0
    while True:
        begin = r.at
        kind = r.take(1)
        payload = r.take(r.u32())
        if kind == b"Z":
            break
        count += kind == b"E"
        yield kind, payload
    if payload != u64(count) + sha256(data[:begin]) or r.left() != 0:
        raise Malformed("the end of the private export")


def tile_number(n):
    groups = ["%03d" % (n % 1000)]
    while n >= 1000:
        n //= 1000
        groups.insert(0, "x%03d" % (n % 1000))
    return "/".join(groups)


class Published(Ledger):
    """What export() and export_entries() wrote, of a whole ledger."""

    def __init__(self, log, path, vkey):
        self.errors, self.tables, self.log = [], {}, log
        self.size, self.root = read_note(open(os.path.join(log, "checkpoint"), "rb").read(), vkey)
        self.stream, self.place, self.signers = [], -1, []
        for kind, payload in read_records(path):
            self.take_record(kind, Reader(payload))
        self.read()
        self.check([e for _, e in self.stream] == self.entries, "order of the entries")
        for e in self.entries:
            if e.operation == SIGNER:
                vkey = e.detail.split(b"\n")[0]
                name, _, key = vkey.split(b"+", 2)
                self.check(verifier_key(name, base64.b64decode(key)[1:]) == vkey, "key of a signer entry")
                self.signers.append(vkey)

    def take_record(self, kind, r):
        place = "LAMBEC".index(kind.decode())
        if place < self.place and not (kind == b"B" and self.place == 4):
            raise Malformed("order of records")
        self.place = place
        add = lambda name, *columns: self.tables.setdefault(name, []).append(columns)
        if kind == b"L":
            self.id, self.time = r.take(16), r.i64()
            self.check((r.u64(), r.left()) == (0, 8), "the private export begins later")
        elif kind == b"A":
            number, era_id, known = r.u32(), r.take(16).hex(), r.u8()
            place = r.u64(), r.u32(), r.u32()
            add("_era", number, era_id, *(place if known else (None,) * 3))
        elif kind == b"M":
            add("_manifest", r.u32(), r.u32(), r.take(r.left()).hex())
        elif kind == b"B":
            height, era, previous, first, count = r.u64(), r.u32(), r.take(32), r.u64(), r.u64()
            root, sealer, time, digest = r.take(32), r.u64(), r.i64(), r.take(32)
            self.check(first == len(self.stream), f"place of block {height}")
            add("_block", height, era, previous.hex(), first, count, root.hex(), r.take(r.left()).decode(),
                sealer, time, digest.hex())
        elif kind == b"E":
            salt, data = r.take(32), r.take(r.left())
            e = FullEntry(data)
            e.leaf = b"\x01" + sha256(salt, data)
            self.stream.append((salt, e))

    def read_journal(self):
        self.xacts = {}
        for _, e in self.stream:
            e.era, e.entries = self.eras[e.era_id], [e]
            self.xacts.setdefault((e.era_id, e.xid), []).append(e)

    def leaf_of(self, era, e):
        return e.leaf

    def check_stored(self, levels, hashes, runs_of_block):
        """Every file of the public export; those that must be there."""
        self.check(tree_root(levels, self.size) == self.root, "root of the checkpoint")
        tiles = {(str(level), n): (data, 32) for (level, n), data in tiles_of(levels, self.size).items()}
        for n in range((self.size + 255) // 256):
            leaves = [e.leaf for e in self.entries[256 * n:min(256 * n + 256, self.size)]]
            tiles["entries", n] = b"".join(u16(33) + leaf for leaf in leaves), 35
        wanted = {}
        for (level, n), (data, width) in tiles.items():
            path = f"tile/{level}/{tile_number(n)}"
            count = len(data) // width
            for w in range(1, count + 1):
                wanted[f"{path}.p/{w}" if w < 256 else path] = data[:w * width], w == count
        found = set()
        for directory, _, names in os.walk(os.path.join(self.log, "tile")):
            for name in names:
                path = os.path.join(directory, name)
                found.add(os.path.relpath(path, self.log))
                self.check(open(path, "rb").read() == wanted.get(os.path.relpath(path, self.log), (None,))[0], path)
        for path, (_, needed) in wanted.items():
            self.check(not needed or path in found, f"{path} is missing")


def verify_published(log, path, vkey):
    ledger = Published(log, path, vkey)
    print(f"{ledger.size} entries signed, {len(ledger.entries)} in {len(ledger.blocks)} blocks, "
          f"{len(ledger.eras)} eras, {len(ledger.manifests)} manifests, {len(ledger.signers)} signer entries")
    return ledger.report()


# ---- the table of canonical encodings in the page ----


def doc_values(path):
    """(SQL expression, canonical bytes) of each row of the table."""
    values = []
    for line in open(path, encoding="utf-8"):
        match = re.fullmatch(r"\| `(.+)` \| `([0-9a-f]+)`(?: then (\d+) times `([0-9a-f]+)`)? \|\n", line)
        if match:
            expression, data, times, more = match.groups()
            values.append((expression, bytes.fromhex(data + (more or "") * int(times or 0))))
    if not values:
        raise Malformed("no table of encodings in " + path)
    return values


def table_sql(path):
    columns = [f"\t{expression} AS c{n}" for n, (expression, _) in enumerate(doc_values(path), 1)]
    print("CREATE TABLE canonical_value AS SELECT\n" + ",\n".join(columns) + ";")
    return 0


def check_values(path, key_path, doc):
    ledger = Ledger(path)
    ledger.read()
    ledger.open_keys(key_path)
    ledger.open_images()
    rows = [row for e, row in ledger.images
            if ledger.manifests[e.table, e.manifest]["name"] == "canonical_value"]
    if len(rows) != 1:
        raise Malformed("one row of table canonical_value is needed")
    columns = split_row(rows[0])
    values = doc_values(doc)
    for n, (expression, data) in enumerate(values, 1):
        ledger.check(columns.get(n) == data, f"{expression} is {columns.get(n, b'').hex()}, not {data.hex()}")
    ledger.check(len(columns) == len(values), "number of columns")
    print(f"{len(values)} values are encoded as the page says")
    return ledger.report()


# ---- notes and receipts ----


def key_id_of(origin, public):
    return sha256(origin, b"\n\x01", public)[:4]


def verifier_key(origin, public):
    return b"+".join((origin, key_id_of(origin, public).hex().encode(), base64.b64encode(b"\x01" + public)))


def checkpoint_text(origin, size, root):
    return b"%s\n%d\n%s\n" % (origin, size, base64.b64encode(root))


def signature_line(origin, seed, text):
    signed = key_id_of(origin, ed25519_public(seed)) + ed25519_sign(seed, text)
    return b"\xe2\x80\x94 %s %s\n" % (origin, base64.b64encode(signed))


class ManifestOpening:
    """A manifest, and the ddl entry that announced it."""

    def __init__(self, r):
        self.content, self.index = r.counted(), r.u64()
        self.entry, self.salt = r.counted(), r.take(32)
        self.proof = read_hashes(r)


class Receipt:
    """The bytes of a receipt's extra line."""

    def __init__(self, data, nested=False):
        r = Reader(data)
        if r.u8() != 1:
            raise Malformed("version of a receipt")
        self.entry, self.salt = r.counted(), r.take(32)
        flags = r.u8()
        self.row = self.manifest = self.key = None
        if flags not in ((3,) if nested else (0, 2, 3, 7)):
            raise Malformed("flags of a receipt")
        if flags & 1:
            self.r, self.row = r.take(32), r.counted()
        if flags & 2:
            self.manifest = ManifestOpening(r)
        if flags & 4:
            self.ledger_id = r.take(16)
            self.place = r.u64(), r.u32(), r.u32()
            self.parents = [ManifestOpening(r) for _ in range(r.u8())]
            self.key_index, self.key_proof = r.u64(), read_hashes(r)
            self.key = Receipt(r.counted(), True)
        if r.left() != 0:
            raise Malformed("bytes after a receipt")


def read_hashes(r):
    return [r.take(32) for _ in range(r.u8())]


def opened_leaf(opening):
    return leaf_hash(b"\x01" + sha256(opening.salt, opening.entry))


class Checked:
    """A receipt that is right in a tree of this size and root, or Malformed."""

    def __init__(self, receipt, index, proof, size, root):
        self.size, self.root, self.author = size, root, None
        self.need(index < size, "index of the entry")
        self.e = self.entry(receipt, index, proof)
        self.manifest = self.open(receipt, self.e, index)
        demanded = self.manifest is not None and "signer" in self.manifest and self.e.new is not None
        self.need(not demanded or self.e.signature is not None, "signature of the entry")
        self.need((receipt.key is not None) == (demanded and receipt.row is not None), "signer of the row")
        if receipt.key is not None:
            self.author = self.signer(receipt, index)

    def need(self, holds, text):
        if not holds:
            raise Malformed(text)

    def entry(self, opening, index, proof):
        self.need(proven_root(opened_leaf(opening), index, self.size, proof) == self.root, "inclusion of an entry")
        return FullEntry(opening.entry)

    def announced(self, opening, table, version, index):
        self.need(opening.index <= index, "a manifest was announced later")
        e = self.entry(opening, opening.index, opening.proof)
        manifest = json.loads(opening.content)
        self.need(e.operation == DDL and e.table == table and version in (None, e.manifest) and
                  e.object == sha256(opening.content) and
                  (manifest["table"], manifest["version"]) == (table, e.manifest), "manifest of an entry")
        return manifest

    def open(self, opening, e, index):
        if opening.manifest is None:
            return None
        manifest = self.announced(opening.manifest, e.table, e.manifest, index)
        if opening.row is not None:
            h = sha256(b"\x01", u32(e.table), opening.row)
            self.need(e.new is not None and sha256(opening.r, h) == e.new, "the row")
        return manifest

    def signer(self, receipt, index):
        self.need(era_id_of(receipt.ledger_id, *receipt.place) == self.e.era_id, "id of the ledger")
        self.need(receipt.key_index < index, "the key came later")
        e = self.entry(receipt.key, receipt.key_index, receipt.key_proof)
        of_key = self.open(receipt.key, e, receipt.key_index)
        self.need(is_key_table(of_key), "table of the key")
        key = PersonKey(of_key, receipt.key.row)
        chain = self.manifest
        for opening in receipt.parents:
            self.need(chain["parent"] != 0, "too many parents")
            chain = self.announced(opening, chain["parent"], None, index)
        self.need(chain["parent"] == 0, "the root is missing")
        problem = signature_problem(receipt.ledger_id, self.e, receipt.row, self.manifest, chain, key)
        self.need(problem is None, problem)
        return key


def check_receipt(path, vkey):
    text, empty, note = open(path, "rb").read().partition(b"\n\n")
    lines = text.split(b"\n")
    if not empty or lines[0] != b"c2sp.org/tlog-proof@v1" or lines[1][:6] != b"extra " or lines[2][:6] != b"index ":
        raise Malformed("no tlog-proof")
    proof = [base64.b64decode(line, validate=True) for line in lines[3:]]
    receipt = Receipt(base64.b64decode(lines[1][6:], validate=True))
    checked = Checked(receipt, int(lines[2][6:]), proof, *read_note(note, vkey))
    print(f"entry {int(lines[2][6:])}, operation {checked.e.operation}"
          + (f", {checked.manifest['schema']}.{checked.manifest['name']}" if checked.manifest else "")
          + (", with its row" if receipt.row is not None else "")
          + (f", signed by {checked.author.person.hex()} with {checked.author.id.hex()},"
             f" {checked.author.algorithm.decode()}" if checked.author else "")
          + (f", entered by {checked.e.person.hex()}" if checked.e.person else ""))
    return 0


# ---- the fenced vectors in the page ----


class Vector(dict):
    """Lines "name = value" of one fenced block; hexadecimal, number or "text"."""

    def hex(self, name):
        return bytes.fromhex(self[name])

    def number(self, name):
        return int(self[name])

    def text(self, name):
        return json.loads(self[name]).encode()


def vector_derived_keys(v):
    s = v.hex("secret S")
    out = {f'HKDF(S, "medsync {use} v1")': derive(s, use) for use in ("commit", "image", "label", "tag", "seal")}
    tag_key = derive(s, "tag")
    out["tag of the subject"] = subject_tag(tag_key, b"s", v.text("subject"))
    out["tag of the table"] = subject_tag(tag_key, b"t", u32(v.number("table number")))
    return out


def vector_master_key(v):
    master = v.hex("master key M")
    return {"file, before its line feed": b"medsync-master-key-v1:" + master.hex().encode(),
            "id of the master key": master_key_id(master),
            "K_wrap": hkdf(master, b"medsync master key wrap v1")}


def vector_kek_wrap(v):
    aad = kek_aad(v.number("number"), v.number("created_at"), v.hex("master_key_id"))
    nonce = v.hex("nonce")
    return {"associated data": aad, "wrapped": nonce + gcm_seal(v.hex("K_wrap"), nonce, v.hex("plaintext KEK"), aad)}


def vector_subject_wrap(v):
    aad = subject_aad(v.hex("tag"), v.hex("key_id"), v.number("key_encryption_key"), v["duplicate"] == "true")
    nonce = v.hex("nonce")
    return {"associated data": aad, "wrapped": nonce + gcm_seal(v.hex("KEK"), nonce, v.hex("plaintext S"), aad)}


def vector_commitment(v):
    row = v.hex("canonical row")
    h, r, commitment = row_commitment(v.number("table number"), row, v.hex("K_commit"))
    columns = split_row(row)
    keys = b"".join(varint(n) + columns[n] for n in json.loads(v["key columns"]))
    return {"h": h, "r": r, "commitment": commitment, "canonical row of the key columns": keys,
            "row key": mac(v.hex("K_label of the table"), keys)[:16]}


def vector_image(v):
    key = hkdf(v.hex("K_image"), v.hex("image seed"))
    nonce = bytes(4) + u64(v.number("ordinal"))
    aad = u64(v.number("xid")) + u64(v.number("ordinal"))
    return {"key": key, "nonce": nonce, "associated data": aad,
            "image": gcm_seal(key, nonce, v.hex("canonical row"), aad)}


def vector_chunk(v):
    key = hkdf(v.hex("K_image"), v.hex("image's own seed"))
    nonce = bytes(7) + u32(v.number("chunk")) + (b"\x01" if v["last"] == "true" else b"\x00")
    aad = u64(v.number("xid")) + u64(v.number("ordinal")) + u64(v.number("length"))
    return {"id": large_image_id(v.hex("image's own seed")), "key": key, "nonce": nonce, "associated data": aad,
            "body": gcm_seal(key, nonce, v.hex("this chunk of the canonical row"), aad)}


def vector_packed_row(v):
    row = PackedRow(v.number("xid"), v.number("ordinal"), v.hex("body"))
    era_id = row.era_id or v.hex("era id")
    out = {"seed": packed_row_seed(v.hex("K_seal"), v.hex("ledger id"), row.xid, row.ordinal, row.body)}
    for n, e in enumerate(row.entries):
        out[f"entry {n}"] = encode_entry(era_id, e)
        out[f"salt {n}"] = entry_salt(e)
        out[f"leaf data {n}"] = leaf_data(era_id, e)
        out[f"leaf hash {n}"] = leaf_hash(leaf_data(era_id, e))
    return out


def vector_tree(v):
    levels = tree_levels([v.hex(name) for name in v if name.startswith("leaf hash")])
    return {f"root of size {size}": tree_root(levels, size) for size in range(len(levels[0]) + 1)}


def vector_era(v):
    place = v.number("system identifier"), v.number("timeline"), v.number("database oid")
    return {"era id": era_id_of(v.hex("ledger id"), *place),
            "detail of its entry": u32(v.number("era number")) + u64(place[0]) + u32(place[1]) + u32(place[2])}


def vector_challenge(v):
    key = derive(v.hex("secret S"), "challenge")
    text = f"medsync-challenge-v1:{v['era id']}:{v['person']}:{v['nonce']}:{v['expiry']}".encode()
    return {"K_challenge": key, "challenge": f"{text.decode()}:{mac(key, text).hex()}",
            "digest": hashlib.sha256(v.hex("nonce")).digest()[:16]}


def vector_block(v):
    b = Block()
    b.height, b.first, b.count = v.number("height"), v.number("first_index"), v.number("entry_count")
    b.previous, b.root, b.sealer = v.hex("previous_hash"), v.hex("root"), v.number("sealer_xid")
    b.time, b.era, b.snapshot = v.number("sealed_at"), v.number("era"), v.text("snapshot").decode()
    return {"hash": block_hash(v.hex("ledger id"), v.number("ledger's created_at"), b, v.hex("era id"))}


def vector_order(v):
    runs = [tuple(run) for run in json.loads(v["runs as (xid, ordinal, count, time)"])]
    return {"runs": order_rows(0, runs)[0][1]}


def vector_postings(v):
    pairs = sorted(bytes.fromhex(key)[:8] + u16(offset) for key, offset in json.loads(v["keys and offsets"]))
    return {"postings": b"".join(pairs)}


def vector_manifest(v):
    return {"SHA-256": sha256(v["content"].encode())}


def vector_signer_key(v):
    seed, origin = v.hex("seed"), v.text("origin")
    public = ed25519_public(seed)
    key = verifier_key(origin, public)
    return {"file, before its line feed": b"medsync-signer-key-v1:" + seed.hex().encode(), "public key": public,
            "key id": key_id_of(origin, public), "verifier key": json.dumps(key.decode()),
            "detail of its entry": key, "detail with a reason": key + b"\n" + v.text("reason")}


def vector_checkpoint(v):
    seed, origin = v.hex("seed"), v.text("origin")
    text = checkpoint_text(origin, v.number("size"), v.hex("root"))
    note = text + b"\n" + signature_line(origin, seed, text)
    return {"text": json.dumps(text.decode()), "signature": ed25519_sign(seed, text),
            "note": json.dumps(note.decode(), ensure_ascii=False)}


def vector_receipt(v):
    receipt = Receipt(base64.b64decode(v.text("extra"), validate=True))
    table = int.from_bytes(receipt.entry[59:63], "big")
    ddl = receipt.manifest
    leaf, ddl_leaf = opened_leaf(receipt), opened_leaf(ddl)
    proof = [bytes.fromhex(h) for h in json.loads(v["proof"])]
    size = v.number("size")
    h = sha256(b"\x01", u32(table), receipt.row)
    root = proven_root(leaf, v.number("index"), size, proof)
    out = {"salt": receipt.salt, "entry": receipt.entry, "r": receipt.r, "canonical row": receipt.row,
           "commitment": sha256(receipt.r, h), "index of the ddl entry": str(ddl.index),
           "ddl entry": ddl.entry, "ddl salt": ddl.salt,
           "SHA-256 of the manifest": sha256(ddl.content), "leaf hash": leaf, "leaf hash of the ddl entry": ddl_leaf,
           "root": root, "root by the ddl entry": proven_root(ddl_leaf, ddl.index, size, ddl.proof)}
    key = Checked(receipt, v.number("index"), proof, size, root).author
    if key is not None:
        out.update({"ledger id": receipt.ledger_id, "index of the key's entry": str(receipt.key_index),
                    "row of the key": receipt.key.row, "signer": key.id, "author": key.person,
                    "algorithm": json.dumps(key.algorithm.decode())})
    return out


def vector_signed_row(v):
    manifest, row = json.loads(v["content"]), v.hex("canonical row")
    root = json.loads(v["content of the root"])
    columns = split_row(row)
    message = signing_message(v.hex("ledger id"), manifest, root, row)
    out = {"message": message}
    for algorithm in ("ed25519", "p-256", "rsa-2048"):
        signature = v.hex(f"signature, {algorithm}")
        right = key_verify(v.hex(f"public key, {algorithm}"), algorithm.encode(), message, signature)
        wrong = key_verify(v.hex(f"public key, {algorithm}"), algorithm.encode(), message + b"x", signature)
        out[f"verdict, {algorithm}"] = "right" if right and not wrong else "wrong"
    signature = bytea_of(columns[manifest["signature"]])
    out["bit 14"] = uuid_of(columns[manifest["signer"]]) + sha256(signature)
    return out


VECTORS = {
    "derived keys": vector_derived_keys, "master key": vector_master_key, "key-encryption key": vector_kek_wrap,
    "subject key": vector_subject_wrap, "duplicate subject key": vector_subject_wrap,
    "commitment": vector_commitment, "image": vector_image, "large image": vector_chunk,
    "packed row": vector_packed_row, "tree": vector_tree, "era": vector_era, "challenge": vector_challenge,
    "block": vector_block,
    "order": vector_order, "postings": vector_postings, "manifest": vector_manifest,
    "signer key": vector_signer_key, "checkpoint": vector_checkpoint, "receipt": vector_receipt,
    "signed row": vector_signed_row, "receipt of a signed row": vector_receipt}


def check_vectors(path):
    text = open(path, encoding="utf-8").read()
    failed = 0
    seen = set()
    for name, block in re.findall(r"^```vector ([^\n]+)\n(.*?)^```$", text, re.S | re.M):
        vector = Vector()
        for line in block.splitlines():
            key, _, value = line.partition(" = ")
            if _:
                vector[key.strip()] = value.strip()
                last = key.strip()
            elif line.strip():
                vector[last] += line.strip()      # a long value goes on in the next line
        computed = VECTORS[name](vector)
        for key, value in computed.items():
            if isinstance(value, bytes):
                value = value.decode() if key.startswith("file") else value.hex()
            shown = value
            if vector.get(key) != shown:
                print(f"{name}: {key} is {shown}\n    not {vector.get(key)}")
                failed += 1
        seen.add(name)
    for name in sorted(set(VECTORS) - seen):
        print(f"{name}: no such vector in {path}")
        failed += 1
    print(f"{len(seen)} vectors recomputed" + (", own AES" if AesGcm is OwnAesGcm else ""))
    return 1 if failed else 0


COMMANDS = {"vectors": (check_vectors, 1, 1), "ledger": (verify_ledger, 1, 2),
            "published": (verify_published, 3, 3), "receipt": (check_receipt, 2, 2),
            "table": (table_sql, 1, 1), "values": (check_values, 3, 3)}


def main(arguments):
    command, least, most = COMMANDS.get(arguments[0] if arguments else "", (None, 0, 0))
    if command is None or not least <= len(arguments) - 1 <= most:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return command(*arguments[1:])
    except (Malformed, KeyError, IndexError, ValueError) as error:
        print(f"differs: {type(error).__name__} {error}")
        return 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
