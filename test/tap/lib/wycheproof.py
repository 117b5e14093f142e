#!/usr/bin/env python3
"""Wycheproof's vectors as questions to medsync.

    wycheproof.py DIRECTORY SQL UNIT

Reads the JSON files of DIRECTORY.  Writes SQL, lines for COPY of (file, id,
operation, want, a, b, c, d), and UNIT, lines for test/unit/vectors.c.  "want"
is what the operation must say, as a regular expression; a vector that is not
of what medsync offers begins with "not offered: " and says how it is refused.
Last in SQL stand vectors that no function takes, with the operation "none".

Sealed boxes are built here from X25519 vectors, by an implementation of
X25519, HSalsa20, Salsa20 and Poly1305 that shares nothing with libsodium:
the vector's public key is that of the sender, its private key the recipient's.
"""

import base64
import hashlib
import json
import os
import struct
import sys

# ---- sealed boxes (crypto_box_seal), from the papers ----

P = 2 ** 255 - 19


def x25519(scalar, point):
    """RFC 7748, section 5."""
    k = bytearray(scalar)
    k[0] &= 248
    k[31] = k[31] & 127 | 64
    k = int.from_bytes(k, "little")
    x1 = int.from_bytes(point, "little") % 2 ** 255 % P
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for i in reversed(range(255)):
        bit = k >> i & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a, c * b
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        e = aa - bb
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def salsa20_rounds(words):
    w = list(words)

    def quarter(a, b, c, d):
        for to, one, two, by in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
            t = w[one] + w[two] & 0xffffffff
            w[to] ^= (t << by | t >> 32 - by) & 0xffffffff

    for _ in range(10):
        for i in (0, 5, 10, 15):
            quarter(*((i + 4 * j) % 16 for j in range(4)))
        for i in range(4):
            row = 4 * i
            quarter(*(row + (i + j) % 4 for j in range(4)))
    return w


def salsa20_state(key, block):
    k = struct.unpack("<8I", key)
    n = struct.unpack("<4I", block)
    c = struct.unpack("<4I", b"expand 32-byte k")
    return (c[0],) + k[:4] + (c[1],) + n + (c[2],) + k[4:] + (c[3],)


def hsalsa20(key, block):
    w = salsa20_rounds(salsa20_state(key, block))
    return struct.pack("<8I", *(w[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))


def xsalsa20(key, nonce, length):
    subkey = hsalsa20(key, nonce[:16])
    out = b""
    for counter in range((length + 63) // 64):
        state = salsa20_state(subkey, nonce[16:] + struct.pack("<Q", counter))
        out += struct.pack("<16I", *(x + y & 0xffffffff for x, y in zip(salsa20_rounds(state), state)))
    return out[:length]


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff
    total = 0
    for i in range(0, len(message), 16):
        total = (total + int.from_bytes(message[i:i + 16] + b"\x01", "little")) * r % (2 ** 130 - 5)
    return (total + int.from_bytes(key[16:], "little") & 2 ** 128 - 1).to_bytes(16, "little")


def sealed_box(message, sender_public, shared, recipient_public):
    key = hsalsa20(shared, bytes(16))
    nonce = hashlib.blake2b(sender_public + recipient_public, digest_size=24).digest()
    stream = xsalsa20(key, nonce, 32 + len(message))
    sealed = bytes(x ^ y for x, y in zip(message, stream[32:]))
    return sender_public + poly1305(stream[:32], sealed) + sealed


# ---- what is asked ----

PKCS8_X25519 = bytes.fromhex("302e020100300506032b656e04220420")
BOXED = b"a data key of thirty-two bytes.."


def asked(data):
    """Every vector with its group; hexadecimal fields as bytes."""
    for group in data["testGroups"]:
        for test in group["tests"]:
            yield group, {k: bytes.fromhex(v) if isinstance(v, str) and k in BYTES else v
                          for k, v in test.items()}


BYTES = {"key", "iv", "aad", "msg", "ct", "tag", "label", "sig", "public", "private", "shared",
         "ikm", "salt", "info", "okm"}


def aead(data, offered):
    for group, t in asked(data):
        want = "accepted" if t["result"] == "valid" else "MS005"
        if len(t["key"]) != 32:
            want = "not offered: 22023"
        elif not offered or group["ivSize"] != 96:
            want = "not offered: MS005"
        yield t, "decrypt", want, b"\x01" + t["iv"] + t["ct"] + t["tag"], t["key"], t["aad"], t["msg"]


def oaep(data, offered):
    for group, t in asked(data):
        want = "accepted" if t["result"] == "valid" else "MS005"
        if not offered:
            want = "not offered: MS005"
        yield (t, "rsa_decrypt", want, t["ct"], bytes.fromhex(group["privateKeyPkcs8"]), t["label"], t["msg"])


def is_pss(key, message, sig):
    """RFC 8017, section 9.1.2: SHA-256, MGF1 with SHA-256, 32 bytes of salt.
    Some vectors that are wrong for their file's algorithm are right for ours."""
    n, e = int(key["modulus"], 16), int(key["publicExponent"], 16)
    size = n.bit_length() // 8
    if len(sig) != size or n.bit_length() % 8:
        return False
    block = pow(int.from_bytes(sig, "big"), e, n).to_bytes(size, "big")
    masked, h = block[:size - 33], block[size - 33:-1]
    mask = b"".join(hashlib.sha256(h + struct.pack(">I", i)).digest()
                    for i in range(len(masked) // 32 + 1))
    db = bytearray(x ^ y for x, y in zip(masked, mask))
    db[0] &= 0x7f
    digest = hashlib.sha256(message).digest()
    return (block[-1] == 0xbc and masked[0] < 0x80 and
            db[:-32] == bytes(len(db) - 33) + b"\x01" and
            hashlib.sha256(bytes(8) + digest + db[-32:]).digest() == h)


def signature(data, operation, offered):
    """offered: True, or what the answer to everything is."""
    for group, t in asked(data):
        want = "accepted" if t["result"] == "valid" else "false"
        if operation == "check_der" and want == "false":
            want = "false|22023"
        if offered is not True:
            want = "not offered: " + offered
            if offered == "false" and is_pss(group["publicKey"], t["msg"], t["sig"]):
                want = "accepted"
        if group["publicKey"].get("publicExponent") == "03":
            want = "not offered: 22023"
        yield t, operation, want, t["msg"], t["sig"], bytes.fromhex(group["publicKeyDer"]), b""


def boxes(data):
    base = (9).to_bytes(32, "little")
    for _, t in asked(data):
        # libsodium, as RFC 7748 allows, refuses a secret of zeros; the other
        # public keys that are not as they should be give a secret like any
        want = "MS005" if t["shared"] == bytes(32) else "accepted"
        box = sealed_box(BOXED, t["public"], t["shared"], x25519(t["private"], base))
        yield t, "unwrap_key", want, box, PKCS8_X25519 + t["private"], b"", BOXED


def nothing(data):
    for _, t in asked(data):
        yield t, "none", "not offered: ", b"", b"", b"", b""


def hmac(data):
    for _, t in asked(data):
        want = "1" if t["result"] == "valid" else "0"
        # a key of ours is one block at most
        yield t, want, len(t["key"]) <= 64, (t["key"], t["msg"], t["tag"])


def hkdf(data):
    for _, t in asked(data):
        want = "1" if t["result"] == "valid" else "0"
        # we derive one block, with short names
        yield (t, want, len(t["okm"]) <= 32 and t["size"] <= 32 and len(t["salt"]) <= 64 and
               len(t["ikm"]) <= 64 and len(t["info"]) <= 128, (t["ikm"], t["salt"], t["info"], t["okm"]))


OTHER_KEY = "22023"
SQL_FILES = {
    "aes_gcm_test": lambda d: aead(d, True),
    "aes_gcm_siv_test": lambda d: aead(d, False),
    "chacha20_poly1305_test": lambda d: aead(d, False),
    "xchacha20_poly1305_test": lambda d: aead(d, False),
    "aes_wrap_test": nothing,
    "aes_kwp_test": nothing,
    "rsa_oaep_2048_sha256_mgf1sha256_test": lambda d: oaep(d, True),
    "rsa_oaep_3072_sha256_mgf1sha256_test": lambda d: oaep(d, True),
    "rsa_oaep_4096_sha256_mgf1sha256_test": lambda d: oaep(d, True),
    "rsa_oaep_2048_sha1_mgf1sha1_test": lambda d: oaep(d, False),
    "rsa_oaep_2048_sha256_mgf1sha1_test": lambda d: oaep(d, False),
    "rsa_oaep_4096_sha512_mgf1sha512_test": lambda d: oaep(d, False),
    "rsa_pss_2048_sha256_mgf1_32_test": lambda d: signature(d, "check", True),
    "rsa_pss_3072_sha256_mgf1_32_test": lambda d: signature(d, "check", True),
    "rsa_pss_4096_sha256_mgf1_32_test": lambda d: signature(d, "check", True),
    "rsa_pss_2048_sha256_mgf1_0_test": lambda d: signature(d, "check", "false"),
    "rsa_signature_2048_sha256_test": lambda d: signature(d, "check", "false"),
    "rsa_signature_3072_sha256_test": lambda d: signature(d, "check", "false"),
    "ed25519_test": lambda d: signature(d, "check", True),
    "ecdsa_secp256r1_sha256_p1363_test": lambda d: signature(d, "check", True),
    "ecdsa_secp256r1_sha256_test": lambda d: signature(d, "check_der", True),
    "ecdsa_secp256k1_sha256_test": lambda d: signature(d, "check", OTHER_KEY),
    "ecdsa_secp256k1_sha256_p1363_test": lambda d: signature(d, "check", OTHER_KEY),
    "ecdsa_secp256k1_sha256_bitcoin_test": lambda d: signature(d, "check", OTHER_KEY),
    "ecdsa_secp384r1_sha384_test": lambda d: signature(d, "check", OTHER_KEY),
    "x25519_test": boxes,
}
UNIT_FILES = {"hmac_sha256_test": hmac, "hkdf_sha256_test": hkdf}


def main():
    directory, sql_path, unit_path = sys.argv[1:]

    def read(name):
        with open(os.path.join(directory, name + ".json")) as file:
            return json.load(file)

    with open(sql_path, "w") as out:
        for name, ask in SQL_FILES.items():
            for t, operation, want, *values in ask(read(name)):
                out.write("\t".join([name, str(t["tcId"]), operation, want] +
                                    ["\\\\x" + v.hex() for v in values]) + "\n")
        for name, ask in UNIT_FILES.items():
            for t, _, offered, _ in ask(read(name)):
                if not offered:
                    out.write("\t".join([name, str(t["tcId"]), "none", "not offered: "] +
                                        ["\\\\x"] * 4) + "\n")
    with open(unit_path, "w") as out:
        for name, ask in UNIT_FILES.items():
            for t, want, offered, values in ask(read(name)):
                if offered:
                    out.write("\t".join([name.split("_")[0], "%s %d" % (name, t["tcId"]), want] +
                                        [base64.b64encode(v).decode() for v in values]) + "\n")


main()
