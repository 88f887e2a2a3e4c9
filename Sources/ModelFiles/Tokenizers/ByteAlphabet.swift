// Apache-2.0.

/// The printable character that stands for each byte in byte-level vocabularies (GPT-2).
enum ByteAlphabet {
  /// The character of each byte: itself where it is printable, else the next from U+0100 on.
  static let characters: [UInt32] = {
    var free: UInt32 = 256
    return (0..<256).map { (byte: UInt32) in
      switch byte {
      case 33...126, 161...172, 174...255: return byte
      default:
        free += 1
        return free - 1
      }
    }
  }()

  private static let bytes: [UInt8?] = {
    var bytes = [UInt8?](repeating: nil, count: 512)
    for (byte, character) in characters.enumerated() { bytes[Int(character)] = UInt8(byte) }
    return bytes
  }()

  /// Spells raw bytes in the alphabet.
  static func spell(_ raw: ArraySlice<UInt8>, into spelled: inout [UInt8]) {
    spelled.removeAll(keepingCapacity: true)
    for byte in raw { UTF8Text.append(characters[Int(byte)], to: &spelled) }
  }

  /// The raw bytes that a token spells; nil where it has a character of no byte.
  static func raw(_ spelled: [UInt8]) -> [UInt8]? {
    var raw: [UInt8] = []
    raw.reserveCapacity(spelled.count)
    var position = 0
    while position < spelled.count {
      let character = Int(UTF8Text.next(spelled, &position))
      guard character < bytes.count, let byte = bytes[character] else { return nil }
      raw.append(byte)
    }
    return raw
  }
}
