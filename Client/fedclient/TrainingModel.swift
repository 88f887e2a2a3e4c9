// Apache-2.0.
import CommandLineTool
import FineTuning
import Models

extension Arguments {
  /// The model of `--model` with what of it learns; a model without a head gets a new one.
  ///
  /// - Parameters:
  ///   - classes: of a new head; `--classes`, or two, where nil.
  ///   - seed: of what is made new.
  func model(scheme: String, classes: Int? = nil, seed: UInt64 = 0) throws -> LoadedModel {
    let directory = try required("model")
    let scheme = try UpdateScheme(scheme)
    var head: ModelHead?
    if let asked = try classes ?? integer("classes", in: 1...(1 << 16)) {
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
}
