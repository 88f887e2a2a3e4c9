// Apache-2.0.
public import Tensors

/// An operator of the graph: everything known about it, in one file each under `Operators`.
///
/// An operator that is added needs its file and its line in `GraphBuilder`.
public protocol Operator: Sendable {
  /// Name in printed plans.
  static var name: String { get }

  /// Types of the outputs.
  ///
  /// - Parameters:
  ///   - inputs: types of the values read, in order.
  ///   - parameters: shapes of the parameters read, in order.
  /// - Throws: `GraphError.mismatch` where they do not fit together.
  func outputs(_ inputs: [ValueType], _ parameters: [Shape]) throws(GraphError) -> [ValueType]

  /// Inputs whose memory the first output may take over if nobody reads them later.
  var overwritableInputs: [Int] { get }

  /// Whether it changes parameters or states it reads, in place: what others read of them before it
  /// in the graph is what was there before.
  var hasEffect: Bool { get }

  /// Floating-point operations, a multiply-add as two.
  func flops(_ inputs: [ValueType], _ parameters: [Shape]) -> Int

  /// What its first parameter, a matrix, may be packed for.
  var panelLayouts: [PanelLayout] { get }

  /// Scratch one thread needs, in bytes.
  func scratchBytes(_ inputs: [ValueType], _ parameters: [Shape], threads: Int) -> Int

  /// The meaning, in binary64 and plain loops: what kernels are tested against.
  ///
  /// Inputs and results are row-major; integers are held as their values.
  func reference(
    _ inputs: [ReferenceTensor],
    _ parameters: [ReferenceTensor]
  ) -> [ReferenceTensor]

  /// The meaning of what it changes in place; inputs that are no states stay as they are.
  func referenceEffect(_ inputs: inout [ReferenceTensor], _ parameters: inout [ReferenceTensor])

  /// Runs the kernels over the bound memory of one call.
  ///
  /// Results do not depend on the number of threads. Nothing is allocated.
  func run(_ call: KernelCall)
}

extension Operator {
  /// Most operators write elsewhere than they read.
  public var overwritableInputs: [Int] { [] }

  /// Most operators read no matrix in panels.
  public var panelLayouts: [PanelLayout] { [] }

  /// Most operators only make their outputs.
  public var hasEffect: Bool { false }

  /// Most operators change nothing.
  public func referenceEffect(_: inout [ReferenceTensor], _: inout [ReferenceTensor]) {}

  /// Most operators need no scratch.
  public func scratchBytes(_: [ValueType], _: [Shape], threads _: Int) -> Int { 0 }

  /// Refuses operands that do not fit together.
  func require(
    _ condition: Bool,
    _ expectation: @autoclosure () -> String
  ) throws(GraphError) {
    guard condition else { throw .mismatch(operation: Self.name, expected: expectation()) }
  }
}

/// A tensor of the reference interpreter, row-major.
public struct ReferenceTensor: Sendable {
  /// Extents.
  public let shape: Shape
  /// Elements.
  public var data: [Double]

  /// A tensor of `data`.
  public init(_ shape: Shape, _ data: [Double]) {
    precondition(shape.elementCount == data.count, "\(data.count) elements for \(shape)")
    self.shape = shape
    self.data = data
  }

  /// Zeros.
  public init(zeros shape: Shape) {
    self.init(shape, [Double](repeating: 0, count: shape.elementCount))
  }

  /// The element of a matrix.
  public subscript(row: Int, column: Int) -> Double {
    get { data[row * shape.columns + column] }
    set { data[row * shape.columns + column] = newValue }
  }
}

/// Why a graph cannot be built or compiled.
public enum GraphError: Error, CustomStringConvertible, Equatable {
  /// Operands do not fit together.
  case mismatch(operation: String, expected: String)
  /// A parameter was used with two shapes.
  case parameterShape(name: String, first: String, second: String)
  /// No value of this name.
  case unknownValue(name: String)
  /// A plan needs more memory than there is.
  case overBudget(String)
  /// A gradient would have to pass through an operator without a rule for it.
  case noGradient(operation: String)

  /// What does not fit, and what was expected.
  public var description: String {
    switch self {
    case .mismatch(let operation, let expected): "\(operation): \(expected)"
    case .parameterShape(let name, let first, let second):
      "parameter \(name) is used as \(first) and as \(second)"
    case .unknownValue(let name): "the graph has no value named \(name)"
    case .overBudget(let reason): reason
    case .noGradient(let operation):
      "no gradient passes through \(operation); freeze every parameter before it"
    }
  }
}
