// Apache-2.0.
import Codecs
import CommandLineTool
import ModelFiles

/// Texts to ids and back, line by line, for comparison with other tokenizers.
let tokenizeCommand = Command(
  "tokenize",
  "Turn lines of text into token ids, or back.",
  options: [
    .value("model", "DIR", "The model's folder, which holds tokenizer.json."),
    .value("file", "LINES.jsonl", "A JSON string a line; with --decode an array of ids a line."),
    .flag("no-special", "Leave out the special tokens."),
    .flag("decode", "Turn ids into text."),
  ],
  notes: "Writes a line for each line read: an array of ids, or a string."
) { arguments, console in
  let directory = try arguments.required("model")
  let path = try arguments.required("file")
  let tokenizer = try TokenizerFile.load(directory: directory)
  let converter = LineConverter(
    tokenizer: tokenizer,
    leavesOutSpecial: arguments.isSet("no-special")
  )
  let bytes = try ModelFolder.bytes(path, limit: 1 << 32)
  var output: [UInt8] = []
  var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
  // The last line may end or not.
  if lines.last?.isEmpty == true { lines.removeLast() }
  for (index, line) in lines.enumerated() {
    do throws(JSONError) {
      output +=
        arguments.isSet("decode")
        ? try converter.decode(Array(line)) : try converter.encode(Array(line))
    } catch {
      console.write(bytes: output)
      throw CommandFailure("\(path):\(index + 1): \(error)", code: .usage)
    }
    output.append(UInt8(ascii: "\n"))
    if output.count >= 1 << 16 {
      console.write(bytes: output)
      output.removeAll(keepingCapacity: true)
    }
  }
  console.write(bytes: output)
  return .ok
}

/// One line to another.
private struct LineConverter {
  let tokenizer: any Tokenizer
  let leavesOutSpecial: Bool

  /// A JSON string to an array of ids.
  func encode(_ line: [UInt8]) throws(JSONError) -> [UInt8] {
    let text = try JSONField(try JSONValue.parse(line), path: "").string()
    let ids = tokenizer.encode(text, addSpecialTokens: !leavesOutSpecial)
    return Array("[\(ids.map(String.init).joined(separator: ","))]".utf8)
  }

  /// An array of ids to a JSON string.
  func decode(_ line: [UInt8]) throws(JSONError) -> [UInt8] {
    var ids: [Int32] = []
    for item in try JSONField(try JSONValue.parse(line), path: "").items() {
      ids.append(Int32(try item.integer(in: 0...Int(Int32.max))))
    }
    let text = tokenizer.decode(ids, skipSpecialTokens: leavesOutSpecial)
    return Array(JSONValue.string(text).serialized().utf8)
  }
}
