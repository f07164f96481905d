"""The DER forms of a private key: X.690, RFC 5208 and RFC 5958.

asn1crypto reads lazily, and BER as well: what it lets pass, a token might read in another way. So a key that a caller
sends is read here, where every byte is accounted for.
"""

from dataclasses import dataclass

from asn1crypto.core import ObjectIdentifier

INTEGER, BIT_STRING, OCTET_STRING, OID, SEQUENCE = 0x02, 0x03, 0x04, 0x06, 0x30

# No structure of a key has as many; a list of thousands would only cost time.
_MOST_ELEMENTS = 16


class Malformed(ValueError):
    """Not DER, or not what should be there. The text goes on from "it" and holds nothing of what was read."""


def require(ok: bool, text: str) -> None:
    """Raise Malformed with that text unless `ok`."""
    if not ok:
        raise Malformed(text)


@dataclass(frozen=True, slots=True, repr=False)
class Element:
    """A tag and the content under it; `raw` is both, with the length between them."""

    tag: int
    content: bytes
    raw: bytes


def elements(data: bytes) -> list[Element]:
    """All that stands in `data`, one after the other."""
    found: list[Element] = []
    while data:
        require(len(found) < _MOST_ELEMENTS, "has more elements than any key")
        tag, start, end = _header(data)
        found.append(Element(tag, data[start:end], data[:end]))
        data = data[end:]
    return found


def sole(data: bytes, tag: int) -> bytes:
    """The content of the one element that `data` must be."""
    found = elements(data)
    require(len(found) <= 1, "has bytes where it should end")
    require(bool(found) and found[0].tag == tag, "has an element of another type than it should")
    return found[0].content


def integers(data: bytes) -> list[int]:
    """The INTEGERs that `data` must be, none of them negative."""
    return [_integer(element) for element in elements(data)]


def whole_bytes(content: bytes) -> bytes:
    """What a BIT STRING of that content holds: bytes, not bits (X.690, section 8.6.2)."""
    if content[:1] != b"\0":
        raise Malformed("has a BIT STRING that ends within a byte")
    return content[1:]


def encode(tag: int, *contents: bytes) -> bytes:
    """An element of that tag over `contents`, one after the other."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def oid(dotted: str) -> bytes:
    """DER of an OID."""
    return bytes(ObjectIdentifier(dotted).dump())


RSA, EC, DSA = oid("1.2.840.113549.1.1.1"), oid("1.2.840.10045.2.1"), oid("1.2.840.10040.4.1")


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKey:
    """A private key as PKCS#8 has it.

    algorithm: DER of the OID.
    parameters: DER of the algorithm's parameters, empty where there are none; None for a key that was not in PKCS#8.
    body: content of `privateKey`, or the whole of a key that was not in PKCS#8.
    public: content of `publicKey`.
    """

    algorithm: bytes
    parameters: bytes | None
    body: bytes
    public: bytes | None = None


# What else callers have in DER, by the tags that its outer SEQUENCE starts with; the longest first.
_NO_PRIVATE_KEYS = {
    b"\x30\x30\x03": "is signed, like a certificate, and no private key",
    b"\x30\x03": "is a public key",
    b"\x30\x04": "is encrypted; it must be PKCS#8 in the clear",
    b"\x02\x30\x30": "is PKCS#12; it must be the private key alone",
    b"\x02\x02": "is a public key, or lacks some of its numbers",
}


def unwrap(value: bytes) -> PrivateKey:
    """The one private key that `value` is: in PKCS#8, PKCS#1, SEC1 or the form of OpenSSL's `dsa` command.

    Only what is around the key is read. Raises Malformed.
    """
    parts = elements(sole(value, SEQUENCE))
    tags = bytes(part.tag for part in parts)
    if tags.startswith(b"\x02\x30\x04"):
        return _pkcs8(value)
    if tags.startswith(b"\x02\x04"):
        return PrivateKey(EC, None, value)
    if tags.startswith(b"\x02" * 9):
        return PrivateKey(RSA, None, value)
    if tags == b"\x02" * 6:
        return PrivateKey(DSA, None, value)
    others = (text for start, text in _NO_PRIVATE_KEYS.items() if tags.startswith(start))
    raise Malformed(next(others, "is no private key in PKCS#8, PKCS#1, SEC1 or OpenSSL's DSA form"))


def _pkcs8(value: bytes) -> PrivateKey:
    """RFC 5958, section 2. The attributes are not looked into: none says anything of the key itself."""
    version, algorithm, private_key, *optional = elements(sole(value, SEQUENCE))
    tags = bytes(part.tag for part in optional)
    require(tags in (b"", b"\xa0", b"\x81", b"\xa0\x81"), "has PKCS#8 with unknown elements")
    public = whole_bytes(optional[-1].content) if tags.endswith(b"\x81") else None
    expected = 0 if public is None else 1
    require(integers(version.raw) == [expected], "has PKCS#8 of another version than its elements say")
    identifier = elements(algorithm.content)
    require(bool(identifier) and identifier[0].tag == OID, "has PKCS#8 that names no algorithm")
    require(len(identifier) <= 2, "has PKCS#8 with unknown elements")
    parameters = identifier[1].raw if len(identifier) == 2 else b""
    return PrivateKey(identifier[0].raw, parameters, private_key.content, public)


def _header(data: bytes) -> tuple[int, int, int]:
    """The first element's tag, where its content starts and where it ends (X.690, sections 8.1.2, 8.1.3 and 10.1)."""
    require(len(data) >= 2, "is no DER: it ends within an element")
    tag, length, start = data[0], data[1], 2
    require(tag & 0x1F != 0x1F, "is no DER of a key: it has a tag of more than one byte")
    require(length != 0x80, "is no DER: it has an indefinite length")
    if length > 0x80:
        start += length - 0x80
        length = int.from_bytes(data[2:start], "big")
        # Without its last bytes a length fails here or below.
        require(length >= 0x80 and data[2] != 0, "is no DER: it has a length in more bytes than needed")
    require(start + length <= len(data), "is no DER: it ends within an element")
    return tag, start, start + length


def _integer(element: Element) -> int:
    content = element.content
    require(element.tag == INTEGER and bool(content), "has something else where a number should be")
    require(content[0] < 0x80, "has a negative number")
    padded = content[0] == 0 and len(content) > 1 and content[1] < 0x80
    require(not padded, "is no DER: it has a number in more bytes than needed")
    return int.from_bytes(content, "big")
