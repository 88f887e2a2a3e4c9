// Apache-2.0.
import Codecs
public import Tensors

/// One tensor of a safetensors file.
public struct SafetensorsEntry: Sendable, Equatable {
  /// Its name.
  public let name: String
  /// Its type as the format spells it, `F32` and so on.
  public let type: String
  /// Its shape; empty for a scalar.
  public let shape: [Int]
  /// Where its bytes are, from the start of the data that follows the header.
  public let range: Range<Int>

  /// Its type where the engine can compute with it.
  ///
  /// - Throws: `ModelFileError.unsupportedType`.
  public func elementType() throws(ModelFileError) -> ElementType {
    switch type {
    case "F32": .f32
    case "F16": .f16
    case "BF16": .bf16
    default: throw .unsupportedType(tensor: name, type: type)
    }
  }
}

/// The header of a safetensors file.
///
///     u64 little-endian: bytes of the header, at most 100 MB
///     header: {"NAME": {"dtype": …, "shape": […], "data_offsets": [begin, end]}, …}, may end in blanks
///     data: the tensors, covering it without holes or overlaps
public struct SafetensorsHeader: Sendable, Equatable {
  /// The tensors in the order of their data.
  public let entries: [SafetensorsEntry]
  /// `__metadata__`, text to text.
  public let metadata: [String: String]

  /// Longest header the format allows.
  public static let maximumBytes = 100_000_000

  /// Bytes an element of each type takes.
  static let typeBytes = [
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2,
    "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
  ]

  /// Checks and reads a header whose data has `dataBytes` bytes.
  ///
  /// - Throws: `ModelFileError.malformed` naming the tensor and the rule it breaks.
  public init(_ bytes: [UInt8], dataBytes: Int, file: String) throws(ModelFileError) {
    func refuse(_ reason: String) -> ModelFileError { .malformed(file: file, reason: reason) }
    guard bytes.first == UInt8(ascii: "{") else { throw refuse("the header is no JSON object") }
    var entries: [SafetensorsEntry] = []
    var metadata: [String: String] = [:]
    do throws(JSONError) {
      let limits = JSONLimits(bytes: Self.maximumBytes, depth: 4)
      var parser = try JSONParser(bytes, limits: limits, uniqueKeys: true)
      try parser.members { parser, name throws(JSONError) in
        if name == "__metadata__" {
          try parser.members { parser, key throws(JSONError) in
            let field = JSONField(try parser.value(), path: "__metadata__.\(key)")
            metadata[key] = try field.string()
          }
        } else {
          entries.append(try Self.entry(name, &parser))
        }
      }
      try parser.finish()
    } catch { throw refuse("header: \(error)") }
    entries.sort {
      ($0.range.lowerBound, $0.range.upperBound, $0.name)
        < ($1.range.lowerBound, $1.range.upperBound, $1.name)
    }
    var covered = 0
    for entry in entries {
      guard let size = Self.byteCount(entry) else {
        throw refuse("tensor \(entry.name): unknown type \(entry.type), or a shape beyond 64 bits")
      }
      guard size == entry.range.count else {
        throw refuse(
          "tensor \(entry.name): shape needs \(size) bytes, offsets hold \(entry.range.count)"
        )
      }
      guard entry.range.lowerBound == covered else {
        throw refuse(
          "tensor \(entry.name): data begins at \(entry.range.lowerBound), not \(covered)"
        )
      }
      covered = entry.range.upperBound
    }
    guard covered == dataBytes else {
      throw refuse("the tensors cover \(covered) bytes of \(dataBytes)")
    }
    self.entries = entries
    self.metadata = metadata
  }

  /// More dimensions than any tensor has.
  static let maximumRank = 64

  /// Reads what stands under a tensor's name; lists are bounded as they come.
  private static func entry(
    _ name: String,
    _ parser: inout JSONParser
  ) throws(JSONError) -> SafetensorsEntry {
    var type: String?
    var shape: [Int]?
    var offsets: [Int]?
    try parser.members { parser, key throws(JSONError) in
      switch key {
      case "dtype": type = try JSONField(try parser.value(), path: "\(name).dtype").string()
      case "shape": shape = try numbers("\(name).shape", atMost: maximumRank, &parser)
      case "data_offsets": offsets = try numbers("\(name).data_offsets", atMost: 2, &parser)
      default:
        throw .unexpected(path: "\(name).\(key)", wanted: "dtype, shape or data_offsets")
      }
    }
    guard let type, let shape, let offsets, offsets.count == 2, offsets[0] <= offsets[1] else {
      throw .unexpected(path: name, wanted: "a dtype, a shape and two ascending data_offsets")
    }
    return SafetensorsEntry(name: name, type: type, shape: shape, range: offsets[0]..<offsets[1])
  }

  private static func numbers(
    _ path: String,
    atMost limit: Int,
    _ parser: inout JSONParser
  ) throws(JSONError) -> [Int] {
    var numbers: [Int] = []
    try parser.items { parser, position throws(JSONError) in
      guard position < limit else { throw .unexpected(path: path, wanted: "at most \(limit)") }
      let field = JSONField(try parser.value(), path: "\(path)[\(position)]")
      numbers.append(try field.integer(in: 0...Int.max))
    }
    return numbers
  }

  /// Bytes by type and shape; nil where the type is unknown or the product overflows.
  private static func byteCount(_ entry: SafetensorsEntry) -> Int? {
    guard var total = typeBytes[entry.type] else { return nil }
    for dimension in entry.shape {
      let (product, overflow) = total.multipliedReportingOverflow(by: dimension)
      if overflow { return nil }
      total = product
    }
    return total
  }
}
