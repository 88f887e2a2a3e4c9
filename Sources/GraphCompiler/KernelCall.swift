// Apache-2.0.
public import CKernels
public import Tensors

/// A parameter as a kernel reads it during one run.
@unsafe public struct BoundParameter {
  /// The matrix as stored, with the perturbation of this run.
  public var weight: samara_weight
  /// The elements as floats, perturbation applied: set for parameters of rank 1.
  public var vector: UnsafePointer<Float>?
  /// The unperturbed matrix as packed for each layout; nil where that is done on the fly.
  private var packed: (UnsafeRawPointer?, UnsafeRawPointer?, UnsafeRawPointer?)

  /// A parameter.
  public init(weight: samara_weight, vector: UnsafePointer<Float>? = nil) {
    unsafe self.weight = weight
    unsafe self.vector = vector
    unsafe packed = (nil, nil, nil)
  }

  /// The matrix packed for `layout`.
  func panels(_ layout: PanelLayout) -> UnsafeRawPointer? {
    switch layout {
    case .linear: unsafe packed.0
    case .parts: unsafe packed.1
    case .inputGradient: unsafe packed.2
    }
  }

  /// Has products read what was packed for `layout`.
  public mutating func setPanels(_ panels: UnsafeRawPointer?, _ layout: PanelLayout) {
    switch layout {
    case .linear: unsafe packed.0 = panels
    case .parts: unsafe packed.1 = panels
    case .inputGradient: unsafe packed.2 = panels
    }
  }
}

/// The memory of one node: where its operands lie while a plan runs.
///
/// One reference, so that the pieces of a node's work copy a call at the price of a count.
@safe public final class KernelCall {
  // SAFETY: the executor that makes a call keeps the arena, the parameters and the scratch alive
  // and gives every live value memory of its own, as the memory plan says.

  /// Threads that share the work.
  public let team: ThreadTeam
  /// Types of the inputs.
  public let inputTypes: [ValueType]
  /// Types of the outputs.
  public let outputTypes: [ValueType]
  private let inputs: [UnsafeMutableRawPointer]
  private let outputs: [UnsafeMutableRawPointer]
  private let parameterPositions: [Int]
  private let parameters: UnsafePointer<BoundParameter>
  private let scratch: UnsafeMutableRawPointer
  private let scratchStride: Int
  private let table: UnsafePointer<samara_kernel_table>

  /// Binds a node.
  @unsafe public init(
    team: ThreadTeam,
    inputTypes: [ValueType],
    outputTypes: [ValueType],
    inputs: [UnsafeMutableRawPointer],
    outputs: [UnsafeMutableRawPointer],
    parameterPositions: [Int],
    parameters: UnsafePointer<BoundParameter>,
    scratch: UnsafeMutableRawPointer,
    scratchStride: Int
  ) {
    self.team = team
    self.inputTypes = inputTypes
    self.outputTypes = outputTypes
    unsafe self.inputs = inputs
    unsafe self.outputs = outputs
    self.parameterPositions = parameterPositions
    unsafe self.parameters = parameters
    unsafe self.scratch = scratch
    self.scratchStride = scratchStride
    unsafe table = KernelTable.current.kernels
  }

  /// The kernels.
  @unsafe public var kernels: samara_kernel_table { unsafe table.pointee }

  /// Elements of an input.
  @unsafe public func floats(_ input: Int) -> UnsafeMutablePointer<Float> {
    unsafe inputs[input].assumingMemoryBound(to: Float.self)
  }

  /// Elements of an input of integers.
  @unsafe public func integers(_ input: Int) -> UnsafeMutablePointer<Int32> {
    unsafe inputs[input].assumingMemoryBound(to: Int32.self)
  }

  /// Elements of an output.
  @unsafe public func result(_ output: Int = 0) -> UnsafeMutablePointer<Float> {
    unsafe outputs[output].assumingMemoryBound(to: Float.self)
  }

  /// Elements of an output of integers.
  @unsafe public func integerResult(_ output: Int) -> UnsafeMutablePointer<Int32> {
    unsafe outputs[output].assumingMemoryBound(to: Int32.self)
  }

  /// Copies an input to the first output, of the same type, unless it lies there already.
  @unsafe public func copy(_ input: Int) {
    let (from, to) = unsafe (floats(input), result())
    guard unsafe from != to else { return }
    split(outputTypes[0].shape.elementCount, grain: 1 << 15) { part, _ in
      let at = part.lowerBound
      unsafe (to + at).update(from: from + at, count: part.count)
    }
  }

  /// The elements of a parameter that trains, to be changed.
  @unsafe public func trainable(_ position: Int) -> UnsafeMutablePointer<Float> {
    unsafe UnsafeMutableRawPointer(mutating: parameter(position).weight.data)
      .assumingMemoryBound(to: Float.self)
  }

  /// A parameter.
  @unsafe public func parameter(_ position: Int) -> BoundParameter {
    unsafe parameters[parameterPositions[position]]
  }

  /// How many parameters the node reads.
  public var parameterCount: Int { parameterPositions.count }

  /// Scratch of one thread, aligned to 64 bytes.
  @unsafe public func scratch(_ thread: Int) -> UnsafeMutableRawPointer {
    unsafe scratch + thread * scratchStride
  }

  /// Calls `body` with consecutive parts of 0 ..< count on the team's threads.
  ///
  /// Parts hold a multiple of `grain` but for the last, so that a small count stays on one thread.
  public func split(_ count: Int, grain: Int, _ body: (_ part: Range<Int>, _ thread: Int) -> Void) {
    let pieces = max(1, min(team.threadCount * 4, (count + grain - 1) / grain))
    let size = ((count + pieces - 1) / pieces + grain - 1) / grain * grain
    guard size > 0 else { return }
    team.run(tasks: (count + size - 1) / size) { task, thread in
      body(task * size..<min(count, (task + 1) * size), thread)
    }
  }
}
