// Apache-2.0.
import Datasets

/// A letter that picks classes, field and limits, and behind it a safetensors file of examples: what is
/// read is finite, of one length, and of the classes there are.
let arraysFuzzTarget = FuzzTarget("arrays") { bytes in
  guard let pick = bytes.first.map(Int.init) else { return }
  let labels = pick & 1 == 0 ? nil : ["no", "yes"]
  let field: String? =
    switch pick / 2 % 4 {
    case 0: nil
    case 1: "label"
    case 2: "file"
    default: "writer"
    }
  let limit = pick & 8 == 0 ? Int.max : 2
  let rowLimit = 1024
  let reader = try? DatasetReader(
    tokenizer: nil,
    format: "safetensors",
    maximumLength: 24,
    labels: labels,
    field: field,
    limit: limit,
    rowLimit: rowLimit
  )
  guard let reader, let file = ScratchFile(Array(bytes.dropFirst())) else {
    preconditionFailure("not set up")
  }
  guard let dataset = try? reader.read(path: file.path) else { return }
  let examples = dataset.examples
  precondition(!examples.isEmpty && examples.count <= limit, "\(examples.count) examples")
  precondition(dataset.groups.count == (field == nil ? 0 : examples.count), "groups")
  let length = examples.first?.values.count ?? 0
  precondition((1...rowLimit / 4).contains(length), "\(length) values")
  for example in examples {
    precondition(example.values.count == length, "examples of several lengths")
    precondition(example.values.allSatisfy(\.isFinite), "a value that is not finite")
    let index = Int(example.classIndex ?? -1)
    precondition(index >= 0 && index < labels?.count ?? .max, "class \(index)")
  }
}
