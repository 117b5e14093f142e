#!/usr/bin/env python3
"""What Python's cryptography and PyNaCl think of medsync's primitives.

    interop.py OURS THEIRS

OURS is JSON: what medsync made.  Prints a line "pass NAME" or "fail NAME" for
each thing that is checked.  Writes to THEIRS what was made here, for medsync
to judge: lines for COPY of (name, operation, want, a, b, c, d).
"""

import json
import os
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import (ec, ed25519, padding,
                                                       rsa, utils, x25519)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

try:
    import nacl.public
except ImportError:
    nacl = None

SHA256 = hashes.SHA256()
PSS = padding.PSS(mgf=padding.MGF1(SHA256), salt_length=32)
DER = serialization.Encoding.DER
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
PKCS8 = serialization.PrivateFormat.PKCS8
NONE = serialization.NoEncryption()


def oaep(label):
    return padding.OAEP(mgf=padding.MGF1(SHA256), algorithm=SHA256, label=label or None)


def report(name, good):
    print("pass" if good else "fail", name)


def fails(error, function, *arguments):
    try:
        function(*arguments)
    except error:
        return True
    return False


def damaged(data):
    return data[:-1] + bytes((data[-1] ^ 1,))


def number_pair(der):
    r, s = utils.decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(key, signature, message):
    """Raises if it is wrong."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
        key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(SHA256))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, PSS, SHA256)
    else:
        key.verify(signature, message)


def sign(key, message):
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return number_pair(key.sign(message, ec.ECDSA(SHA256)))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, PSS, SHA256)
    return key.sign(message)


def check_ours(ours):
    sealed = ours["encrypted"]
    gcm = AESGCM(ours["key"])
    report("AES-GCM: opens ours",
           gcm.decrypt(sealed[1:13], sealed[13:], ours["aad"]) == ours["message"] and sealed[0] == 1)
    report("AES-GCM: damage is noticed",
           fails(InvalidTag, gcm.decrypt, sealed[1:13], damaged(sealed[13:]), ours["aad"]))
    for k in ours["keys"]:
        name = k["algorithm"]
        public = serialization.load_der_public_key(k["public"])
        private = serialization.load_der_private_key(k["private"], None)
        report(name + ": reads our keys, which belong together",
               private.public_key().public_bytes(DER, SPKI) == k["public"] and
               private.private_bytes(DER, PKCS8, NONE) == k["private"] and
               public.public_bytes(DER, SPKI) == k["public"])
        if k["signature"]:
            verify(public, k["signature"], ours["message"])
            report(name + ": our signature is right", True)
            report(name + ": but not of another message",
                   fails(InvalidSignature, verify, public, k["signature"], damaged(ours["message"])))
        if k["encrypted"]:
            report(name + ": opens ours", private.decrypt(k["encrypted"], oaep(b"")) == ours["short"])
            report(name + ": opens ours with a label",
                   private.decrypt(k["labelled"], oaep(ours["aad"])) == ours["short"])
            report(name + ": not without the label",
                   fails(ValueError, private.decrypt, k["labelled"], oaep(b"")))
            report(name + ": opens our wrapped key", private.decrypt(k["wrapped"], oaep(b"")) == ours["key"])
        elif k["wrapped"] and nacl:
            raw = private.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, NONE)
            box = nacl.public.SealedBox(nacl.public.PrivateKey(raw))
            report(name + ": PyNaCl opens our wrapped key", box.decrypt(k["wrapped"]) == ours["key"])


def make_theirs(ours):
    """Yields (name, operation, want, a, b, c, d)."""
    message, short, key, label = ours["message"], ours["short"], ours["key"], ours["aad"]
    nonce = os.urandom(12)
    sealed = b"\x01" + nonce + AESGCM(key).encrypt(nonce, message, label)
    yield "AES-GCM", "decrypt", "accepted", sealed, key, label, message
    yield "AES-GCM, damaged", "decrypt", "MS005", damaged(sealed), key, label, message
    yield "AES-GCM, other aad", "decrypt", "MS005", sealed, key, damaged(label), message

    private_keys = [("ed25519", ed25519.Ed25519PrivateKey.generate()),
                    ("p-256", ec.generate_private_key(ec.SECP256R1())),
                    ("x25519", x25519.X25519PrivateKey.generate())]
    private_keys += [("rsa-%d" % bits, rsa.generate_private_key(65537, bits))
                     for bits in (2048, 3072, 4096)]
    for name, private in private_keys:
        public = private.public_key().public_bytes(DER, SPKI)
        pkcs8 = private.private_bytes(DER, PKCS8, NONE)
        yield name + " pair", "public_key", "accepted", pkcs8, b"", b"", public
        if name != "x25519":
            signature = sign(private, message)
            yield name + " signature", "check", "accepted", message, signature, public, b""
            yield name + " signature, damaged", "check", "false", message, damaged(signature), public, b""
        if name.startswith("rsa"):
            for what, text in (("", b""), (" with a label", label)):
                block = private.public_key().encrypt(short, oaep(text))
                yield name + " OAEP" + what, "rsa_decrypt", "accepted", block, pkcs8, text, short
            yield name + " OAEP, other label", "rsa_decrypt", "MS005", block, pkcs8, b"", short
            block = private.public_key().encrypt(key, oaep(b""))
            yield name + " wrapped key", "unwrap_key", "accepted", block, pkcs8, b"", key
        if name == "x25519" and nacl:
            raw = private.public_key().public_bytes(serialization.Encoding.Raw,
                                                    serialization.PublicFormat.Raw)
            box = bytes(nacl.public.SealedBox(nacl.public.PublicKey(raw)).encrypt(key))
            yield "PyNaCl's sealed box", "unwrap_key", "accepted", box, pkcs8, b"", key
            yield "PyNaCl's sealed box, damaged", "unwrap_key", "MS005", damaged(box), pkcs8, b"", key


def bytes_of(value):
    if isinstance(value, str) and value.startswith("\\x"):
        return bytes.fromhex(value[2:])
    if isinstance(value, dict):
        return {k: bytes_of(v) for k, v in value.items()}
    if isinstance(value, list):
        return [bytes_of(v) for v in value]
    return value


def main():
    with open(sys.argv[1]) as file:
        ours = bytes_of(json.load(file))
    check_ours(ours)
    with open(sys.argv[2], "w") as out:
        for name, operation, want, *values in make_theirs(ours):
            out.write("\t".join([name, operation, want] + ["\\\\x" + v.hex() for v in values]) + "\n")
    if not nacl:
        print("skip sealed boxes: PyNaCl is not there")


main()
