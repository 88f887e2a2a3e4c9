// Apache-2.0.

/// A safetensors file, mapped; every rule of the format was checked when it was opened.
public final class SafetensorsFile: Sendable {
  /// Names, types, shapes and places of its tensors.
  public let header: SafetensorsHeader
  /// The mapping its tensors live in.
  public let file: MappedFile
  private let dataStart: Int
  private let positions: [String: Int]

  /// Opens and checks a file.
  ///
  /// - Throws: `ModelFileError` where it cannot be read or breaks a rule of the format.
  public init(path: String) throws(ModelFileError) {
    let file = try MappedFile(path: path)
    guard file.byteCount >= 8 else {
      throw .malformed(file: path, reason: "shorter than its eight bytes of header length")
    }
    // SAFETY: both ranges were checked against the mapping's size.
    let length = unsafe UInt64(littleEndian: file.bytes(0..<8).loadUnaligned(as: UInt64.self))
    guard length <= UInt64(SafetensorsHeader.maximumBytes), Int(length) <= file.byteCount - 8 else {
      throw .malformed(
        file: path,
        reason: "a header of \(length) bytes does not fit the file or the format's limit"
      )
    }
    dataStart = 8 + Int(length)
    header = try SafetensorsHeader(
      unsafe Array(file.bytes(8..<dataStart)),
      dataBytes: file.byteCount - dataStart,
      file: path
    )
    positions = Dictionary(
      uniqueKeysWithValues: header.entries.enumerated().map { ($1.name, $0) }
    )
    self.file = file
  }

  /// The entry of a tensor.
  ///
  /// - Throws: `ModelFileError.missingTensor`.
  public func entry(_ name: String) throws(ModelFileError) -> SafetensorsEntry {
    guard let position = positions[name] else {
      throw .missingTensor(file: file.path, name: name)
    }
    return header.entries[position]
  }

  /// The stored bytes of a tensor, valid as long as this object; they may be unaligned.
  @unsafe public func bytes(of entry: SafetensorsEntry) -> UnsafeRawBufferPointer {
    unsafe file.bytes(dataStart + entry.range.lowerBound..<dataStart + entry.range.upperBound)
  }
}
