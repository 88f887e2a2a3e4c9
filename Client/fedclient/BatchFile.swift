// Apache-2.0.
import Codecs
import CommandLineTool
import Datasets
import FineTuning
import ModelFiles
import Models

extension Arguments {
  /// The labelled rows of `--batch` for a model.
  ///
  /// - Throws: `CommandFailure` with what in the file is wrong, or where the model has no loss.
  func labelledRows(at path: String, for model: LoadedModel) throws -> [Example] {
    let isClassifier: Bool
    switch model.head {
    case .hidden: throw CommandFailure.usage("the model has no head, so there is no loss")
    case .languageModel: isClassifier = false
    case .classifier: isClassifier = true
    }
    let json = try ModelFolder.json(path, limit: 1 << 30)
    do throws(JSONError) {
      let examples = try LabelledRows(
        json,
        isClassifier: isClassifier,
        valueCount: model.family.valueCount
      ).examples
      let longest = examples.map(\.tokens.count).max() ?? 0
      guard longest <= model.family.maximumPositions else {
        throw JSONError.unexpected(
          path: "input_ids",
          wanted: "at most \(model.family.maximumPositions) positions, as the model has"
        )
      }
      return examples
    } catch { throw CommandFailure("\(path): \(error)", code: .usage) }
  }
}
