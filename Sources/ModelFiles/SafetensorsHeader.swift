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
    let root: JSONValue
    do throws(JSONError) {
      root = try JSONValue.parse(
        bytes,
        limits: JSONLimits(bytes: Self.maximumBytes, depth: 4),
        uniqueKeys: true
      )
    } catch { throw refuse("header: \(error)") }
    guard case .object(let members) = root else { throw refuse("the header is no JSON object") }
    var entries: [SafetensorsEntry] = []
    var metadata: [String: String] = [:]
    for member in members {
      do throws(JSONError) {
        let field = JSONField(member.value, path: member.key)
        if member.key == "__metadata__" {
          for (key, text) in try field.members() { metadata[key] = try text.string() }
        } else {
          entries.append(try Self.entry(field))
        }
      } catch { throw refuse("header: \(error)") }
    }
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

  private static func entry(_ field: JSONField) throws(JSONError) -> SafetensorsEntry {
    var shape: [Int] = []
    for item in try field["shape"].items() { shape.append(try item.integer(in: 0...Int.max)) }
    let offsets = try field["data_offsets"].items()
    guard offsets.count == 2 else { throw field["data_offsets"].unexpected("two offsets") }
    let begin = try offsets[0].integer(in: 0...Int.max)
    let end = try offsets[1].integer(in: begin...Int.max)
    return SafetensorsEntry(
      name: field.path,
      type: try field["dtype"].string(),
      shape: shape,
      range: begin..<end
    )
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
