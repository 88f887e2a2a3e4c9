// Apache-2.0.
import Codecs
import ModelFiles
import Tensors
import TestSupport
import Testing

@Suite struct CheckpointTests {
  static let descriptions = [
    TensorDescription(name: "b", type: .f16, shape: [3]),
    TensorDescription(name: "a.weight", type: .f32, shape: [2, 2]),
    TensorDescription(name: "Z", type: .bf16, shape: []),
    TensorDescription(name: "none", type: .f32, shape: [0, 5]),
  ]

  /// Byte `i` of a tensor is a function of its name and `i`, whatever the file's order.
  static func content(_ tensor: TensorDescription) -> [UInt8] {
    (0..<tensor.byteCount).map { UInt8(truncatingIfNeeded: $0 * 7 + tensor.name.utf8.count) }
  }

  static func write(_ tensors: [TensorDescription], to path: String) throws {
    var writer = try SafetensorsWriter(path: path, tensors: tensors)
    for tensor in writer.tensors {
      // SAFETY: plain bytes have no padding.
      try unsafe writer.append(content(tensor).span.bytes)
    }
    try writer.finish()
  }

  @Test func `what is written reads back, aligned and in canonical order`() throws {
    let folder = TemporaryFolder()
    try Self.write(Self.descriptions, to: folder.path + "/model.safetensors")
    #expect(folder.names == ["model.safetensors"])
    let checkpoint = try Checkpoint(directory: folder.path)
    #expect(checkpoint.tensors.map(\.name) == ["Z", "a.weight", "b", "none"])
    for tensor in Self.descriptions {
      let entry = try checkpoint.entry(tensor.name)
      #expect(try entry.elementType() == tensor.type)
      #expect(entry.shape == tensor.shape)
      let bytes = try checkpoint.bytes(of: tensor.name)
      #expect(unsafe Array(bytes.bytes) == Self.content(tensor))
      #expect(bytes.copiedBytes == 0)
    }
    #expect(checkpoint.contains("b") && !checkpoint.contains("c"))
    #expect(throws: ModelFileError.self) { try checkpoint.bytes(of: "c") }
  }

  @Test func `a digest names the weights and not the files they are cut into`() throws {
    let whole = TemporaryFolder()
    try Self.write(Self.descriptions, to: whole.path + "/model.safetensors")
    let sharded = TemporaryFolder()
    try Self.write(Array(Self.descriptions[..<2]), to: sharded.path + "/one.safetensors")
    try Self.write(Array(Self.descriptions[2...]), to: sharded.path + "/two.safetensors")
    try ModelFolder.write(
      Array(
        #"""
        {"metadata":{"total_size":24},"weight_map":{"b":"one.safetensors","none":"two.safetensors",
        "a.weight":"one.safetensors","Z":"two.safetensors"}}
        """#.utf8
      ),
      to: sharded.path + "/model.safetensors.index.json"
    )
    let first = try Checkpoint(directory: whole.path)
    let second = try Checkpoint(directory: sharded.path)
    #expect(first.digest == second.digest)
    #expect(unsafe Array(try second.bytes(of: "Z").bytes) == Self.content(Self.descriptions[2]))

    let other = TemporaryFolder()
    var renamed = Self.descriptions
    renamed[3] = TensorDescription(name: "none", type: .f32, shape: [5, 0])
    try Self.write(renamed, to: other.path + "/model.safetensors")
    #expect(try Checkpoint(directory: other.path).digest != first.digest)
  }

  @Test(arguments: [
    #"{"weight_map":{"b":"../one.safetensors"}}"#, #"{"weight_map":{"b":"/etc/one.safetensors"}}"#,
    #"{"weight_map":{"b":"one.bin"}}"#, #"{"weight_map":{"b":"two.safetensors"}}"#,
    #"{"weight_map":{"c":"one.safetensors"}}"#, #"{"weight_map":{"b":1}}"#, #"{"weight_map":[]}"#,
    "{}", "",
    #"{"weight_map":{"b":"one.safetensors","b":"one.safetensors"}}"#,
  ])
  func `an index that leads astray is refused`(_ index: String) throws {
    let folder = TemporaryFolder()
    try Self.write([Self.descriptions[0]], to: folder.path + "/one.safetensors")
    try ModelFolder.write(Array(index.utf8), to: folder.path + "/model.safetensors.index.json")
    #expect(throws: ModelFileError.self) { try Checkpoint(directory: folder.path) }
  }

  @Test func `a tensor that is misaligned in its file is copied`() throws {
    let folder = TemporaryFolder()
    let json =
      #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
      + #""b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}"#
    try ModelFolder.write(
      SafetensorsTests.length(json.utf8.count) + Array(json.utf8) + [9, 0, 0, 0x80, 0x3F],
      to: folder.path + "/model.safetensors"
    )
    let bytes = try Checkpoint(directory: folder.path).bytes(of: "b")
    #expect(bytes.copiedBytes == 4)
    #expect(unsafe bytes.bytes.load(as: Float.self) == 1)
  }

  @Test func `a writer that is not finished leaves nothing, and the old file stands`() throws {
    let folder = TemporaryFolder()
    let path = folder.path + "/x.safetensors"
    try ModelFolder.write([1, 2, 3], to: path)
    do {
      var writer = try SafetensorsWriter(path: path, tensors: Self.descriptions)
      // SAFETY: plain bytes have no padding.
      try unsafe writer.append([UInt8](repeating: 0, count: 5).span.bytes)
    }
    #expect(throws: ModelFileError.self) {
      let writer = try SafetensorsWriter(path: path, tensors: Self.descriptions)
      try writer.finish()
    }
    #expect(throws: ModelFileError.self) {
      var writer = try SafetensorsWriter(path: path, tensors: Self.descriptions)
      // SAFETY: plain bytes have no padding.
      try unsafe writer.append([UInt8](repeating: 0, count: 25).span.bytes)
    }
    #expect(folder.names == ["x.safetensors"])
    #expect(try ModelFolder.bytes(path, limit: 3) == [1, 2, 3])
    #expect(throws: ModelFileError.self) { try ModelFolder.bytes(path, limit: 2) }
  }

  @Test func `two tensors of one name are refused`() {
    let folder = TemporaryFolder()
    #expect(throws: ModelFileError.self) {
      let writer = try SafetensorsWriter(
        path: folder.path + "/x",
        tensors: [Self.descriptions[0], Self.descriptions[0]]
      )
      try writer.finish()
    }
  }

  @Test func `a tensor of floats is written in one call`() throws {
    let folder = TemporaryFolder()
    let path = folder.path + "/model.safetensors"
    try SafetensorsWriter.write([1.5, -2, 0.25], name: "logits", shape: [3, 1], to: path)
    let bytes = try Checkpoint(directory: folder.path).bytes(of: "logits")
    #expect(unsafe Array(bytes.bytes.bindMemory(to: Float.self)) == [1.5, -2, 0.25])
  }
}
