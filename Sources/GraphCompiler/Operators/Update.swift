// Apache-2.0.
import CKernels
public import Tensors

/// Moves a parameter along its gradient, in place.
public struct Update: Operator {
  /// Name in printed plans.
  public static let name = "update"

  let optimizer: Optimizer
  let isScaled: Bool

  /// Nothing; of the gradient, the schedule, a scale [1] if there is one, and the optimiser's states.
  public func outputs(
    _ inputs: [ValueType],
    _ parameters: [Shape]
  ) throws(GraphError) -> [ValueType] {
    let (gradient, weight) = (inputs[0].shape, parameters[0])
    try require(
      gradient.rows == weight.rows && gradient.columns <= weight.columns,
      "a gradient \(weight) or its first columns, not \(gradient)"
    )
    try require(
      inputs[firstState...].allSatisfy { $0 == inputs[0] },
      "states \(gradient), not \(inputs[firstState...])"
    )
    try require(
      inputs.count == firstState + optimizer.stateCount,
      "\(optimizer.stateCount) states beside gradient and schedule"
    )
    return []
  }

  /// Changes the parameter and the states.
  public var hasEffect: Bool { true }

  private var firstState: Int { isScaled ? 3 : 2 }

  /// Up to twelve an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    [3, 5, 12][optimizer.stateCount] * inputs[0].shape.elementCount
  }

  /// Nothing is made.
  public func reference(_: [ReferenceTensor], _: [ReferenceTensor]) -> [ReferenceTensor] { [] }

  /// The definition.
  public func referenceEffect(
    _ inputs: inout [ReferenceTensor],
    _ parameters: inout [ReferenceTensor]
  ) {
    let schedule = inputs[1].data
    let scale = schedule[3] * (isScaled ? inputs[2].data[0] : 1)
    let rate = schedule[0]
    let (part, whole) = (inputs[0].shape.columns, parameters[0].shape.columns)
    for index in inputs[0].data.indices {
      let g = inputs[0].data[index] * scale
      let target = index / part * whole + index % part
      let w = parameters[0].data[target]
      switch optimizer {
      case .delta: parameters[0].data[target] = w - rate * g
      case .sgd(let decay):
        parameters[0].data[target] = w - rate * (g + Double(decay) * w)
      case .momentum(let momentum, let decay):
        let v = Double(momentum) * inputs[firstState].data[index] + g + Double(decay) * w
        inputs[firstState].data[index] = v
        parameters[0].data[target] = w - rate * v
      case .adamW(let beta1, let beta2, let epsilon, let decay):
        let m = Double(beta1) * inputs[firstState].data[index] + (1 - Double(beta1)) * g
        let v = Double(beta2) * inputs[firstState + 1].data[index] + (1 - Double(beta2)) * g * g
        inputs[firstState].data[index] = m
        inputs[firstState + 1].data[index] = v
        let step = schedule[1] * m / (v.squareRoot() * schedule[2] + Double(epsilon))
        parameters[0].data[target] = w - rate * Double(decay) * w - rate * step
      }
    }
  }

  /// Tasks are parts.
  public func run(_ call: KernelCall) {
    let kernels = unsafe call.kernels
    var update = unsafe optimizer.update(call.floats(1))
    if isScaled { update.scale *= unsafe call.floats(2)[0] }
    // SAFETY: gradient and states have one size, weights as many rows; parts are disjoint.
    let (gradient, weights) = unsafe (call.floats(0), call.trainable(0))
    let first = unsafe optimizer.stateCount > 0 ? call.floats(firstState) : nil
    let second = unsafe optimizer.stateCount > 1 ? call.floats(firstState + 1) : nil
    let shape = call.inputTypes[0].shape
    let width = Int(unsafe call.parameter(0).weight.columns)
    // Whole tensors are one row; of a part of the columns each row is by itself.
    let (rows, columns) =
      shape.columns == width ? (1, shape.elementCount) : (shape.rows, shape.columns)
    call.split(rows * columns, grain: 1 << 13) { part, _ in
      var at = part.lowerBound
      while at < part.upperBound {
        let count = min(columns - at % columns, part.upperBound - at)
        var rule = update
        unsafe kernels.optimizer_update(
          &rule,
          weights + at / columns * width + at % columns,
          gradient + at,
          first.map { unsafe $0 + at },
          second.map { unsafe $0 + at },
          Int64(count)
        )
        at += count
      }
    }
  }
}

extension Optimizer {
  /// The rule as kernels read it, with the elements of `schedule`.
  @unsafe func update(_ schedule: UnsafePointer<Float>) -> samara_update {
    var update = samara_update()
    unsafe update.rate = schedule[0]
    unsafe update.first_correction = schedule[1]
    unsafe update.second_correction = schedule[2]
    unsafe update.scale = schedule[3]
    switch self {
    case .delta: update.rule = Int32(SAMARA_SGD.rawValue)
    case .sgd(let decay):
      update.rule = Int32(SAMARA_SGD.rawValue)
      update.decay = decay
    case .momentum(let momentum, let decay):
      update.rule = Int32(SAMARA_MOMENTUM.rawValue)
      update.momentum = momentum
      update.decay = decay
    case .adamW(let beta1, let beta2, let epsilon, let decay):
      update.rule = Int32(SAMARA_ADAMW.rawValue)
      update.momentum = beta1
      update.second_momentum = beta2
      update.epsilon = epsilon
      update.decay = decay
    }
    return update
  }
}

/// What gradients are to be multiplied with so that their norm together is at most a bound.
public struct ClipScale: Operator {
  /// Name in printed plans.
  public static let name = "clip_scale"

  /// Elements whose squares are summed together; the same whatever the number of threads.
  static let partSize = 1 << 15

  let maximumNorm: Float

  /// The scale [1], and sums of squares of parts; of the schedule and any number of gradients.
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    // Two floats hold a sum in binary64.
    let parts = inputs.dropFirst().reduce(0) { $0 + Self.parts($1) }
    return [ValueType([1]), ValueType([2 * parts])]
  }

  private static func parts(_ type: ValueType) -> Int {
    (type.shape.elementCount + partSize - 1) / partSize
  }

  /// Two an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int {
    inputs.reduce(0) { $0 + 2 * $1.shape.elementCount }
  }

  /// The definition.
  public func reference(
    _ inputs: [ReferenceTensor],
    _: [ReferenceTensor]
  ) -> [ReferenceTensor] {
    let squares = inputs.dropFirst().reduce(0) { $0 + $1.data.reduce(0) { $0 + $1 * $1 } }
    let parts = inputs.dropFirst().reduce(0) { $0 + Self.parts(ValueType($1.shape)) }
    return [
      ReferenceTensor([1], [Self.scale(squares, inputs[0].data[3], maximumNorm)]),
      ReferenceTensor(zeros: [2 * parts]),
    ]
  }

  /// As PyTorch does it, but for its ε in the divisor; gradients are yet to be scaled by `factor`.
  private static func scale(_ squares: Double, _ factor: Double, _ maximumNorm: Float) -> Double {
    let norm = squares.squareRoot() * abs(factor)
    return norm > Double(maximumNorm) ? Double(maximumNorm) / norm : 1
  }

  /// Tasks are parts; their sums are added in their order.
  public func run(_ call: KernelCall) {
    let kernels = unsafe call.kernels
    // SAFETY: one sum a part, in memory aligned to 64 bytes; parts are disjoint.
    let sums = unsafe UnsafeMutableRawPointer(call.result(1)).assumingMemoryBound(to: Double.self)
    var next = 0
    for (input, type) in call.inputTypes.enumerated().dropFirst() {
      let count = type.shape.elementCount
      let source = unsafe call.floats(input)
      let first = next
      call.team.run(tasks: Self.parts(type)) { part, _ in
        let at = part * Self.partSize
        unsafe sums[first + part] = kernels.sum_of_squares(
          source + at,
          Int64(min(Self.partSize, count - at))
        )
      }
      next += Self.parts(type)
    }
    let squares = (0..<next).reduce(0.0) { unsafe $0 + sums[$1] }
    let factor = Double(unsafe call.floats(0)[3])
    unsafe call.result(0)[0] = Float(Self.scale(squares, factor, maximumNorm))
  }
}

/// state ← state + x, or x alone.
public struct Accumulate: Operator {
  /// Name in printed plans.
  public static let name = "accumulate"

  /// Whether what was there is forgotten.
  var replaces = false

  /// Nothing; of the state and what is added.
  public func outputs(_ inputs: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] {
    try require(
      inputs[0].shape.elementCount == inputs[1].shape.elementCount,
      "as many elements as in \(inputs[0]), not \(inputs[1])"
    )
    return []
  }

  /// Changes the state.
  public var hasEffect: Bool { true }

  /// One an element.
  public func flops(_ inputs: [ValueType], _: [Shape]) -> Int { inputs[0].shape.elementCount }

  /// Nothing is made.
  public func reference(_: [ReferenceTensor], _: [ReferenceTensor]) -> [ReferenceTensor] { [] }

  /// The definition.
  public func referenceEffect(
    _ inputs: inout [ReferenceTensor],
    _: inout [ReferenceTensor]
  ) {
    for index in inputs[0].data.indices {
      let before = replaces ? 0 : inputs[0].data[index]
      inputs[0].data[index] = before + inputs[1].data[index]
    }
  }

  /// Tasks are parts.
  public func run(_ call: KernelCall) {
    // SAFETY: two values of one size; parts are disjoint.
    let (sum, x) = unsafe (call.floats(0), call.floats(1))
    let kernels = unsafe call.kernels
    call.split(call.inputTypes[0].shape.elementCount, grain: 8192) { part, _ in
      let at = part.lowerBound
      if replaces {
        unsafe (sum + at).update(from: x + at, count: part.count)
      } else {
        unsafe kernels.add(sum + at, x + at, sum + at, Int64(part.count))
      }
    }
  }
}

/// state ← 0.
public struct Clear: Operator {
  /// Name in printed plans.
  public static let name = "clear"

  /// Nothing; of the state.
  public func outputs(_: [ValueType], _: [Shape]) throws(GraphError) -> [ValueType] { [] }

  /// Changes the state.
  public var hasEffect: Bool { true }

  /// Only writes.
  public func flops(_: [ValueType], _: [Shape]) -> Int { 0 }

  /// Nothing is made.
  public func reference(_: [ReferenceTensor], _: [ReferenceTensor]) -> [ReferenceTensor] { [] }

  /// The definition.
  public func referenceEffect(
    _ inputs: inout [ReferenceTensor],
    _: inout [ReferenceTensor]
  ) {
    inputs[0] = ReferenceTensor(zeros: inputs[0].shape)
  }

  /// Tasks are parts.
  public func run(_ call: KernelCall) {
    // SAFETY: within the state; parts are disjoint.
    let state = unsafe call.floats(0)
    call.split(call.inputTypes[0].shape.elementCount, grain: 1 << 15) { part, _ in
      unsafe (state + part.lowerBound).update(repeating: 0, count: part.count)
    }
  }
}
