// Apache-2.0.
import CKernels
public import GraphCompiler
import Tensors

/// A plan bound to the memory of a workspace, ready to run any number of times.
@safe public final class BoundPlan {
  // SAFETY: `parameters` is allocated here and freed in deinit; the workspace and the table keep all
  // other memory alive, and calls are bound again when the workspace's memory has moved.

  /// The plan.
  public let plan: ExecutionPlan
  private let workspace: Workspace
  private let constants: AlignedBuffer
  private let states: [AlignedBuffer]
  private let parameters: UnsafeMutablePointer<BoundParameter>
  private let slots: [Slot]
  private let panels: [(parameter: Int, layout: PanelLayout, buffer: AlignedBuffer)]
  private var calls: [KernelCall] = []
  private var generation = -1

  /// What of a parameter is the same in every run.
  @safe private struct Slot {
    let weight: samara_weight
    /// The first trainable element, nil for frozen ones.
    let start: Int?
    let isVector: Bool
    /// Where a perturbed vector is made, in the workspace's vectors.
    let offset: Int?
    /// A frozen vector as floats, where it is stored otherwise.
    let widened: UnsafePointer<Float>?
  }

  /// Binds a plan.
  ///
  /// - Throws: `ExecutionError` where the table lacks a parameter or has it in another shape.
  public init(_ plan: ExecutionPlan, in workspace: Workspace) throws(ExecutionError) {
    var positions: [Int] = []
    for parameter in plan.graph.parameters {
      guard let position = workspace.table.position(parameter.name) else {
        throw .missingParameter(parameter.name)
      }
      let shape = workspace.table.entries[position].tensor.shape
      guard shape == parameter.shape else {
        throw .parameterShape(
          parameter.name,
          expected: "\(parameter.shape)",
          found: "\(shape)"
        )
      }
      positions.append(position)
    }
    for node in plan.graph.nodes where node.operation.hasEffect {
      for id in node.parameters
      where workspace.table.entries[positions[id.index]].start == nil {
        throw .frozen(plan.graph.parameters[id.index].name)
      }
    }
    states = plan.graph.states.map { name, value in
      workspace.state(name, byteCount: plan.graph.type(of: value).byteCount)
    }
    panels = plan.graph.packedWeights.compactMap { packed in
      let index = packed.parameter.index
      // What changes would leave its panels behind.
      guard workspace.table.entries[positions[index]].start == nil else { return nil }
      return workspace.panels(of: positions[index], packed.layout)
        .map { (index, packed.layout, $0) }
    }
    self.plan = plan
    self.workspace = workspace
    slots = positions.map { position in
      let entry = workspace.table.entries[position]
      return unsafe Slot(
        weight: entry.tensor.weight,
        start: entry.start,
        isVector: entry.tensor.shape.rank == 1,
        offset: workspace.vectorOffsets[position],
        widened: entry.widened.flatMap { unsafe UnsafePointer($0.floats.baseAddress) }
      )
    }
    constants = AlignedBuffer(byteCount: plan.constantBytes)
    unsafe parameters = .allocate(capacity: max(1, positions.count))
    for (value, data) in plan.graph.constants {
      guard case .constant(let offset) = plan.places[value.index] else { continue }
      for (index, element) in data.enumerated() {
        unsafe constants.floats[offset / 4 + index] = element
      }
    }
    workspace.reserve(arenaBytes: plan.arenaBytes, scratchBytes: plan.scratchBytes)
  }

  deinit { unsafe parameters.deallocate() }

  // MARK: Inputs and outputs

  /// Sets an input of integers.
  public func set(_ name: String, integers: [Int32]) throws(ExecutionError) {
    let value = try input(name)
    try check(name, value, .integer, count: integers.count)
    // SAFETY: the value has as many elements as were counted.
    unsafe integers.withUnsafeBytes { bytes in
      unsafe UnsafeMutableRawBufferPointer(start: address(value), count: bytes.count)
        .copyMemory(from: bytes)
    }
  }

  /// Sets an input of floats.
  public func set(_ name: String, floats: [Float]) throws(ExecutionError) {
    let value = try input(name)
    try check(name, value, .float, count: floats.count)
    // SAFETY: the value has as many elements as were counted.
    unsafe floats.withUnsafeBytes { bytes in
      unsafe UnsafeMutableRawBufferPointer(start: address(value), count: bytes.count)
        .copyMemory(from: bytes)
    }
  }

  /// Elements of an output, valid until the next run of any plan of the workspace.
  public func floats(_ name: String) throws(ExecutionError) -> [Float] {
    let value = try output(name)
    try check(name, value, .float, count: nil)
    let count = plan.graph.type(of: value).shape.elementCount
    let source = unsafe address(value).assumingMemoryBound(to: Float.self)
    return unsafe Array(UnsafeBufferPointer(start: source, count: count))
  }

  /// Elements of an output of integers.
  public func integers(_ name: String) throws(ExecutionError) -> [Int32] {
    let value = try output(name)
    try check(name, value, .integer, count: nil)
    let count = plan.graph.type(of: value).shape.elementCount
    let source = unsafe address(value).assumingMemoryBound(to: Int32.self)
    return unsafe Array(UnsafeBufferPointer(start: source, count: count))
  }

  private func input(_ name: String) throws(ExecutionError) -> ValueID {
    guard let found = plan.graph.inputs.first(where: { $0.name == name }) else {
      throw .unknownValue(name)
    }
    return found.value
  }

  private func output(_ name: String) throws(ExecutionError) -> ValueID {
    guard let found = plan.graph.outputs.first(where: { $0.name == name }) else {
      throw .unknownValue(name)
    }
    return found.value
  }

  private func check(
    _ name: String,
    _ value: ValueID,
    _ scalar: Scalar,
    count: Int?
  ) throws(ExecutionError) {
    let type = plan.graph.type(of: value)
    guard type.scalar == scalar, count.map({ $0 == type.shape.elementCount }) ?? true else {
      throw .valueType(name, expected: "\(type)")
    }
  }

  // MARK: Running

  /// Runs the plan at w, or at w + epsilon · z for the direction set in the workspace.
  ///
  /// Allocates nothing. Results do not depend on the number of threads.
  public func run(epsilon: Float? = nil) {
    bindCalls()
    bindParameters(epsilon)
    let nodes = plan.graph.nodes
    for index in nodes.indices { nodes[index].operation.run(calls[index]) }
  }

  /// Runs the plan at w, node by node: `around` gets the node's position and runs it.
  func runEach(_ around: (_ node: Int, _ body: () -> Void) -> Void) {
    bindCalls()
    bindParameters(nil)
    for (index, call) in calls.enumerated() {
      around(index) { plan.graph.nodes[index].operation.run(call) }
    }
  }

  private func bindParameters(_ epsilon: Float?) {
    let kernels = unsafe KernelTable.current.kernels.pointee
    for index in slots.indices {
      let slot = slots[index]
      var weight = unsafe slot.weight
      if let start = slot.start {
        unsafe weight.data = UnsafeRawPointer(workspace.masterAddress(start))
        unsafe weight.element_type = Int32(ElementType.f32.rawValue)
        if let epsilon {
          unsafe weight.signs = UnsafePointer(workspace.signs.words.baseAddress)
          unsafe weight.sign_offset = Int64(start)
          unsafe weight.epsilon = epsilon
        }
      }
      var vector: UnsafePointer<Float>?
      if slot.isVector {
        if let widened = unsafe slot.widened {
          unsafe vector = widened
        } else if let offset = slot.offset, epsilon != nil {
          let target = unsafe workspace.vectors.floats.baseAddress.map { unsafe $0 + offset }
          unsafe kernels.materialize(&weight, 0, 1, target)
          unsafe vector = UnsafePointer(target)
        } else {
          unsafe vector = weight.data.assumingMemoryBound(to: Float.self)
        }
      }
      unsafe (parameters + index).initialize(to: BoundParameter(weight: weight, vector: vector))
    }
    for (index, layout, buffer) in panels {
      unsafe parameters[index].setPanels(UnsafeRawPointer(buffer.baseAddress), layout)
    }
  }

  private func bindCalls() {
    guard generation != workspace.generation else { return }
    generation = workspace.generation
    let graph = plan.graph
    calls = graph.nodes.map { node in
      unsafe KernelCall(
        team: workspace.team,
        inputTypes: node.inputs.map(graph.type(of:)),
        outputTypes: node.outputs.map(graph.type(of:)),
        inputs: node.inputs.map { unsafe address($0) },
        outputs: node.outputs.map { unsafe address($0) },
        parameterPositions: node.parameters.map(\.index),
        parameters: UnsafePointer(parameters),
        scratch: workspace.scratch.baseAddress,
        scratchStride: plan.scratchBytes
      )
    }
  }

  @unsafe private func address(_ value: ValueID) -> UnsafeMutableRawPointer {
    switch plan.places[value.index] {
    case .arena(let offset): unsafe workspace.arena.baseAddress + offset
    case .constant(let offset): unsafe constants.baseAddress + offset
    case .state(let position): unsafe states[position].baseAddress
    }
  }
}

/// Why a plan cannot be bound or its values set.
public enum ExecutionError: Error, CustomStringConvertible, Equatable {
  /// The weights lack a parameter of the graph.
  case missingParameter(String)
  /// A parameter has another shape than the graph needs.
  case parameterShape(String, expected: String, found: String)
  /// The plan changes a parameter that the weights hold as frozen.
  case frozen(String)
  /// No input or output of this name.
  case unknownValue(String)
  /// An input or output has another type.
  case valueType(String, expected: String)

  /// What is wrong, where.
  public var description: String {
    switch self {
    case .missingParameter(let name): "the weights have no tensor \(name)"
    case .parameterShape(let name, let expected, let found):
      "\(name) has the shape \(found), where the model needs \(expected)"
    case .frozen(let name): "the plan changes \(name), which is frozen"
    case .unknownValue(let name): "the plan has no value named \(name)"
    case .valueType(let name, let expected): "\(name) is \(expected)"
    }
  }
}
