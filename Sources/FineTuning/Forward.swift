// Apache-2.0.
import Execution
import GraphCompiler
import Models
public import Tensors

/// Outputs of a model for a batch of ragged rows.
public struct ForwardOutput: Sendable {
  /// `logits`, `hidden` or `pooled`.
  public let name: String
  /// Extents, [B, T, N] or [B, N].
  public let shape: [Int]
  /// Elements, row-major.
  public let values: [Float]
}

extension LoadedModel {
  /// Runs the model on rows of ids padded to one length.
  ///
  /// - Parameters:
  ///   - ids: rows of equal length T, at most the model's positions, every id in its vocabulary.
  ///   - lengths: positions of each row before its right padding, 1 to T.
  /// - Throws: `FineTuningError.data` where they are not.
  public func forward(
    _ ids: [[Int32]],
    lengths: [Int32],
    team: ThreadTeam
  ) throws(FineTuningError) -> [ForwardOutput] {
    guard let positions = ids.first?.count, positions > 0 else { throw .data("an empty batch") }
    guard positions <= family.maximumPositions else {
      throw .data("\(positions) positions; the model has \(family.maximumPositions)")
    }
    for (row, values) in ids.enumerated() {
      guard values.count == positions else {
        throw .data("row \(row) has \(values.count) ids, the first has \(positions)")
      }
      guard values.allSatisfy({ $0 >= 0 && $0 < family.vocabularyCount }) else {
        throw .data("row \(row) has an id outside the vocabulary of \(family.vocabularyCount)")
      }
    }
    guard lengths.count == ids.count, lengths.allSatisfy({ $0 >= 1 && $0 <= positions }) else {
      throw .data("lengths must be 1 to \(positions), one a row")
    }
    return try forward(sequences: ids.count, positions: positions, team: team) {
      bound throws(ExecutionError) in
      try bound.set("input_ids", integers: ids.flatMap { $0 })
      try bound.set("lengths", integers: lengths)
    }
  }

  /// Runs a model without tokens on rows of values.
  ///
  /// - Parameter values: rows of as many values as the model reads.
  /// - Throws: `FineTuningError.data` where they are not.
  public func forward(
    values: [[Float]],
    team: ThreadTeam
  ) throws(FineTuningError) -> [ForwardOutput] {
    guard !values.isEmpty, family.valueCount > 0 else { throw .data("an empty batch") }
    for (row, values) in values.enumerated() where values.count != family.valueCount {
      throw .data("row \(row) has \(values.count) values; the model reads \(family.valueCount)")
    }
    return try forward(sequences: values.count, positions: 1, team: team) {
      bound throws(ExecutionError) in try bound.set("values", floats: values.flatMap { $0 })
    }
  }

  private func forward(
    sequences: Int,
    positions: Int,
    team: ThreadTeam,
    setInputs: (BoundPlan) throws(ExecutionError) -> Void
  ) throws(FineTuningError) -> [ForwardOutput] {
    let request = GraphRequest(
      sequences: sequences,
      positions: positions,
      head: head,
      hasLoss: false,
      computesPadding: true
    )
    let graph = try FineTuningError.inModel(self.request.directory) { try self.graph(request) }
    let workspace = Workspace(table, team: team)
    let plan = ExecutionPlan(graph, threads: team.threadCount)
    return try FineTuningError.inPlan { () throws(ExecutionError) in
      let bound = try BoundPlan(plan, in: workspace)
      try setInputs(bound)
      bound.run()
      var outputs: [ForwardOutput] = []
      for (name, value) in graph.outputs {
        let shape = graph.type(of: value).shape
        let isByPosition =
          family.valueCount == 0 && shape.rows == sequences * positions && name != "pooled"
          && !head.isClassifier
        outputs.append(
          ForwardOutput(
            name: name,
            shape: isByPosition ? [sequences, positions, shape.columns] : shape.dimensions,
            values: try bound.floats(name)
          )
        )
      }
      return outputs
    }
  }
}
