// Apache-2.0.

/// Which method a fleet can afford, by what was measured.
public struct Advice: Sendable {
  /// What a device has for a round.
  public struct Budget: Sendable {
    /// Bytes a client may send a round.
    public let bytes: Int
    /// Memory of a device; nil where nobody asks.
    public let memory: Int?

    /// A budget.
    public init(bytes: Int, memory: Int?) {
      self.bytes = bytes
      self.memory = memory
    }
  }

  /// What training a model takes.
  public struct Model: Sendable {
    /// Scalars that would train.
    public let parameters: Int
    /// Scalars of adapters in their place; nil where the model takes none.
    public let adapterParameters: Int?
    /// Memory of two losses along a direction.
    public let probeMemory: Int
    /// Memory of a gradient step.
    public let gradientMemory: Int
    /// Memory of a gradient step on adapters; nil where the model takes none.
    public let adapterMemory: Int?
    /// Whether it tells classes apart, else it continues text.
    public let isClassifier: Bool

    /// What training takes.
    public init(
      parameters: Int,
      adapterParameters: Int?,
      probeMemory: Int,
      gradientMemory: Int,
      adapterMemory: Int?,
      isClassifier: Bool
    ) {
      self.parameters = parameters
      self.adapterParameters = adapterParameters
      self.probeMemory = probeMemory
      self.gradientMemory = gradientMemory
      self.adapterMemory = adapterMemory
      self.isClassifier = isClassifier
    }
  }

  /// A method weighed.
  public struct Option: Sendable, Equatable {
    /// The method as measured.
    public let method: Frontier.Method
    /// Bytes a client would send a round.
    public let bytes: Int
    /// Memory a step would take; nil where the model has no place for the method.
    public let memory: Int?
    /// Share of the way from the base to the best method's end that it went in the table.
    public let reach: Double
    /// Whether bytes, and memory, are within the budget.
    public let fitsBytes: Bool, fitsMemory: Bool

    /// Whether the fleet can afford it.
    public var fits: Bool { fitsBytes && fitsMemory }
  }

  /// The table the options were weighed by.
  public let task: Frontier.Task
  /// Affordable ones first, the better ones before the others.
  public let options: [Option]

  /// The method to take.
  public var recommended: Option? { options.first { $0.fits } }

  /// Weighs every method of the task that is most like the model's; nil where the table is empty.
  public init?(_ frontier: Frontier, budget: Budget, model: Model) {
    guard
      let task = frontier.tasks.first(where: { $0.isAccuracy == model.isClassifier })
        ?? frontier.tasks.first
    else { return nil }
    self.task = task
    let weighed = task.methods.map { method in
      let memory =
        method.isAdapter
        ? model.adapterMemory : method.needsGradients ? model.gradientMemory : model.probeMemory
      let trained = method.isAdapter ? model.adapterParameters ?? 0 : model.parameters
      // What travels of every weight grows with the weights.
      let growth =
        method.growsWithModel ? Double(trained) / Double(max(1, method.parameters)) : 1
      let bytes = Int((method.up * growth).rounded(.up))
      return Option(
        method: method,
        bytes: bytes,
        memory: memory,
        reach: task.reach(method),
        fitsBytes: bytes <= budget.bytes,
        fitsMemory: memory.map { $0 <= budget.memory ?? .max } ?? false
      )
    }
    options = weighed.sorted(by: Self.isBetter)
  }

  /// What fits, then what reaches further; of those that reach about as far, what sends less.
  private static func isBetter(_ left: Option, _ right: Option) -> Bool {
    if left.fits != right.fits { return left.fits }
    let (a, b) = (Int(left.reach * 50), Int(right.reach * 50))
    return a == b ? left.bytes < right.bytes : a > b
  }
}

extension Frontier.Task {
  /// Share of the way from the base to the best end of all methods.
  public func reach(_ method: Frontier.Method) -> Double {
    let ends = methods.compactMap(\.curve.last?.value)
    guard let start = method.curve.first?.value, let end = method.curve.last?.value,
      let best = isAccuracy ? ends.max() : ends.min(), best != start
    else { return 0 }
    return (end - start) / (best - start)
  }
}
