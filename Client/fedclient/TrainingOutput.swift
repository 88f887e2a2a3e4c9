// Apache-2.0.
import FineTuning
import Glibc
import ModelFiles

/// The folder a training writes: a model, or an adapter for one, and a checkpoint while it runs.
struct TrainingOutput {
  /// The folder.
  let directory: String
  /// Whether adapters stay apart from the model they were made for.
  let isAdapter: Bool
  /// Names of a classifier's classes.
  let labels: [String]?

  /// Where the checkpoint stands.
  var checkpoint: String { "\(directory)/checkpoint.safetensors" }

  /// The folder, made where there is none.
  init(directory: String, isAdapter: Bool, labels: [String]?) throws(ModelFileError) {
    self.directory = directory
    self.isAdapter = isAdapter
    self.labels = labels
    try ModelFolder.make(directory)
  }

  /// Writes the present weights.
  func export(_ workspace: TrainerWorkspace) throws(FineTuningError) {
    if isAdapter {
      let base = workspace.model.request.directory
      try workspace.exportAdapter(to: directory, base: base, labels: labels)
    } else {
      try workspace.export(to: directory, labels: labels)
    }
  }

  /// A training that is done needs no checkpoint.
  func removeCheckpoint() { unsafe unlink(checkpoint) }
}
