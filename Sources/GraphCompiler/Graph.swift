// Apache-2.0.
public import Tensors

/// What the elements of a value are; both take four bytes.
public enum Scalar: Sendable, Hashable {
  /// IEEE binary32.
  case float
  /// Int32: token ids, lengths, labels.
  case integer
}

/// Extents and element kind of a value.
public struct ValueType: Sendable, Hashable, CustomStringConvertible {
  /// Extents, outermost first.
  public let shape: Shape
  /// Kind of the elements.
  public let scalar: Scalar

  /// A tensor of floats unless told otherwise.
  public init(_ shape: Shape, _ scalar: Scalar = .float) {
    self.shape = shape
    self.scalar = scalar
  }

  /// Bytes of all elements.
  public var byteCount: Int { shape.elementCount * 4 }

  /// As in `[2, 3]` or `[2] integer`.
  public var description: String { scalar == .float ? "\(shape)" : "\(shape) integer" }
}

/// A value of a graph: made once, by an input, a constant or a node.
public struct ValueID: Sendable, Hashable {
  /// Position in `Graph.values`.
  public let index: Int
}

/// A parameter of a graph.
public struct ParameterID: Sendable, Hashable {
  /// Position in `Graph.parameters`.
  public let index: Int
}

/// A weight by its name in the checkpoint.
public struct Parameter: Sendable, Hashable {
  /// Name in the checkpoint.
  public let name: String
  /// Extents: [outputs, inputs] of a matrix, [features] of a vector.
  public let shape: Shape

  /// A parameter.
  public init(name: String, shape: Shape) {
    self.name = name
    self.shape = shape
  }
}

/// One application of an operator.
public struct Node: Sendable {
  /// What it computes.
  public let operation: any Operator
  /// Values it reads, in the operator's order.
  public let inputs: [ValueID]
  /// Parameters it reads, in the operator's order.
  public let parameters: [ParameterID]
  /// Values it makes.
  public let outputs: [ValueID]
}

/// A computation with static shapes, in single-assignment form and in an order that can be run.
public struct Graph: Sendable {
  /// Types of all values.
  public internal(set) var values: [ValueType] = []
  /// Parameters read by any node, each once.
  public internal(set) var parameters: [Parameter] = []
  /// Nodes; every value is made before it is read.
  public internal(set) var nodes: [Node] = []
  /// Values set before a run, by name.
  public internal(set) var inputs: [(name: String, value: ValueID)] = []
  /// Values read after a run, by name.
  public internal(set) var outputs: [(name: String, value: ValueID)] = []
  /// Values known when the graph is built.
  public internal(set) var constants: [(value: ValueID, data: [Float])] = []
  /// Values that live on from run to run, zero at first, by name.
  public internal(set) var states: [(name: String, value: ValueID)] = []

  /// Matrices that are packed when a plan is bound.
  public internal(set) var packedWeights: [PackedWeight] = []

  init() {}

  /// The type of a value.
  public func type(of value: ValueID) -> ValueType { values[value.index] }

  /// Floating-point operations of one run.
  public var flops: Int {
    nodes.reduce(0) { total, node in
      total
        + node.operation.flops(
          node.inputs.map(type(of:)),
          node.parameters.map { parameters[$0.index].shape }
        )
    }
  }
}
