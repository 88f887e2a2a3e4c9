// Apache-2.0.
import CKernels
public import Tensors

/// The step size of Δ-SGD (Kim et al., 2023), tuned by how gradients change along the way.
///
/// η ← min(γ·‖x − x′‖ / (2·‖g − g′‖), √(1 + δ·θ)·η′), θ ← η/η′, where ′ is the step before and
/// x − x′ = −η′·g′; the first step has the size it is given. As in the paper's code, who runs the step
/// has taken the second g′ again on the present batch, so each step costs two backward passes.
public struct DeltaStep: Operator {
  /// Name in printed plans.
  public static let name = "delta_step"

  let gamma: Float
  let delta: Float
  let count: Int

  /// The rule with its constants, over so many gradients.
  public init(gamma: Float, delta: Float, count: Int) {
    self.gamma = gamma
    self.delta = delta
    self.count = count
  }

  /// Elements of the state: η, θ, ‖g‖, and 1 after the first step.
  static let stateCount = 4

  /// The step size [1] and sums of squares of parts; of the schedule, the state [4], gradients, and
  /// as many gradients of the step before.
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    try require(
      inputs.count == 2 + 2 * count && inputs[2..<2 + count] == inputs[(2 + count)...],
      "\(count) gradients and as many of the step before"
    )
    let parts = inputs[2..<2 + count].reduce(0) { $0 + Self.parts($1) }
    // Two sums in binary64 a part.
    return [ValueType([1]), ValueType([4 * parts])]
  }

  private static func parts(_ type: ValueType) -> Int {
    (type.shape.elementCount + ClipScale.partSize - 1) / ClipScale.partSize
  }

  /// Changes its state.
  public var hasEffect: Bool { true }

  /// Five an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    inputs[2..<2 + count].reduce(0) { $0 + 5 * $1.shape.elementCount }
  }

  /// The rule.
  private func next(
    _ state: (rate: Double, ratio: Double, norm: Double, isLater: Bool),
    first: Double,
    norm: Double,
    change: Double
  ) -> (rate: Double, ratio: Double) {
    guard state.isLater else { return (first, 1) }
    let growth = (1 + Double(delta) * state.ratio).squareRoot() * state.rate
    let moved = state.rate * state.norm
    let secant = change > 0 && moved > 0 ? Double(gamma) * moved / (2 * change) : growth
    let rate = min(secant, growth)
    return (rate, rate / state.rate)
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let parts = inputs[2..<2 + count].reduce(0) { $0 + Self.parts(ValueType($1.shape)) }
    return [
      ReferenceTensor([1], [made(inputs).rate]), ReferenceTensor(zeros: [4 * parts]),
    ]
  }

  private func made(_ inputs: [ReferenceTensor]) -> (rate: Double, ratio: Double, norm: Double) {
    let (schedule, state) = (inputs[0].data, inputs[1].data)
    var (squares, changes) = (0.0, 0.0)
    for (g, before) in zip(inputs[2..<2 + count], inputs[(2 + count)...]) {
      squares += g.data.reduce(0) { $0 + $1 * $1 }
      changes += zip(g.data, before.data).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    }
    let norm = squares.squareRoot() * schedule[3]
    let made = next(
      (state[0], state[1], state[2], state[3] > 0),
      first: schedule[1],
      norm: norm,
      change: changes.squareRoot() * schedule[3]
    )
    return (made.rate, made.ratio, norm)
  }

  /// The definition.
  public func referenceEffect(
    _ inputs: inout [ReferenceTensor],
    _: inout [ReferenceTensor]
  ) {
    let made = made(inputs)
    inputs[1].data = [made.rate, made.ratio, made.norm, 1]
  }

  /// Tasks are parts; their sums are added in their order.
  public func run(_ call: KernelCall) {
    let kernels = unsafe call.kernels
    // SAFETY: two sums a part, in memory aligned to 64 bytes; parts are disjoint.
    let sums = unsafe UnsafeMutableRawPointer(call.result(1)).assumingMemoryBound(to: Double.self)
    var next = 0
    for gradient in 0..<count {
      let type = call.inputTypes[2 + gradient]
      let size = type.shape.elementCount
      let (g, before) = unsafe (call.floats(2 + gradient), call.floats(2 + count + gradient))
      let first = next
      call.team.run(tasks: Self.parts(type)) { part, _ in
        let at = part * ClipScale.partSize
        let length = Int64(min(ClipScale.partSize, size - at))
        unsafe sums[2 * (first + part)] = kernels.sum_of_squares(g + at, length)
        unsafe sums[2 * (first + part) + 1] = kernels.squared_distance(
          g + at,
          before + at,
          length
        )
      }
      next += Self.parts(type)
    }
    let (schedule, state) = unsafe (call.floats(0), call.floats(1))
    let scale = Double(unsafe schedule[3])
    let norm = (0..<next).reduce(0.0) { unsafe $0 + sums[2 * $1] }.squareRoot() * scale
    let change = (0..<next).reduce(0.0) { unsafe $0 + sums[2 * $1 + 1] }.squareRoot() * scale
    let made = unsafe self.next(
      (Double(state[0]), Double(state[1]), Double(state[2]), state[3] > 0),
      first: Double(schedule[1]),
      norm: norm,
      change: change
    )
    unsafe call.result(0)[0] = Float(made.rate)
    unsafe state[0] = Float(made.rate)
    unsafe state[1] = Float(made.ratio)
    unsafe state[2] = Float(norm)
    unsafe state[3] = 1
  }
}
