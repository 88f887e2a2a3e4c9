// Apache-2.0.
import Datasets
import ModelFiles

/// A letter that picks format, template and task, and behind it a data file: what is read must be
/// examples, and what is skipped must have a line.
let rowsFuzzTarget = FuzzTarget("rows") { bytes in
  guard let pick = bytes.first.map(Int.init), let tokenizer = rowsTokenizer else { return }
  let content = Array(bytes.dropFirst())
  // Arrays have a format of their own, and no rows.
  let formats = DataFormat.names.filter { $0 != "safetensors" }
  let templates = ["auto"] + ChatTemplate.allCases.map(\.rawValue)
  let labels = pick & 1 == 0 ? nil : ["yes", "no"]
  let length = 24
  let reader = try? DatasetReader(
    tokenizer: tokenizer,
    format: formats[pick / 2 % formats.count],
    template: templates[pick / 16 % templates.count],
    maximumLength: length,
    labels: labels,
    field: pick > 127 ? "label" : nil,
    rowLimit: 512
  )
  guard let reader, let file = ScratchFile(content) else { preconditionFailure("not set up") }
  let lines = content.count { $0 == 0x0A } + 1
  var skipped: [SkippedRow] = []
  do {
    let dataset = try reader.read(path: file.path)
    skipped = dataset.skipped
    precondition(dataset.groups.count == (pick > 127 ? dataset.examples.count : 0), "groups")
    for example in dataset.examples {
      precondition((1...length).contains(example.tokens.count), "\(example.tokens.count) tokens")
      if let labels {
        let index = example.classIndex ?? -1
        precondition(labels.indices.contains(Int(index)), "class \(index)")
      } else {
        let counted = example.labels.indices.filter { example.labels[$0] != Example.masked }
        precondition(counted.contains { $0 > 0 }, "nothing to learn from")
        precondition(counted.allSatisfy { example.labels[$0] == example.tokens[$0] }, "labels")
      }
    }
  } catch {
    if case .empty(_, let rows) = error as? DatasetError { skipped = rows }
  }
  precondition(skipped.allSatisfy { (1...lines).contains($0.line) }, "lines")
}

/// Bytes as letters: enough of a tokenizer for rows.
private let rowsTokenizer = try? TokenizerFile.parse(
  Array(
    (#"{"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":false},"#
      + #""model":{"type":"BPE","unk_token":"!","vocab":{"#
      + (33...126).map { (letter: UInt8) in
        let text = String(Unicode.Scalar(letter))
        let spelled = text == "\"" || text == "\\" ? "\\" + text : text
        return #""\#(spelled)":\#(letter)"#
      }.joined(separator: ",") + #"},"merges":[]}}"#).utf8
  )
)
