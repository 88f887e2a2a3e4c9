// Apache-2.0.
import Codecs
import Testing

@Suite struct JSONTests {
  static func parse(_ text: String, _ dialect: JSONDialect = .json) throws(JSONError) -> JSONValue {
    try JSONValue.parse(Array(text.utf8), dialect: dialect, uniqueKeys: dialect == .json5)
  }

  @Test(arguments: [
    ("null", JSONValue.null), (" true ", .bool(true)), ("-0", .integer(0)), ("12", .integer(12)),
    ("9223372036854775807", .integer(.max)),
    ("9223372036854775808", .number(9.223372036854775808e18)),
    ("-1.5e3", .number(-1500)), ("1e2", .number(100)), ("\"\"", .string("")),
    (#""a\n\"\\\/\u00e9\ud83d\ude00é😀""#, .string("a\n\"\\/é😀é😀")), ("[]", .array([])),
    ("[1,[2]]", .array([.integer(1), .array([.integer(2)])])), ("{}", .object([])),
    (#"{"b":1,"a":2}"#, .object([.init("b", .integer(1)), .init("a", .integer(2))])),
  ])
  func `documents of RFC 8259 parse`(_ text: String, _ value: JSONValue) throws {
    #expect(try Self.parse(text) == value)
  }

  @Test(arguments: [
    "", " ", "tru", "nul", "01", "-", "1.", ".5", "+1", "1e", "1e999", "0x10", "[1,]", "[1 2]", "[",
    "]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "{,}", "\"", "\"\u{1}\"", #""\x""#,
    #""\ud800""#,
    #""\ud800\u0041""#, #""\udc00""#, #""\u12g4""#, "1 2", "// c\n1", "'a'", "NaN", "Infinity",
    "[,]",
  ])
  func `what is not JSON is refused`(_ text: String) {
    #expect(throws: JSONError.self) { try Self.parse(text) }
  }

  @Test func `every prefix of a document is refused`() throws {
    let text = Array(#"{"a":[1,2.5,{"b":"c\u00e9"}],"d":null,"e":[true,false]}"#.utf8)
    _ = try JSONValue.parse(text)
    for count in 0..<text.count {
      #expect(throws: JSONError.self) { try JSONValue.parse(Array(text.prefix(count))) }
    }
  }

  @Test func `JSON5 documents parse`() throws {
    let text = """
      // a run
      { name: 'first', "k": 0x1F, /* steps */ steps: +20, rate: .5, list: [1, 2,],
        long: "one \\
      line", $x_1: -1e-3, }
      """
    let value = try Self.parse(text, .json5)
    #expect(value["name"] == .string("first"))
    #expect(value["k"] == .integer(31))
    #expect(value["steps"] == .integer(20))
    #expect(value["rate"] == .number(0.5))
    #expect(value["list"] == .array([.integer(1), .integer(2)]))
    #expect(value["long"] == .string("one line"))
    #expect(value["$x_1"] == .number(-0.001))
  }

  @Test(arguments: ["{a:1,a:2}", "/* open", "{1a:2}", "[,]", "0x", "NaN", "-Infinity", "/", "'a"])
  func `what is not JSON5 is refused`(_ text: String) {
    #expect(throws: JSONError.self) { try Self.parse(text, .json5) }
  }

  @Test func `an error names line, column and reason`() {
    #expect(
      throws: JSONError.syntax(line: 2, column: 8, reason: "expected a value")
    ) { try Self.parse("{\n  \"a\": ?}") }
  }

  @Test func `nesting and size are bounded`() {
    let deep = [UInt8](repeating: UInt8(ascii: "["), count: 100_000)
    #expect(throws: JSONError.tooLarge(what: "nesting", limit: 128)) { try JSONValue.parse(deep) }
    #expect(throws: JSONError.self) {
      try JSONValue.parse(deep, limits: JSONLimits(bytes: 10))
    }
  }

  @Test func `text that is not UTF-8 is refused`() {
    for bytes: [UInt8] in [[0xC0, 0x80], [0xFF], [0xED, 0xA0, 0x80], [0xE2, 0x82]] {
      let quote = UInt8(ascii: "\"")
      #expect(throws: JSONError.self) { try JSONValue.parse([quote] + bytes + [quote]) }
    }
  }

  @Test func `a document survives being written, compact and pretty`() throws {
    let value = JSONValue.object([
      .init("text", .string("a\"\\\n\t\u{1}é😀")), .init("empty", .array([])),
      .init(
        "numbers",
        .array([.integer(.min), .number(0.1), .number(.leastNonzeroMagnitude)])
      ),
      .init("nested", .object([.init("n", .null), .init("t", .bool(true))])),
    ])
    for pretty in [false, true] {
      #expect(try Self.parse(value.serialized(pretty: pretty)) == value)
    }
    #expect(!value.serialized().contains("\n"))
  }

  @Test func `a wrong field is named by its path`() throws {
    let root = JSONField(try Self.parse(#"{"data":{"sizes":[1,"two"],"on":1}}"#), path: "run")
    #expect(try root["data"]["sizes"].items()[0].integer(in: 1...4) == 1)
    #expect(
      throws: JSONError.unexpected(path: "run.data.sizes[1]", wanted: "an integer from 1 to 4")
    ) { try root["data"]["sizes"].items()[1].integer(in: 1...4) }
    #expect(throws: JSONError.unexpected(path: "run.data.on", wanted: "true or false")) {
      try root["data"]["on"].bool()
    }
    #expect(throws: JSONError.unexpected(path: "run.none.deeper", wanted: "text")) {
      try root["none"]["deeper"].string()
    }
  }

  @Test func `a large document is walked without being held`() throws {
    var parser = try JSONParser(Array(#" {"a":[1,[2],"x"],"b":{"c":null}} "#.utf8))
    var seen: [String] = []
    try parser.members { parser, key throws(JSONError) in
      if key == "a" {
        try parser.items { parser, position throws(JSONError) in
          seen.append("\(position):\(try parser.value().serialized())")
        }
      } else {
        seen.append("\(key):\(try parser.value().serialized())")
      }
    }
    try parser.finish()
    #expect(seen == ["0:1", "1:[2]", "2:\"x\"", #"b:{"c":null}"#])
  }

  @Test func `a walk refuses what is not there, and too much`() throws {
    var array = try JSONParser(Array("[1]".utf8))
    #expect(throws: JSONError.self) { try array.members { _, _ throws(JSONError) in } }
    var object = try JSONParser(Array("{}".utf8))
    #expect(throws: JSONError.self) { try object.items { _, _ throws(JSONError) in } }
    #expect(throws: JSONError.self) {
      try JSONParser(Array("[1]".utf8), limits: JSONLimits(bytes: 2, depth: 1))
    }
    // A body that reads nothing leaves the value in the way.
    var skipped = try JSONParser(Array("[1]".utf8))
    #expect(throws: JSONError.self) { try skipped.items { _, _ throws(JSONError) in } }
  }

  @Test func `members name their paths, and defaults stand in`() throws {
    let root = JSONField(try Self.parse(#"{"a":{"b":1,"c":null,"d":"x","e":true}}"#), path: "run")
    #expect(
      try root["a"].members().map(\.field.path) == ["run.a.b", "run.a.c", "run.a.d", "run.a.e"]
    )
    #expect(try root["a"]["c"].string(default: "y") == "y")
    #expect(try root["a"]["d"].string(default: "y") == "x")
    #expect(try root["a"]["z"].bool(default: true))
    #expect(try root["a"]["e"].bool(default: false))
    #expect(throws: JSONError.unexpected(path: "run.a.b", wanted: "text")) {
      try root["a"]["b"].string(default: "y")
    }
  }
}
