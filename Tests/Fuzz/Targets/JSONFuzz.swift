// Apache-2.0.
import Codecs

/// Documents of both dialects: what parses, parses to the same value when it is written again.
let jsonFuzzTarget = FuzzTarget("json") { bytes in
  for dialect in [JSONDialect.json, .json5] {
    for unique in [false, true] {
      guard
        let value = try? JSONValue.parse(
          bytes,
          dialect: dialect,
          limits: JSONLimits(bytes: 1 << 16, depth: 32),
          uniqueKeys: unique
        )
      else { continue }
      for pretty in [false, true] {
        let text = value.serialized(pretty: pretty)
        let again = try? JSONValue.parse(Array(text.utf8))
        precondition(again == value, "\(text) is another document")
      }
    }
  }
}
