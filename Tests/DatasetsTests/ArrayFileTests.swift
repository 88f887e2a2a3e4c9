// Apache-2.0.
import Datasets
import TestSupport
import Testing

/// Files of arrays to examples of values.
@Suite struct ArrayFileTests {
  /// A safetensors file of tensors given by name, type, shape and little-endian bytes.
  static func bytes(
    _ tensors: [(name: String, type: String, shape: [Int], bytes: [UInt8])],
    metadata: [(String, String)] = []
  ) -> [UInt8] {
    var members: [String] = []
    if !metadata.isEmpty {
      let texts = metadata.map { "\"\($0.0)\":\"\($0.1)\"" }.joined(separator: ",")
      members.append("\"__metadata__\":{\(texts)}")
    }
    var data: [UInt8] = []
    for tensor in tensors {
      let end = data.count + tensor.bytes.count
      members.append(
        "\"\(tensor.name)\":{\"dtype\":\"\(tensor.type)\",\"shape\":\(tensor.shape),"
          + "\"data_offsets\":[\(data.count),\(end)]}"
      )
      data += tensor.bytes
    }
    let header = Array("{\(members.joined(separator: ","))}".utf8)
    return (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) } + header + data
  }

  static func floats(_ values: [Float]) -> [UInt8] {
    values.flatMap { value in
      (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * UInt32($0))) }
    }
  }

  static func read(
    _ bytes: [UInt8],
    name: String = "data.safetensors",
    labels: [String]? = ["a", "b", "c"],
    field: String? = nil,
    limit: Int = .max,
    rowLimit: Int = 1 << 20
  ) throws -> Dataset {
    let folder = TemporaryFolder()
    let path = folder.write(name, bytes: bytes)
    return try DatasetReader(
      tokenizer: nil,
      maximumLength: 1,
      labels: labels,
      field: field,
      limit: limit,
      rowLimit: rowLimit
    ).read(path: path)
  }

  @Test func `features come as they are stored, labels of any integer type as classes`() throws {
    for (type, size) in [("U8", 1), ("I16", 2), ("I32", 4), ("I64", 8)] {
      let labels = [2, 0].flatMap { label in (0..<size).map { UInt8($0 == 0 ? label : 0) } }
      let data = try Self.read(
        Self.bytes([
          ("features", "F32", [2, 3], Self.floats([1, -2, 0.5, 4, 5, 6])),
          ("labels", type, [2], labels),
        ])
      )
      #expect(data.examples.map(\.values) == [[1, -2, 0.5], [4, 5, 6]])
      #expect(data.examples.map(\.classIndex) == [2, 0])
      #expect(data.examples.allSatisfy { $0.tokens.isEmpty && $0.labels.isEmpty })
      #expect(data.summary == "2 examples of 3 values")
    }
  }

  @Test func `pixels of either layout lie row by row with their channels side by side`() throws {
    // Two images of 2×2 pixels and three channels; byte = 100·image + 10·pixel + channel.
    var byPixel = [UInt8](repeating: 0, count: 24)
    var byChannel = byPixel
    for place in 0..<24 {
      let (image, pixel, channel) = (place / 12, place / 3 % 4, place % 3)
      let byte = UInt8(100 * image + 10 * pixel + channel)
      byPixel[place] = byte
      byChannel[12 * image + 4 * channel + pixel] = byte
    }
    let metadata = [("mean", "0, 1, 2"), ("scale", "0.5")]
    let labels = ("labels", "U8", [2], [UInt8(0), 1])
    let last = try Self.read(
      Self.bytes([("images", "U8", [2, 2, 2, 3], byPixel), labels], metadata: metadata)
    )
    let first = try Self.read(
      Self.bytes([("images", "U8", [2, 3, 2, 2], byChannel), labels], metadata: metadata)
    )
    #expect(last.examples == first.examples)
    let expected = (0..<4).flatMap { p in (0..<3).map { _ in Float(10 * p) / 2 } }
    #expect(last.examples[0].values == expected)
    #expect(last.examples[1].values == expected.map { $0 + 50 })
    #expect(last.examples[0] != last.examples[1])
  }

  @Test func `gray pixels without metadata are between zero and one`() throws {
    let data = try Self.read(
      Self.bytes([("images", "U8", [1, 1, 2], [0, 255]), ("labels", "U8", [1], [1])])
    )
    #expect(data.examples[0].values == [0, 1])
  }

  @Test func `examples are grouped by label, file or a tensor of integers`() throws {
    let bytes = Self.bytes([
      ("features", "U8", [3, 1], [1, 2, 3]), ("labels", "U8", [3], [1, 0, 1]),
      ("writer", "U8", [3], [7, 8, 7]),
    ])
    #expect(try Self.read(bytes, field: "label").groups == ["1", "0", "1"])
    #expect(try Self.read(bytes, field: "writer").groups == ["7", "8", "7"])
    let files = try Self.read(bytes, field: "file", limit: 2).groups
    #expect(files.count == 2 && files[0] == files[1] && files[0].hasSuffix("data.safetensors"))
    #expect(throws: DatasetError.self) { try Self.read(bytes, field: "reader") }
  }

  @Test func `files that break a rule are refused with the rule`() {
    let labels = ("labels", "U8", [1], [UInt8(0)])
    let feature = ("features", "U8", [1, 1], [UInt8(0)])
    let image = ("images", "U8", [1, 2, 2, 2], [UInt8](repeating: 0, count: 8))
    let cases: [([UInt8], String)] = [
      ([1, 2, 3], "shorter than"),
      (Self.bytes([labels]), "must be called features or images"),
      (Self.bytes([feature, image, labels]), "one tensor must be called"),
      (Self.bytes([feature]), "no tensor is called labels"),
      (Self.bytes([("features", "F16", [1, 1], [0, 0]), labels]), "write U8 or F32"),
      (Self.bytes([("features", "U8", [1], [0]), labels]), "has the shape [1]"),
      (Self.bytes([("features", "U8", [1, 0], []), labels]), "has the shape [1, 0]"),
      (Self.bytes([("features", "U8", [2, 1], [0, 0]), labels]), "for 2 examples"),
      (Self.bytes([feature, ("labels", "U8", [1], [3])]), "label 3 of example 0 is not below 3"),
      (Self.bytes([feature, ("labels", "I8", [1], [0xFF])]), "label -1 of example 0"),
      (Self.bytes([feature, ("labels", "F32", [1], [0, 0, 0, 0])]), "write integers"),
      (Self.bytes([("features", "F32", [1, 1], Self.floats([.nan])), labels]), "not finite"),
      (Self.bytes([image, labels]), "do not tell their channels"),
      (Self.bytes([image, labels], metadata: [("layout", "CHWN")]), "neither NHWC nor NCHW"),
      (Self.bytes([feature, labels], metadata: [("mean", "1,2")]), "must be one number, or 1"),
      (Self.bytes([feature, labels], metadata: [("scale", "inf")]), "must be one number"),
      (Self.bytes([feature, labels]) + [0], "cover 2 bytes of 3"),
    ]
    for (bytes, text) in cases {
      #expect { try Self.read(bytes) } throws: { "\($0)".contains(text) }
    }
  }

  @Test func `examples are bounded, and a model gets the kind of data it reads`() throws {
    let bytes = Self.bytes([
      ("features", "U8", [1, 8], [UInt8](repeating: 1, count: 8)), ("labels", "U8", [1], [0]),
    ])
    #expect { try Self.read(bytes, rowLimit: 28) } throws: { "\($0)".contains("of 8 values") }
    #expect { try Self.read(Array("{}".utf8), name: "data.jsonl") } throws: {
      "\($0)".contains("the model reads values")
    }
    let folder = TemporaryFolder()
    let path = folder.write("data.safetensors", bytes: bytes)
    #expect {
      try DatasetReader(tokenizer: LetterTokenizer(specials: []), maximumLength: 8).read(path: path)
    } throws: {
      "\($0)".contains("the model reads texts")
    }
  }
}
