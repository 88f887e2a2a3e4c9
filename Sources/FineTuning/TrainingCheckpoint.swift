// Apache-2.0.
import Codecs
import Execution
import ModelFiles
import Tensors

extension LocalTraining {
  /// Writes all that is needed to go on, as one safetensors file that appears whole or not at all.
  ///
  ///     weight.NAME, state.NAME   weights that train and what the optimiser keeps, F32
  ///     metadata  step, best_loss, evaluations_since_best, training
  ///
  /// - Parameter training: what the training is, so that no other one goes on from the file.
  public func saveCheckpoint(to path: String, training: String) throws(FineTuningError) {
    let workspace = trainer.workspace.workspace
    var tensors: [TensorDescription] = []
    for (name, shape) in workspace.table.trainable {
      tensors.append(
        TensorDescription(name: "weight.\(name)", type: .f32, shape: shape.dimensions)
      )
    }
    for name in workspace.stateNames {
      let count = workspace.state(name).count
      tensors.append(TensorDescription(name: "state.\(name)", type: .f32, shape: [count]))
    }
    var metadata = [
      "format": "samara training 1", "training": training, "step": "\(progress.step)",
      "evaluations_since_best": "\(progress.evaluationsSinceBest)",
    ]
    if let best = progress.bestLoss { metadata["best_loss"] = "\(best)" }
    try FineTuningError.inModel(path) {
      var writer = try SafetensorsWriter(path: path, tensors: tensors, metadata: metadata)
      for tensor in writer.tensors {
        let (isWeight, name) = Self.parts(tensor.name)
        let values = isWeight ? workspace.weights(of: name) ?? [] : workspace.state(name)
        // SAFETY: floats have no padding; every machine this runs on is little-endian.
        try unsafe writer.append(values.span.bytes)
      }
      try writer.finish()
    }
  }

  /// Goes on where a checkpoint was written.
  ///
  /// - Throws: `FineTuningError.model` where the file is none, or of another training.
  public func resume(from path: String, training: String) throws(FineTuningError) {
    let workspace = trainer.workspace.workspace
    let file = try FineTuningError.inModel(path) { try SafetensorsFile(path: path) }
    let metadata = file.header.metadata
    func refuse(_ reason: String) -> FineTuningError { .model(directory: path, reason: reason) }
    guard metadata["format"] == "samara training 1" else { throw refuse("no checkpoint") }
    guard metadata["training"] == training else {
      throw refuse(
        "a checkpoint of another training (\(metadata["training"] ?? "?")), where this one is "
          + "\(training); give the same options, or begin anew without --resume"
      )
    }
    guard let step = metadata["step"].flatMap(Int.init), step >= 0,
      let since = metadata["evaluations_since_best"].flatMap(Int.init)
    else { throw refuse("it does not say how far the training had got") }
    let weights = Set(workspace.table.trainable.map { "weight.\($0.name)" })
    guard weights.isSubset(of: file.header.entries.map(\.name)) else {
      throw refuse("weights are missing")
    }
    for entry in file.header.entries {
      let (isWeight, name) = Self.parts(entry.name)
      guard entry.type == "F32" else { throw refuse("\(entry.name) is \(entry.type), not F32") }
      // SAFETY: F32 elements, unaligned as they may be, copied while the file is mapped.
      let bytes = unsafe file.bytes(of: entry)
      let values = (0..<bytes.count / 4).map { index in
        unsafe bytes.loadUnaligned(fromByteOffset: 4 * index, as: Float.self)
      }
      guard isWeight else {
        workspace.setState(name, values)
        continue
      }
      guard workspace.setWeights(of: name, values) else {
        throw refuse("\(name) does not train, or has another shape")
      }
    }
    progress.step = step
    progress.bestLoss = metadata["best_loss"].flatMap(Double.init)
    progress.evaluationsSinceBest = since
    trainer.step = step
  }

  private static func parts(_ name: String) -> (isWeight: Bool, name: String) {
    let isWeight = name.hasPrefix("weight.")
    return (isWeight, String(name.dropFirst(isWeight ? 7 : 6)))
  }
}
