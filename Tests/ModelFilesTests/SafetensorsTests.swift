// Apache-2.0.
import Glibc
import ModelFiles
import Tensors
import Testing

@Suite struct SafetensorsTests {
  static func header(_ json: String, data: Int) throws(ModelFileError) -> SafetensorsHeader {
    try SafetensorsHeader(Array(json.utf8), dataBytes: data, file: "test")
  }

  static func tensor(_ name: String, _ type: String, _ shape: String, _ offsets: String) -> String {
    #""\#(name)":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}"#
  }

  @Test func `tensors come in the order of their data, with blanks and metadata allowed`() throws {
    let json =
      "{" + Self.tensor("b", "F16", "[2,3]", "[4,16]") + ","
      + Self.tensor("a", "F32", "[]", "[0,4]") + ","
      + Self.tensor("none", "BF16", "[0,7]", "[16,16]") + #","__metadata__":{"format":"pt"}}   "#
    let header = try Self.header(json, data: 16)
    #expect(header.entries.map(\.name) == ["a", "b", "none"])
    #expect(header.entries[1].shape == [2, 3])
    #expect(try header.entries[1].elementType() == .f16)
    #expect(header.metadata == ["format": "pt"])
  }

  @Test(arguments: [
    ("", 0), ("[]", 0), ("null", 0), (" {}", 0), ("{}", 4), ("{", 0),
    ("{" + tensor("a", "F32", "[2]", "[0,4]") + "}", 4),
    ("{" + tensor("a", "F32", "[1]", "[0,4]") + "}", 8),
    ("{" + tensor("a", "F32", "[1]", "[4,8]") + "}", 8),
    ("{" + tensor("a", "F32", "[1]", "[4,0]") + "}", 4),
    ("{" + tensor("a", "F32", "[-1]", "[0,4]") + "}", 4),
    ("{" + tensor("a", "F32", "[1]", "[0,4,8]") + "}", 4),
    ("{" + tensor("a", "F33", "[1]", "[0,4]") + "}", 4),
    ("{" + tensor("a", "F32", "[4294967296,4294967296,4]", "[0,0]") + "}", 0),
    ("{" + tensor("a", "F32", "[1.5]", "[0,4]") + "}", 4),
    ("{" + tensor("a", "F32", "[1]", "[0,4]") + "," + tensor("a", "F32", "[1]", "[4,8]") + "}", 8),
    ("{" + tensor("a", "F32", "[2]", "[0,8]") + "," + tensor("b", "F32", "[1]", "[4,8]") + "}", 8),
    ("{" + tensor("a", "F32", "[]", "[0,4]").dropLast() + #","x":1}}"#, 4),
    ("{" + tensor("a", "U8", "[\(String(repeating: "1,", count: 64))1]", "[0,1]") + "}", 1),
    ("{" + tensor("a", "F32", "[1]", "[0,4,4]") + "}", 4), (#"{"a":{}}"#, 0),
    (#"{"__metadata__":[]}"#, 0), (#"{"a":1}"#, 0), (#"{"__metadata__":{"a":1}}"#, 0),
    (#"{"a":{"dtype":"F32"}}"#, 0),
  ])
  func `a header that breaks a rule is refused`(_ json: String, _ data: Int) {
    #expect(throws: ModelFileError.self) { try Self.header(json, data: data) }
  }

  @Test func `a type without arithmetic is listed and refused on use`() throws {
    let header = try Self.header("{" + Self.tensor("ids", "I64", "[1]", "[0,8]") + "}", data: 8)
    #expect(throws: ModelFileError.unsupportedType(tensor: "ids", type: "I64")) {
      try header.entries[0].elementType()
    }
  }

  @Test func `a file's tensors are read in place`() throws {
    let json = "{" + Self.tensor("x", "F32", "[2]", "[0,8]") + "}"
    var bytes = Self.length(json.utf8.count) + Array(json.utf8)
    for value: Float in [1.5, -2] {
      bytes += (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) }
    }
    try Self.withFile(bytes) { path in
      let file = try SafetensorsFile(path: path)
      let stored = unsafe file.bytes(of: try file.entry("x"))
      #expect(unsafe stored.loadUnaligned(fromByteOffset: 0, as: Float.self) == 1.5)
      #expect(unsafe stored.loadUnaligned(fromByteOffset: 4, as: Float.self) == -2)
      #expect(throws: ModelFileError.missingTensor(file: path, name: "y")) { try file.entry("y") }
    }
  }

  @Test(arguments: [0, 1, 7, 8, 9]) func `a truncated file is refused`(_ count: Int) throws {
    let whole = Self.length(2) + Array("{}".utf8)
    try Self.withFile(Array(whole.prefix(count))) { path in
      #expect(throws: ModelFileError.self) { try SafetensorsFile(path: path) }
    }
  }

  @Test(arguments: [100_000_001, Int.max]) func `a header length beyond the file is refused`(
    _ length: Int
  ) throws {
    try Self.withFile(Self.length(length) + [UInt8](repeating: 0x20, count: 64)) { path in
      #expect(throws: ModelFileError.self) { try SafetensorsFile(path: path) }
    }
  }

  @Test func `a folder or nothing at all is refused`() {
    #expect(throws: ModelFileError.self) { try SafetensorsFile(path: "/tmp") }
    #expect(throws: ModelFileError.self) { try SafetensorsFile(path: "/nowhere/model") }
  }

  static func length(_ count: Int) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) }
  }

  static func withFile(_ bytes: [UInt8], _ body: (String) throws -> Void) throws {
    var template = Array("/tmp/samara-tensors-XXXXXX".utf8CString)
    let descriptor = unsafe mkstemp(&template)
    let path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    defer { unsafe unlink(path) }
    let written = unsafe write(descriptor, bytes, bytes.count)
    close(descriptor)
    try #require(written == bytes.count)
    try body(path)
  }
}
