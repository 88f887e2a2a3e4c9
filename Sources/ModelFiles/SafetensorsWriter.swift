// Apache-2.0.
import Codecs
public import Tensors

/// What a safetensors file says of a tensor before its bytes come.
public struct TensorDescription: Sendable, Equatable {
  /// Its name.
  public let name: String
  /// How its elements are stored.
  public let type: ElementType
  /// Its extents, outermost first; empty for a scalar.
  public let shape: [Int]

  /// A description; traps on a negative extent or a size beyond `Int`.
  public init(name: String, type: ElementType, shape: [Int]) {
    precondition(shape.allSatisfy { $0 >= 0 }, "tensor \(name): a negative extent in \(shape)")
    self.name = name
    self.type = type
    self.shape = shape
  }

  /// Bytes of its elements.
  public var byteCount: Int { shape.reduce(type.byteCount, *) }
}

/// Writes a safetensors file in one pass: the header first, then each tensor's bytes as they come.
///
/// The file gets its name when it is complete and durable; a writer that is dropped leaves nothing.
public struct SafetensorsWriter: ~Copyable {
  /// The tensors in the order in which their bytes are due: wide types first, so that every tensor
  /// is aligned, then bytewise by name.
  public let tensors: [TensorDescription]
  private var file: AtomicFile
  private var missing: Int

  /// Begins a file by writing its header.
  ///
  /// - Parameters:
  ///   - metadata: the header's text fields; readers of PyTorch look for `format`.
  /// - Throws: `ModelFileError.malformed` where a name stands twice, or is `__metadata__`;
  ///   `ModelFileError.system`.
  public init(
    path: String,
    tensors: [TensorDescription],
    metadata: [String: String] = ["format": "pt"]
  ) throws(ModelFileError) {
    let ordered = tensors.sorted {
      $0.type.byteCount != $1.type.byteCount
        ? $0.type.byteCount > $1.type.byteCount
        : $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
    }
    var members: [JSONValue.Member] = []
    if !metadata.isEmpty {
      let texts = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      members.append(
        .init("__metadata__", .object(texts.map { .init($0.key, .string($0.value)) }))
      )
    }
    var offset = 0
    var names: Set<String> = ["__metadata__"]
    for tensor in ordered {
      guard names.insert(tensor.name).inserted else {
        throw .malformed(file: path, reason: "cannot hold two tensors called \(tensor.name)")
      }
      let end = offset + tensor.byteCount
      members.append(
        .init(
          tensor.name,
          .object([
            .init("dtype", .string(tensor.type.name)),
            .init("shape", .array(tensor.shape.map { .integer(Int64($0)) })),
            .init("data_offsets", .array([.integer(Int64(offset)), .integer(Int64(end))])),
          ])
        )
      )
      offset = end
    }
    var header = Array(JSONValue.object(members).serialized().utf8)
    // Blanks, so that the data begins at a multiple of eight.
    header += [UInt8](repeating: UInt8(ascii: " "), count: (8 - header.count % 8) % 8)
    guard header.count <= SafetensorsHeader.maximumBytes else {
      throw .malformed(file: path, reason: "its header would exceed the format's limit")
    }
    var start = ByteWriter()
    start.write(UInt64(header.count))
    var file = try AtomicFile(path: path)
    try file.write(start.bytes + header)
    self.tensors = ordered
    self.file = file
    missing = offset
  }

  /// Appends the next bytes of the data, in the order of `tensors`.
  ///
  /// - Throws: `ModelFileError.malformed` where there are more than announced.
  public mutating func append(_ bytes: RawSpan) throws(ModelFileError) {
    guard bytes.byteCount <= missing else {
      throw .malformed(
        file: file.path,
        reason: "\(bytes.byteCount) bytes for \(missing) that its tensors still lack"
      )
    }
    try file.write(bytes)
    missing -= bytes.byteCount
  }

  /// Completes the file.
  ///
  /// - Throws: `ModelFileError.malformed` where tensors lack bytes; nothing is left of it then.
  public consuming func finish() throws(ModelFileError) {
    guard missing == 0 else {
      throw .malformed(file: file.path, reason: "its tensors still lack \(missing) bytes")
    }
    try file.commit()
  }

  /// Writes one tensor of binary32 values as a file of its own.
  public static func write(
    _ values: [Float],
    name: String,
    shape: [Int],
    to path: String
  ) throws(ModelFileError) {
    var writer = try SafetensorsWriter(
      path: path,
      tensors: [TensorDescription(name: name, type: .f32, shape: shape)]
    )
    // SAFETY: floats have no padding; every machine this runs on is little-endian.
    try unsafe writer.append(values.span.bytes)
    try writer.finish()
  }
}

extension ElementType {
  /// The name safetensors gives it.
  public var name: String {
    switch self {
    case .f32: "F32"
    case .f16: "F16"
    case .bf16: "BF16"
    case .i8: "I8"
    }
  }
}
