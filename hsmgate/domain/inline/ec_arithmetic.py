"""d·G on every curve of `hsmgate.domain.curves` but the Edwards ones: the public point of a private number.

The curves: FIPS 186-4, D.1.2; SEC 2, section 2; RFC 5639, section 3. The sum of two points: SEC 1, section 2.2.1, in
Jacobian coordinates, so that only the last step divides.
"""

from dataclasses import dataclass
from functools import cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmgate.domain.curves import Curve


@dataclass(frozen=True, slots=True)
class Domain:
    """The curve y² = x³ + ax + b over the field of p elements, with a base point (x, y) of prime order n.

    b is not here: the base point settles it, and no formula needs it.
    """

    p: int
    a: int
    x: int
    y: int
    n: int


# Name; p; a; x; y; n, in hexadecimal, blank lines between the curves. All have cofactor 1.
_TABLE = """
NistP192; fffffffffffffffffffffffffffffffeffffffffffffffff; -3; 188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012;
  07192b95ffc8da78631011ed6b24cdd573f977a11e794811; ffffffffffffffffffffffff99def836146bc9b1b4d22831

NistP224; ffffffffffffffffffffffffffffffff000000000000000000000001; -3;
  b70e0cbd6bb4bf7f321390b94a03c1d356c21122343280d6115c1d21;
  bd376388b5f723fb4c22dfe6cd4375a05a07476444d5819985007e34; ffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3d

NistP256; ffffffff00000001000000000000000000000000ffffffffffffffffffffffff; -3;
  6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296;
  4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5;
  ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551

NistP384; fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff; -3;
  aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7;
  3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f;
  ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973

NistP521;
  01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff
  ffffffffffffffffff; -3;
  00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a42
  9bf97e7e31c2e5bd66;
  011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c2
  4088be94769fd16650;
  01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47
  aebb6fb71e91386409

SecP192K1; fffffffffffffffffffffffffffffffffffffffeffffee37; 0; db4ff10ec057e9ae26b07d0280b7f4341da5d1b1eae06c7d;
  9b2f2f6d9c5628a7844163d015be86344082aa88d95e2f9d; fffffffffffffffffffffffe26f2fc170f69466a74defd8d

SecP224K1; fffffffffffffffffffffffffffffffffffffffffffffffeffffe56d; 0;
  a1455b334df099df30fc28a169a467e9e47075a90f7e650eb6b7a45c;
  7e089fed7fba344282cafbd6f7e319f7c0b0bd59e2ca4bdb556d61a5;
  10000000000000000000000000001dce8d2ec6184caf0a971769fb1f7

SecP256K1; fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f; 0;
  79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798;
  483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8;
  fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141

BrainpoolP160R1; e95e4a5f737059dc60dfc7ad95b3d8139515620f; 340e7be2a280eb74e2be61bada745d97e8f7c300;
  bed5af16ea3f6a4f62938c4631eb5af7bdbcdbc3; 1667cb477a1a8ec338f94741669c976316da6321;
  e95e4a5f737059dc60df5991d45029409e60fc09

BrainpoolP160T1; e95e4a5f737059dc60dfc7ad95b3d8139515620f; -3; b199b13b9b34efc1397e64baeb05acc265ff2378;
  add6718b7c7c1961f0991b842443772152c9e0ad; e95e4a5f737059dc60df5991d45029409e60fc09

BrainpoolP192R1; c302f41d932a36cda7a3463093d18db78fce476de1a86297; 6a91174076b1e0e19c39c031fe8685c1cae040e5c69a28ef;
  c0a0647eaab6a48753b033c56cb0f0900a2f5c4853375fd6; 14b690866abd5bb88b5f4828c1490002e6773fa2fa299b8f;
  c302f41d932a36cda7a3462f9e9e916b5be8f1029ac4acc1

BrainpoolP192T1; c302f41d932a36cda7a3463093d18db78fce476de1a86297; -3;
  3ae9e58c82f63c30282e1fe7bbf43fa72c446af6f4618129; 097e2c5667c2223a902ab5ca449d0084b7e5b3de7ccc01c9;
  c302f41d932a36cda7a3462f9e9e916b5be8f1029ac4acc1

BrainpoolP224R1; d7c134aa264366862a18302575d1d787b09f075797da89f57ec8c0ff;
  68a5e62ca9ce6c1c299803a6c1530b514e182ad8b0042a59cad29f43;
  0d9029ad2c7e5cf4340823b2a87dc68c9e4ce3174c1e6efdee12c07d;
  58aa56f772c0726f24c6b89e4ecdac24354b9e99caa3f6d3761402cd; d7c134aa264366862a18302575d0fb98d116bc4b6ddebca3a5a7939f

BrainpoolP224T1; d7c134aa264366862a18302575d1d787b09f075797da89f57ec8c0ff; -3;
  6ab1e344ce25ff3896424e7ffe14762ecb49f8928ac0c76029b4d580;
  0374e9f5143e568cd23f3f4d7c0d4b1e41c8cc0d1c6abd5f1a46db4c; d7c134aa264366862a18302575d0fb98d116bc4b6ddebca3a5a7939f

BrainpoolP256R1; a9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377;
  7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9;
  8bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262;
  547ef835c3dac4fd97f8461a14611dc9c27745132ded8e545c1d54c72f046997;
  a9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7

BrainpoolP256T1; a9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377; -3;
  a3e8eb3cc1cfe7b7732213b23a656149afa142c47aafbc2b79a191562e1305f4;
  2d996c823439c56d7f7b22e14644417e69bcb6de39d027001dabe8f35b25c9be;
  a9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7

BrainpoolP320R1; d35e472036bc4fb7e13c785ed201e065f98fcfa6f6f40def4f92b9ec7893ec28fcd412b1f1b32e27;
  3ee30b568fbab0f883ccebd46d3f3bb8a2a73513f5eb79da66190eb085ffa9f492f375a97d860eb4;
  43bd7e9afb53d8b85289bcc48ee5bfe6f20137d10a087eb6e7871e2a10a599c710af8d0d39e20611;
  14fdd05545ec1cc8ab4093247f77275e0743ffed117182eaa9c77877aaac6ac7d35245d1692e8ee1;
  d35e472036bc4fb7e13c785ed201e065f98fcfa5b68f12a32d482ec7ee8658e98691555b44c59311

BrainpoolP320T1; d35e472036bc4fb7e13c785ed201e065f98fcfa6f6f40def4f92b9ec7893ec28fcd412b1f1b32e27; -3;
  925be9fb01afc6fb4d3e7d4990010f813408ab106c4f09cb7ee07868cc136fff3357f624a21bed52;
  63ba3a7a27483ebf6671dbef7abb30ebee084e58a0b077ad42a5a0989d1ee71b1b9bc0455fb0d2c3;
  d35e472036bc4fb7e13c785ed201e065f98fcfa5b68f12a32d482ec7ee8658e98691555b44c59311

BrainpoolP384R1; 8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53;
  7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826;
  1d1c64f068cf45ffa2a63a81b7c13f6b8847a3e77ef14fe3db7fcafe0cbd10e8e826e03436d646aaef87b2e247d4af1e;
  8abe1d7520f9c2a45cb1eb8e95cfd55262b70b29feec5864e19c054ff99129280e4646217791811142820341263c5315;
  8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565

BrainpoolP384T1; 8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53;
  -3; 18de98b02db9a306f2afcd7235f72a819b80ab12ebd653172476fecd462aabffc4ff191b946a5f54d8d0aa2f418808cc;
  25ab056962d30651a114afd2755ad336747f93475b7a1fca3b88f2b6a208ccfe469408584dc2b2912675bf5b9e582928;
  8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565

BrainpoolP512R1;
  aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f2d82c68528
  aa6056583a48f3;
  7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7
  c1ac4d77fc94ca;
  81aee4bdd82ed9645a21322e9c4c6a9385ed9f70b5d916c1b43b62eef4d0098eff3b1f78e2d0d48d50d1687b93b97d5f7c6d5047406a5e688b
  352209bcb9f822;
  7dde385d566332ecc0eabfa9cf7822fdf209f70024a57b1aa000c55b881f8111b2dcde494a5f485e5bca4bd88a2763aed1ca2b2fa8f0540678
  cd1e0f3ad80892;
  aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac10471db1d381085ddaddb5
  8796829ca90069

BrainpoolP512T1;
  aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f2d82c68528
  aa6056583a48f3; -3;
  640ece5c12788717b9c1ba06cbc2a6feba85842458c56dde9db1758d39c0313d82ba51735cdb3ea499aa77a7d6943a64f7a3f25fe26f06b51b
  aa2696fa9035da;
  5b534bd595f5af0fa2c892376c84ace1bb4e3019b71634c01131159cae03cee9d9932184beef216bd71df2dadf86a627306ecff96dbb8bace1
  98b61e00f8b332;
  aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac10471db1d381085ddaddb5
  8796829ca90069
"""


def _domain(record: str) -> tuple[str, Domain]:
    name, *numbers = "".join(record.split()).split(";")
    return name, Domain(*(int(number, 16) for number in numbers))


DOMAINS: dict[str, Domain] = dict(map(_domain, _TABLE.split("\n\n")))

# What cryptography knows, it does better: in less time, which does not depend on the number.
_KNOWN: dict[str, ec.EllipticCurve] = {
    "NistP192": ec.SECP192R1(),
    "NistP224": ec.SECP224R1(),
    "NistP256": ec.SECP256R1(),
    "NistP384": ec.SECP384R1(),
    "NistP521": ec.SECP521R1(),
    "SecP256K1": ec.SECP256K1(),
    "BrainpoolP256R1": ec.BrainpoolP256R1(),
    "BrainpoolP384R1": ec.BrainpoolP384R1(),
    "BrainpoolP512R1": ec.BrainpoolP512R1(),
}


def public_point(curve: Curve, scalar: int) -> bytes:
    """The uncompressed point (SEC 1, section 2.3.3) of scalar·G, for 1 <= scalar < n.

    Off `cryptography`'s curves the time taken tells of the number's bits, so it is no place for a key of the token's.
    """
    known = _KNOWN.get(curve.name)
    if known is not None:
        try:
            public = ec.derive_private_key(scalar, known).public_key()
            return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        except UnsupportedAlgorithm:
            pass  # some distributions build OpenSSL without the lesser curves
    point = multiply(DOMAINS[curve.name], scalar)
    if point is None:
        raise ValueError("a multiple of the order has no public point")
    size = (curve.bits + 7) // 8
    return b"\x04" + point[0].to_bytes(size, "big") + point[1].to_bytes(size, "big")


def multiply(domain: Domain, scalar: int) -> tuple[int, int] | None:
    """scalar·G in affine coordinates for 0 <= scalar <= n, None for the point at infinity."""
    p = domain.p
    point = _INFINITY
    for i, power in enumerate(_powers(domain)):
        if scalar >> i & 1:
            point = _add(p, point, power)
    x, y, z = point
    if not z:
        return None
    inverse = pow(z, -1, p)
    square = inverse * inverse % p
    return x * square % p, y * square * inverse % p


@cache  # some 20 ms for the longest curve, and 100 kB; without, a multiplication would take three times as long
def _powers(domain: Domain) -> tuple[tuple[int, int], ...]:
    """2⁰·G, 2¹·G and so on, one for each bit of n."""
    p, x, y = domain.p, domain.x, domain.y
    powers = []
    for _ in range(domain.n.bit_length()):
        powers.append((x, y))
        # n is odd, so none of these is its own opposite and y is never 0.
        slope = (3 * x * x + domain.a) * pow(2 * y, -1, p) % p
        doubled_x = (slope * slope - 2 * x) % p
        x, y = doubled_x, (slope * (x - doubled_x) - y) % p
    return tuple(powers)


# (x, y, z) stands for (x/z², y/z³); z = 0 is the point at infinity.
_INFINITY = (1, 1, 0)


def _add(p: int, point: tuple[int, int, int], other: tuple[int, int]) -> tuple[int, int, int]:
    """The sum of two points that are not equal: `multiply` adds 2ⁱ·G to less than that."""
    x, y, z = point
    if not z:
        return *other, 1
    zz = z * z % p
    h = (other[0] * zz - x) % p
    r = (other[1] * zz * z - y) % p
    if not h:  # the opposite
        return _INFINITY
    hh = h * h % p
    hhh = h * hh % p
    v = x * hh % p
    sum_x = (r * r - hhh - 2 * v) % p
    return sum_x, (r * (v - sum_x) - y * hhh) % p, z * h % p
