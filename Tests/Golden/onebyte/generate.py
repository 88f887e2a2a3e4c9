# Apache-2.0. The 127 magnitudes of the one-byte code, 0.001 * 2^((c - 1) / 6) rounded once to binary32.
# Python 3 standard library alone; 60-digit decimals, so that no libm decides a bit.
# Prints the table of Sources/Codecs/OneByteCode+Table.swift.
import struct
from decimal import Decimal, getcontext

getcontext().prec = 60


def binary32(x):
    """The bits of the binary32 nearest to the positive Decimal x."""
    exponent = 0
    while Decimal(2) ** (exponent + 1) <= x:
        exponent += 1
    while Decimal(2) ** exponent > x:
        exponent -= 1
    fraction = int((x / Decimal(2) ** (exponent - 23)).to_integral_value())
    return struct.unpack("<I", struct.pack("<f", fraction * 2.0 ** (exponent - 23)))[0]


sixth = (Decimal(2).ln() / 6).exp()
bits = [binary32(Decimal("0.001") * sixth ** (c - 1)) for c in range(1, 128)]
print("// Apache-2.0. Made by Tests/Golden/onebyte/generate.py.\n")
print("extension OneByteCode {")
print("  /// Bits of the magnitudes: zero, then 0.001 · 2^((c − 1) / 6) for code c = 1...127.")
print("  static let magnitudeBits: [UInt32] = [")
for start in range(0, 128, 8):
    row = ([0] + bits)[start : start + 8]
    print("    " + ", ".join(f"0x{b >> 16:04X}_{b & 65535:04X}" for b in row) + ",")
print("  ]\n}")
