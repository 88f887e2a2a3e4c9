// Apache-2.0.
import CommandLineTool
import Datasets
import FineTuning
import Models

extension Arguments {
  /// The model of `--model` with what of it learns; a model without a head gets a new one.
  ///
  /// - Parameters:
  ///   - labels: of a new head; where nil `--classes` are as many, or two where the model has none.
  ///   - seed: of what is made new.
  func model(scheme: String, labels: [String]? = nil, seed: UInt64 = 0) throws -> LoadedModel {
    let directory = try required("model")
    let scheme = try UpdateScheme(try writtenScheme(scheme))
    var head: ModelHead?
    if let asked = try labels?.count ?? integer("classes", in: 1...(1 << 16)) {
      head = .classifier(classes: asked)
    } else {
      let stored = try LoadedModel(ModelRequest(directory: directory))
      if case .hidden = stored.head { head = .classifier(classes: 2) }
    }
    return try LoadedModel(
      ModelRequest(
        directory: directory,
        head: head,
        scheme: scheme,
        headSeed: seed,
        frozen: try frozen()
      )
    )
  }

  /// Names of the classes of a new head: those of `--labels`, or the ones in the data where that is
  /// `auto` or where a model without a head needs one; nil where the model keeps its own head.
  func newLabels() throws -> [String]? {
    let asked = value("labels")
    if let asked, asked != "auto" {
      let names = asked.split(separator: ",").map(String.init)
      guard names.count >= 2, Set(names).count == names.count else {
        throw CommandFailure.usage("--labels \(asked): two or more names, each once")
      }
      return names
    }
    let model = try LoadedModel(ModelRequest(directory: try required("model")))
    guard asked != nil || model.head == .hidden, let path = value("data") else { return nil }
    let reader = try DatasetReader(
      tokenizer: try model.dataTokenizer(),
      images: try model.imageInput(),
      format: value("data-format") ?? "auto",
      maximumLength: model.family.maximumPositions,
      field: "label",
      limit: try integer("limit", in: 1...(1 << 30)) ?? .max
    )
    let names = Set(try reader.read(path: path).groups)
    guard names.count >= 2 else {
      throw CommandFailure.usage(
        "\(path): a classifier needs rows with a text and a label, and two labels or more; found "
          + (names.first.map { "\"\($0)\" alone" } ?? "none")
      )
    }
    let numbers = names.compactMap { Int($0) }
    if model.family.valueCount > 0, numbers.count == names.count, let most = numbers.max() {
      // Classes of arrays are numbers from 0, whether or not the data have each.
      return (0...most).map { "\($0)" }
    }
    return numbers.count == names.count ? numbers.sorted().map { "\($0)" } : names.sorted()
  }
}
