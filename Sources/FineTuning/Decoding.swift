// Apache-2.0.
import Execution
import GraphCompiler
import Models
import Tensors

/// Sequences a decoder reads on, a few tokens at a time: what came before is kept, not computed again.
///
/// Used by one caller at a time; what another one kept in the workspace is forgotten.
public final class Decoding {
  /// Sequences side by side, B.
  public let sequences: Int
  /// Positions a sequence may have.
  public let capacity: Int
  /// Positions each sequence has.
  public private(set) var counts: [Int]
  private let workspace: TrainerWorkspace
  private var plans: [Int: BoundPlan] = [:]

  /// Empty sequences.
  ///
  /// - Throws: `FineTuningError.data` where the model is no decoder, or has fewer positions.
  public init(
    _ workspace: TrainerWorkspace,
    sequences: Int,
    capacity: Int
  ) throws(FineTuningError) {
    guard case .languageModel = workspace.model.head else {
      throw .data("the model predicts no next token")
    }
    let most = workspace.model.family.maximumPositions
    guard capacity <= most else { throw .data("\(capacity) positions; the model has \(most)") }
    self.workspace = workspace
    self.sequences = sequences
    self.capacity = capacity
    counts = [Int](repeating: 0, count: sequences)
    workspace.workspace.clearStates()
  }

  /// Reads more tokens of each sequence.
  ///
  /// - Parameter tokens: of each sequence, ids of the vocabulary; none leaves a sequence as it is.
  /// - Returns: logits of the token that follows, of each sequence that read any.
  public func read(_ tokens: [[Int32]]) throws(FineTuningError) -> [[Float]] {
    let vocabulary = Int32(clamping: workspace.model.family.vocabularyCount)
    guard tokens.count == sequences else {
      throw .data("\(tokens.count) of \(sequences) sequences")
    }
    for (sequence, new) in tokens.enumerated() {
      guard counts[sequence] + new.count <= capacity else {
        throw .data(
          "sequence \(sequence): \(counts[sequence]) + \(new.count) of \(capacity) tokens"
        )
      }
      guard new.allSatisfy({ $0 >= 0 && $0 < vocabulary }) else {
        throw .data("sequence \(sequence): an id outside the vocabulary of \(vocabulary)")
      }
    }
    let longest = tokens.map(\.count).max() ?? 1
    let width = longest == 1 ? 1 : min(Batch.bucket(longest), capacity)
    let plan = try plan(width)
    var ids = [Int32](repeating: 0, count: sequences * width)
    var positions = ids
    for (sequence, new) in tokens.enumerated() {
      for (place, token) in new.enumerated() {
        ids[sequence * width + place] = token
        positions[sequence * width + place] = Int32(counts[sequence] + place)
      }
    }
    try FineTuningError.inPlan { () throws(ExecutionError) in
      try plan.set("input_ids", integers: ids)
      try plan.set("lengths", integers: tokens.map { Int32($0.count) })
      try plan.set("past", integers: counts.map(Int32.init))
      try plan.set("positions", integers: positions)
    }
    plan.run()
    for (sequence, new) in tokens.enumerated() { counts[sequence] += new.count }
    let logits = try FineTuningError.inPlan { () throws(ExecutionError) in
      try plan.floats("logits")
    }
    let size = logits.count / sequences
    return (0..<sequences).map { Array(logits[$0 * size..<($0 + 1) * size]) }
  }

  private func plan(_ width: Int) throws(FineTuningError) -> BoundPlan {
    if let known = plans[width] { return known }
    let model = workspace.model
    let graphs = try FineTuningError.inModel(model.request.directory) {
      try [(sequences, width), (1, capacity)].map { sequences, positions in
        try model.graph(
          GraphRequest(
            sequences: sequences,
            positions: positions,
            head: model.head,
            hasLoss: false
          )
        )
      }
    }
    let graph = try FineTuningError.inGraph { () throws(GraphError) in
      try DecodingGraph(graphs[0], wide: graphs[1], capacity: capacity).graph
    }
    let threads = workspace.workspace.team.threadCount
    let made = try FineTuningError.inPlan { () throws(ExecutionError) in
      try BoundPlan(ExecutionPlan(graph, threads: threads), in: workspace.workspace)
    }
    plans[width] = made
    return made
  }
}
