// Apache-2.0.

/// The memory and the work of one run of a plan, known before it runs.
public struct PlanReport: Sendable {
  /// A value alive at the peak.
  public struct Tensor: Sendable, Hashable {
    /// Which node made it, of which parameter.
    public let name: String
    /// Bytes, whole cache lines.
    public let bytes: Int
  }

  /// Bytes of values, which live from step to step of the plan.
  public let arenaBytes: Int
  /// Bytes no arena of this order of steps can do with less than.
  public let lowerBound: Int
  /// Bytes of trainable weights, optimiser states, constants and packed frozen weights.
  public let staticBytes: Int
  /// Bytes kernels use while they run, of all threads.
  public let scratchBytes: Int
  /// Bytes set aside for the stacks of all threads.
  public let stackBytes: Int
  /// Floating-point operations of the forward half.
  public let forwardFlops: Int
  /// Floating-point operations of everything else.
  public let backwardFlops: Int
  /// The node at which most bytes are alive.
  public let peak: String
  /// What is alive there, the largest first.
  public let aliveAtPeak: [Tensor]

  /// Stack a thread touches at most, as kernels are written.
  static let stackBytesPerThread = 32 << 10

  /// Everything.
  public var totalBytes: Int { arenaBytes + staticBytes + scratchBytes + stackBytes }

  /// A report.
  ///
  /// - Parameters:
  ///   - weightBytes: of the trainable weights.
  ///   - forwardFlops: of the forward half; nil where the plan has no other.
  public init(
    _ plan: ExecutionPlan,
    threads: Int,
    weightBytes: Int = 0,
    forwardFlops: Int? = nil
  ) {
    arenaBytes = plan.arenaBytes
    lowerBound = plan.lowerBound
    staticBytes = weightBytes + plan.stateBytes + plan.constantBytes + plan.panelBytes
    scratchBytes = plan.scratchBytes * threads
    stackBytes = Self.stackBytesPerThread * threads
    let flops = plan.graph.flops
    self.forwardFlops = forwardFlops ?? flops
    backwardFlops = flops - (forwardFlops ?? flops)
    let lifetimes = Lifetimes(plan.graph, keepsInputs: plan.keepsInputs)
    let step = lifetimes.peakStep
    peak = plan.graph.describe(step: step)
    aliveAtPeak = lifetimes.alive(at: step, plan.graph).sorted {
      ($1.bytes, $0.name) < ($0.bytes, $1.name)
    }
  }

  /// Refuses a plan that needs more than `budget` bytes.
  ///
  /// - Throws: `GraphError.overBudget`, which names what decides the peak.
  public func check(budget: Int) throws(GraphError) {
    guard totalBytes > budget else { return }
    let largest = aliveAtPeak.prefix(3).map { "\($0.name) (\(Self.size($0.bytes)))" }
    throw .overBudget(
      "the step needs \(Self.size(totalBytes)) of \(Self.size(budget)): weights and states "
        + "\(Self.size(staticBytes)), values \(Self.size(arenaBytes)) at \(peak), of them "
        + largest.joined(separator: ", ")
        + "; train fewer tensors, or take a smaller batch or shorter rows"
    )
  }

  /// As in `12.3 MiB`.
  static func size(_ bytes: Int) -> String {
    guard bytes >= 1024 else { return "\(bytes) B" }
    let (unit, name) = bytes >= 1 << 20 ? (1 << 20, "MiB") : (1024, "KiB")
    let tenths = (bytes * 10 + unit / 2) / unit
    return "\(tenths / 10).\(tenths % 10) \(name)"
  }
}

extension PlanReport: CustomStringConvertible {
  /// One quantity a line, then what is alive at the peak.
  public var description: String {
    let megaflops = { (flops: Int) in "\((flops + 500_000) / 1_000_000) MFLOP" }
    var lines = [
      "arena        \(Self.size(arenaBytes)) (lower bound \(Self.size(lowerBound)))",
      "static       \(Self.size(staticBytes))", "scratch      \(Self.size(scratchBytes))",
      "stack        \(Self.size(stackBytes))", "total        \(Self.size(totalBytes))",
      "forward      \(megaflops(forwardFlops))", "backward     \(megaflops(backwardFlops))",
      "peak         \(peak)",
    ]
    lines += aliveAtPeak.prefix(12).map { "  \(Self.size($0.bytes))  \($0.name)" }
    if aliveAtPeak.count > 12 {
      let rest = aliveAtPeak.dropFirst(12)
      let bytes = rest.reduce(0) { $0 + $1.bytes }
      lines.append("  \(Self.size(bytes))  in \(rest.count) more")
    }
    return lines.joined(separator: "\n")
  }
}

extension Lifetimes {
  /// The step at which most bytes are alive, the first of them.
  var peakStep: Int {
    var change: [Int: Int] = [:]
    for interval in intervals {
      change[interval.first, default: 0] += interval.bytes
      change[interval.last + 1, default: 0] -= interval.bytes
    }
    var (alive, most, step) = (0, 0, 0)
    for (at, bytes) in change.sorted(by: { $0.key < $1.key }) {
      alive += bytes
      if alive > most { (most, step) = (alive, at) }
    }
    return step
  }

  /// What is alive at a step: of values that share memory the last one made.
  fileprivate func alive(at step: Int, _ graph: Graph) -> [PlanReport.Tensor] {
    var name: [Int: String] = [:]
    let ends = graph.inputs + graph.states
    let given = Set(graph.constants.map(\.value.index) + graph.states.map(\.value.index))
    for (title, value) in ends where !given.contains(value.index) {
      name[intervalOfValue[value.index]] = "input \(title)"
    }
    for (position, node) in graph.nodes.enumerated() where position <= step {
      for (index, value) in node.outputs.enumerated() {
        let part = node.outputs.count > 1 ? " (\(index))" : ""
        name[intervalOfValue[value.index]] =
          "\(graph.describe(step: position))\(part) \(graph.type(of: value))"
      }
    }
    return intervals.enumerated().compactMap { index, interval in
      guard interval.first <= step, step <= interval.last, interval.bytes > 0 else { return nil }
      return .init(name: name[index] ?? "value", bytes: interval.bytes)
    }
  }
}

extension Graph {
  /// A node by its operator and the first parameter it reads, or that of whoever reads its result.
  func describe(step: Int) -> String {
    guard step < nodes.count else { return "the end" }
    let node = nodes[step]
    let name = "\(step) \(Swift.type(of: node.operation).name)"
    if let parameter = node.parameters.first {
      return "\(name) \(parameters[parameter.index].name)"
    }
    let reader = nodes[step...].first { reader in
      !reader.parameters.isEmpty && reader.inputs.contains(where: node.outputs.contains)
    }
    guard let parameter = reader?.parameters.first else { return name }
    return "\(name) for \(parameters[parameter.index].name)"
  }
}
